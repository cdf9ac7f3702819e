import assert from "node:assert/strict";
import { MessageError, parsePythonLiteral } from "../../src/message/mod.ts";

const raw = String.raw;

const values: [string, unknown][] = [
  ["{}", {}],
  ["[]", []],
  ["()", []],
  ["set()", []],
  ["frozenset()", []],
  ["frozenset({1, 2})", [1, 2]],
  ["frozenset([1])", [1]],
  ["set((1,))", [1]],
  ["{'type': 'event', 'ok': True, 'no': False, 'x': None}", {
    type: "event",
    ok: true,
    no: false,
    x: null,
  }],
  ["[1, 'a', (2,), {3},]", [1, "a", [2], [3]]],
  ["(1)", 1],
  ["((1))", 1],
  ["(1,)", [1]],
  ["(1, 2)", [1, 2]],
  ["{1, 1.0, True, 2, 'a', 'a', (1,), (2,)}", [1, 2, "a", [1], [2]]],
  [" \t\r\n\f[ 1 , 2 ] \n", [1, 2]],
  ["\uFEFF'a'", "a"],

  ["''", ""],
  [`"it's"`, "it's"],
  [`'say "hi"'`, 'say "hi"'],
  [`'''a'b''c\nd'''`, "a'b''c\nd"],
  [`"""a\r\nb\rc"""`, "a\nb\nc"],
  [`''''a'''`, "'a"],
  [raw`'\\ \' \" \a\b\f\n\r\t\v'`, "\\ ' \" \x07\b\f\n\r\t\v"],
  [raw`'\0\12\1234\777'`, "\0\nS4\u01FF"],
  [raw`'\x41\u00e9\U0001F600'`, "Aé😀"],
  [raw`'\ud83d\ude00'`, "😀"],
  [raw`'\ud800'`, "\uD800"],
  [raw`'\d\%\8'`, raw`\d\%\8`],
  ["'a\\\nb\\\r\nc\\\rd'", "abcd"],
  [raw`r'\n\'\\'`, raw`\n\'\\`],
  [raw`u'é' U'x'`, "éx"],
  [`'a' "b" r'c'\n'''d'''`, "abcd"],
  ["'é😀\t\x7F'", "é😀\t\x7F"],
  [raw`b'a\xff\377\u0041'`, btoa("a\xFF\xFF\\u0041")],
  [raw`rb'\x' BR'y'`, btoa(raw`\xy`)],
  ["B''", ""],
  ["r'a\\\nb' r'a\\\r\nb'", "a\\\nba\\\nb"],

  ["0", 0],
  ["-0", 0],
  ["00_0", 0],
  ["+5", 5],
  ["- 5", -5],
  ["1_000_000", 1e6],
  ["0x_fF", 255],
  ["0O17", 15],
  ["-0b1_01", -5],
  ["9007199254740993", 2 ** 53],
  ["0xffffffffffffffffff", 2 ** 72],
  ["1.", 1],
  [".5", 0.5],
  ["1_0.2_5e-0_1", 1.025],
  ["1e5", 1e5],
  ["1E+5", 1e5],
  ["01.5", 1.5],
  ["1e400", Infinity],
  ["-0.0", -0],
  ["nan", NaN],
  ["[inf, -inf, +inf]", [Infinity, -Infinity, Infinity]],
  ["[NaN, Infinity, -Infinity]", [NaN, Infinity, -Infinity]],
  ['{"a": true, "b": [false, null]}', { a: true, b: [false, null] }],

  ["{1: 1, -2: 2, 0x10: 3, 1_0: 4}", { 1: 1, "-2": 2, 16: 3, 10: 4 }],
  ["{1.0: 1, 1e16: 2, 1e-5: 3, 0.1: 4, -0.0: 5, 123456789012345680.0: 6}", {
    "1.0": 1,
    "1e+16": 2,
    "1e-05": 3,
    "0.1": 4,
    "-0.0": 5,
    "1.2345678901234568e+17": 6,
  }],
  ["{True: 1, False: 2, None: 3}", { true: 1, false: 2, null: 3 }],
  ["{123456789012345678901234567890: 1}", {
    "123456789012345678901234567890": 1,
  }],
  ["{0.0001: 1, 0.00001: 2}", { "0.0001": 1, "1e-05": 2 }],
  ["{nan: 1, inf: 2, -inf: 3}", { NaN: 1, Infinity: 2, "-Infinity": 3 }],
  ["{'a' 'b': 1, ('c'): 2}", { ab: 1, c: 2 }],
  ["{'a': 1, 'a': 2}", { a: 2 }],
  ["{1: 1, True: 2, 1.0: 3, 0.0: 4, False: 5}", { 1: 3, "0.0": 5 }],
  ["{'constructor': 1, 'toString': 2}", { constructor: 1, toString: 2 }],
];

