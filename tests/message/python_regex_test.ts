import assert from "node:assert/strict";
import fc from "fast-check";
import {
  BoundedSearch,
  SearchTooLongError,
} from "../../src/message/bounded_search.ts";
import { RegexError } from "../../src/message/mod.ts";
import { literalsIn, PythonRegex } from "../../src/message/python_regex.ts";
import { parsePythonRegex } from "../../src/message/python_regex_syntax.ts";
import { foldCase } from "../../src/message/python_text.ts";
import { askPython, whyNoPython } from "../python.ts";
import { testUnless } from "../test_unless.ts";

const raw = String.raw;

const texts = [
  "",
  "a",
  "A",
  "ab",
  "aab",
  "b\n",
  "a\nb",
  "über 12",
  "٣",
  "a_1 ",
  "a{,2}",
  "a{b}",
  "[x]",
  "]",
  "-",
  "\\",
  "é\u00a0x",
  "\x1c",
  "😀",
  "$5.00",
  "hall",
  "Hällchen",
  "straße",
  "STRASSE",
  "K",
  "İ",
  "abcabc",
  "aXbXa",
  "ab\nb",
  "\0\x07\b",
];

const patterns = [
  "",
  "a",
  "^a",
  "b$",
  "^b$",
  raw`b\Z`,
  raw`(a\Z|b\Z)`,
  raw`\Aa`,
  "(?i)A",
  "(?P<first>a)(b)?",
  "(?:a|b)+?b",
  "(?i:A)b",
  "(?i)(?-i:a)",
  "(?s)a.b",
  "a.b",
  "(?m)^b$",
  "(?ms)a$.b",
  "(?a)\\w",
  raw`(?a)[\w]\d`,
  raw`(?a)\W`,
  raw`(?a)[\W]`,
  raw`(?a)\S\s`,
  raw`(?a)[\D]`,
  raw`(?u)\w\w`,
  raw`\d`,
  raw`\D`,
  raw`\w+\s\d+`,
  raw`^\W$`,
  raw`\s`,
  raw`^\S+$`,
  raw`[\s\S]b`,
  raw`[\S]$`,
  raw`[^\w]`,
  raw`[\d_-]`,
  raw`(?a)\bb`,
  raw`(?a)\Bb`,
  "[]]",
  "[^]a]",
  "[[x]",
  "[[:alpha:]]",
  raw`[\]\\]`,
  raw`[\b]`,
  raw`[a\-z]`,
  "a{2}",
  "a{,2}b",
  "a{1,}b",
  "a{b}",
  "a{",
  "{",
  "a{}",
  "a{,}",
  "a{1,2}?b",
  "a??b",
  raw`\$\d\.`,
  raw`\x61\u0062`,
  raw`\U0001F600`,
  raw`\07\010`,
  raw`\0`,
  raw`\141`,
  raw`\é`,
  "(?#comment)a",
  "a|^$",
  "(a$|b)",
  "^.$",
  "[a-c&&b]",
  "a||b",
  raw`\n`,
  raw`\/\-\ \_`,
  // Words, to which letters of all scripts belong.
  raw`\bb`,
  raw`\bx`,
  raw`ll\b`,
  raw`\b1`,
  raw`\B`,
  raw`h\B`,
  raw`[\W]`,
  raw`[^\W\d]x`,
  raw`[\W\d]`,
  // Letters of whatever case.
  "(?i)k",
  "(?i)^[a-zé]+$",
  "(?i)i",
  "(?i)ı",
  "(?i)ss",
  "(?i)STRAße",
  "(?ai)k",
  "(?i)[^k]",
  // What needs more than one way through the text.
  raw`(a)\1`,
  raw`(?P<x>[ab])(?P=x)`,
  raw`(?i)(a)X(b)X\1`,
  raw`(abc)\1$`,
  raw`(a)|b\1`,
  "b(?=$)",
  "a(?!b)",
  "(?<=a)b",
  "(?<!a)b",
  raw`(?<=\d)\s|(?<=\s)\d`,
  "(?>a|ab)b",
  "a++b",
  "a*+ab",
  "a{1,2}+b",
  "(a)?(?(1)b|c)",
  "a$\nb",
  "(?x) a b # both",
  "(?x:a b)",
  "(?m:^b$)",
  // Flags in several groups, and comments.
  "(?i)(?s)A.b",
  "(?#comment)(?i)A",
  "(?x) (?im) ^B$ # both",
  "(?ix)# all\n(?#of)(?s)a . B",
  raw`(?#a\)b)a`,
  raw`(?x)a # \
    x
    b`,
  "a{1001}",
  "(a*)*b",
  "(?:|a)+b",
];

/** Everything that may be in an expression, in any order. */
const pieces = [
  ..."ab1_ -éßKıiſ|.^$*+?".split(""),
  ...["(", ")", "(", ")", "[", "]", "[^", "(?:", "(?=", "(?!", "(?<=", "(?<!"],
  ...["(?>", "(?P<x>", "(?P=x)", "(?(1)", "(?i:", "(?a:", "(?s-i:", "{2}"],
  ...[raw`\b`, raw`\B`, raw`\w`, raw`\W`, raw`\d`, raw`\s`, raw`\1`, raw`\Z`],
  ...["{,2}", "{1,}", "a-z", "(a)", "(b|a)", "++", "??"],
];

/** Ends the groups and sets that are open, so that more of them are expressions. */
function closed(pattern: string): string {
  const open = pattern.match(/\(/g)?.length ?? 0;
  return pattern + ")".repeat(
    Math.max(0, open - (pattern.match(/\)/g)?.length ?? 0)),
  );
}

