import assert from "node:assert/strict";
import { pythonRegex, RegexError } from "../../src/message/python_regex.ts";
import { askPython, hasPython } from "../python.ts";

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
];

Deno.test({
  name: "patterns find what they find in Python",
  ignore: !await hasPython(),
  async fn(): Promise<void> {
    const expected = await foundByPython();
    for (const [index, pattern] of patterns.entries()) {
      const search = pythonRegex(pattern);
      const found = texts.filter((text) => search(text));
      assert.deepEqual(found, expected[index], pattern);
    }
  },
});

const refused: [string, RegExp][] = [
  [raw`(a)\1`, /at character 3 it has a reference to a group/],
  ["(?P<x>a)(?P=x)", /at character 8 .*\(\?P=/],
  ["(?=a)", /\(\?=/],
  ["a(?!b)", /at character 1 .*\(\?!/],
  ["(?<=a)b", /\(\?<=/],
  ["(?<!a)b", /\(\?<!/],
  ["(?>a)", /\(\?>/],
  ["(a)?(?(1)b|c)", /\(\?\(/],
  ["a++", /at character 3 .*possessive/],
  ["a{2}+", /possessive/],
  ["(?x) a", /the flags L and x/],
  ["(?L)a", /the flags L and x/],
  ["(?x:a)", /a group that starts with/],
  ["(?<x>a)", /a group that starts with/],
  [raw`[\W]`, /\\W in a set/],
  [raw`[\Z]`, /\\Z in a set/],
  [raw`\N{DASH}`, /\\N/],
  [raw`\q`, /\\q/],
  [raw`\p{L}`, /\\p/],
  ["a$b", /\$ with something after it/],
  ["a\\", /a backslash at the end/],
  ["[a", /a set without its closing bracket/],
  ["(", /Cannot use the regular expression "\("/],
  [")", /Cannot use/],
  ["*", /Cannot use/],
  ["a**", /Cannot use/],
  ["a{2}{3}{1001}", /Cannot use/],
  ["a{1001}", /Cannot use/],
  ["((a{1000}){1000}){1000}", /Cannot use/],
  ["[b-a]", /Cannot use/],
];

for (const [pattern, message] of refused) {
  Deno.test(`refuses the pattern ${pattern}`, () => {
    assert.throws(() => pythonRegex(pattern), (error) => {
      assert.ok(error instanceof RegexError);
      assert.match(error.message, message);
      return true;
    });
  });
}

/** The texts that Python finds for each of the patterns. */
async function foundByPython(): Promise<string[][]> {
  const program = "import json, re, sys, warnings\n" +
    'warnings.simplefilter("ignore")\n' +
    "patterns, texts = json.load(sys.stdin)\n" +
    "json.dump([[t for t in texts if re.search(p, t)] for p in patterns], sys.stdout)";
  return await askPython(program, [patterns, texts]);
}