for (const [text, expected] of values) {
  Deno.test(`reads ${JSON.stringify(text)}`, () => {
    assert.deepEqual(parsePythonLiteral(text), expected);
  });
}

const refused: [string, RegExp][] = [
  ["", /expected a value, at character 0, which is the end/],
  ["[1", /expected "," or "\]", at character 2, which is the end/],
  ["[1 2]", /expected "," or "\]", at character 3, which is "2"/],
  ["[,]", /expected a value, at character 1/],
  ["(,)", /expected a value/],
  ["[1,,2]", /expected a value, at character 3/],
  ["{'a': 1, 'b'}", /expected ":"/],
  ["{'a', 'b': 1}", /expected "," or "}"/],
  ["{'a': }", /expected a value/],
  [
    "{[]: 1}",
    /expected a string, number, True, False or None as a key, at character 1/,
  ],
  ["{(1,): 1}", /as a key/],
  ["{b'a': 1}", /as a key/],
  ["{[1]}", /expected something hashable in the set, at character 1/],
  ["{1, {}}", /hashable in the set, at character 4/],
  ["{([],)}", /hashable/],
  ["{set()}", /hashable/],
  ["set(1)", /expected a set, list or tuple in set\(\), at character 4/],
  ["set([1], [2])", /expected "\)"/],
  ["frozenset", /expected "\(" after frozenset/],
  ["1 2", /expected the end, at character 2/],
  ["1, 2", /expected the end, at character 1/],
  ["'abc", /expected a string that ends, which starts here, at character 0/],
  ["'''abc'", /a string that ends/],
  ["'abc\\", /a string that ends/],
  ["'a\nb'", /the string to end before the line does, at character 2/],
  ["'a\0b'", /\\x00 in place of a NUL/],
  [raw`'\x4'`, /an escape with 2 hexadecimal digits, at character 1/],
  [raw`'\u+123'`, /4 hexadecimal digits/],
  [raw`'\U00110000'`, /at most 10FFFF/],
  [raw`'\N{DASH}'`, /\\u and the character's number in place of its name/],
  ["b'é'", /only ASCII in bytes/],
  ["'a' b'b'", /all bytes or all text, at character 0/],
  ["f'a'", /expected a value, at character 0, which is "f"/],
  ["ur'a'", /expected a value/],
  ["bb'a'", /expected a value/],
  ["01", /a number that is real/],
  ["1__0", /a number that is real/],
  ["1_", /a number that is real/],
  ["0x", /a number that is real/],
  ["0b2", /a number that is real/],
  ["0o8", /a number that is real/],
  ["1e", /a number that is real/],
  ["1.5.2", /a number that is real/],
  ["3j", /a number that is real/],
  [".", /expected a value/],
  ["1+2j", /expected the end/],
  ["--1", /expected a number after the sign, at character 1/],
  ["-True", /expected a number after the sign/],
  ["-'a'", /expected a number after the sign/],
  ["9".repeat(5000), /at most 4300 characters/],
  ["true_", /expected a value/],
  ["None()", /expected the end/],
  ["...", /expected a value/],
  ["__import__('os')", /expected a value/],
  ["undefined", /expected a value/],
  ["[x for x in 'a']", /expected a value/],
  ["# comment", /expected a value, at character 0, which is "#"/],
  ["é", /which is "é"/],
];

for (const [text, message] of refused) {
  Deno.test(`refuses ${JSON.stringify(text.slice(0, 40))}`, () => {
    assert.throws(() => parsePythonLiteral(text), (error) => {
      assert.ok(error instanceof SyntaxError);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("a key __proto__ is refused, however it is written", () => {
  for (const key of ["'__proto__'", "'__pro' 'to__'", raw`'\x5f_proto__'`]) {
    assert.throws(() => parsePythonLiteral(`{${key}: 1}`), MessageError);
  }
});

Deno.test("200 levels are read, more are refused", () => {
  for (const [open, close] of [["[", "]"], ["(", ",)"], ["{'a': ", "}"]]) {
    const nested = (levels: number): string =>
      open!.repeat(levels) + "1" + close!.repeat(levels);
    assert.ok(parsePythonLiteral(nested(200)));
    assert.throws(() => parsePythonLiteral(nested(201)), MessageError);
    assert.throws(() => parsePythonLiteral(nested(1e6)), MessageError);
  }
});