const PROGRAM = `
import json, re, sys, warnings
warnings.simplefilter("ignore")
patterns, texts = json.load(sys.stdin)
def found(pattern):
    try:
        regex = re.compile(pattern)
    except (re.error, OverflowError):
        return None
    return [t for t in texts if regex.search(t)]
json.dump([found(p) for p in patterns], sys.stdout)
`;

/** The texts that Python finds for each of the patterns; nothing for what is none to it. */
async function foundByPython(
  patterns: readonly string[],
): Promise<(string[] | null)[]> {
  return await askPython(PROGRAM, [patterns, texts]);
}

/** The texts that are found here, in each of the two ways to search; they have the literals. */
function found(pattern: string): string[] | null {
  let regex: PythonRegex;
  try {
    regex = new PythonRegex(pattern);
  } catch (error) {
    assert.ok(error instanceof RegexError, String(error));
    return null;
  }
  const bounded = new BoundedSearch(pattern, parsePythonRegex(pattern));
  const first = texts.filter((text) => regex.test(text));
  const second = texts.filter((text) => bounded.search(text) !== undefined);
  assert.deepEqual(first, second, pattern);
  for (const literals of literalsIn(pattern)) {
    for (const text of first) {
      const hasOne = literals.some((one) => foldCase(text).includes(one));
      assert.ok(hasOne, `${pattern} finds ${text} without one of ${literals}`);
    }
  }
  return first;
}

testUnless(
  whyNoPython(),
  "patterns find what they find in Python",
  async () => {
    const expected = await foundByPython(patterns);
    for (const [index, pattern] of patterns.entries()) {
      assert.notEqual(expected[index], null, pattern);
      assert.deepEqual(found(pattern), expected[index], pattern);
    }
  },
);

testUnless(
  whyNoPython(),
  "patterns made of anything find what they find in Python, or are refused as there",
  async () => {
    const pattern = fc.array(fc.constantFrom(...pieces), { maxLength: 10 })
      .map((pieces) => closed(pieces.join("")));
    const made = fc.sample(pattern, { seed: 5, numRuns: 3000 });
    const expected = await foundByPython(made);
    for (const [index, pattern] of made.entries()) {
      assert.deepEqual(found(pattern), expected[index], pattern);
    }
    const used = expected.filter((texts) => texts !== null);
    assert.ok(used.length > 500, `only ${used.length} are expressions`);
  },
);

const literals: Record<string, string[][]> = {
  [raw`^sensor\.kitchen_12\.`]: [["SENSOR.KITCHEN_12."]],
  "temperature|humidity": [["TEMPERATURE", "HUMIDITY"]],
  ".*front.*open.*": [["FRONT"], ["OPEN"]],
  "(?i)kitchen": [["KITCHEN"]],
  "[Kk]itchen [12]": [["KITCHEN 1", "KITCHEN 2"]],
  [raw`\bdoor(s)?\b`]: [["DOOR"]],
  [raw`(the )?room \d{3}[a-f]`]: [["ROOM "], [..."ABCDEF"]],
  "(attic|hall.*door|(a|b)+ room)$": [["ATTIC", "HALL", " ROOM"]],
  "(?<=the )room(?!s)": [["ROOM"], ["THE "]],
  [raw`(a)?(?(1)door|window) \1`]: [["DOOR ", "WINDOW "]],
  [raw`\d+|room`]: [],
  "(room)?": [],
  "[a-z]{2}[^a]": [[..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"]],
  "[a-z][a-z]": [
    [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"],
    [..."ABCDEFGHIJKLMNOPQRSTUVWXYZ"],
  ],
};

Deno.test("what a text has to contain is drawn from the pattern", () => {
  for (const [pattern, lists] of Object.entries(literals)) {
    assert.deepEqual(literalsIn(pattern), lists, pattern);
  }
});

const refused: [string, RegExp][] = [
  ["(?L)a", /the flag L/],
  ["(?a)(?u)a", /the flags a and u/],
  ["(?i)a(?s)", /flags for the whole that are not in front/],
  ["(?i-i:a)", /a flag that is turned on and off/],
  [raw`(?#a\)`, /a comment without its end/],
  ["(?<x>a)", /\(\?P<name>\.\.\.\)/],
  [raw`[\Z]`, /the unknown escape \\Z/],
  [raw`\N{DASH}`, /a character's name; write its number/],
  [raw`\q`, /the unknown escape \\q/],
  [raw`\p{L}`, /the unknown escape \\p/],
  [raw`(a)\2`, /at character 5 it has a reference to no group/],
  [raw`(a\1)`, /a reference to a group from within/],
  ["(?<=a+)b", /a fixed width/],
  ["a\\", /a backslash at the end/],
  ["[a", /a set without its closing bracket/],
  ["(", /Cannot use the regular expression "\("/],
  [")", /without an opening one/],
  ["*", /a repetition of nothing/],
  ["a**", /a repetition of a repetition/],
  ["((a{1000}){1000}){1000}", /more than 20000 parts/],
  ["[b-a]", /the wrong way round/],
  ["(".repeat(300), /more than 200 groups/],
];

for (const [pattern, message] of refused) {
  Deno.test(`refuses the pattern ${pattern}`, () => {
    assert.throws(() => new PythonRegex(pattern), (error) => {
      assert.ok(error instanceof RegexError);
      assert.match(error.message, message);
      return true;
    });
  });
}

Deno.test("a search by trial ends in time, whatever the pattern and the text are", () => {
  const text = "a".repeat(200_000) + "!";
  for (const pattern of ["(?=a)(a+)+$", "(?<=a)(a|aa)+$", raw`(a+)+\1\Z`]) {
    const start = performance.now();
    assert.throws(
      () => new PythonRegex(pattern).test(text),
      SearchTooLongError,
    );
    assert.ok(performance.now() - start < 5000, pattern);
  }
});
