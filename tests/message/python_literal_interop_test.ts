import assert from "node:assert/strict";
import fc from "fast-check";
import { parsePythonLiteral } from "../../src/message/mod.ts";
import { askPython, whyNoPython } from "../python.ts";
import { testUnless } from "../test_unless.ts";

/**
 * Reads texts with `ast.literal_eval`, writes the values of those that it
 * takes in JSON, and adds values that Python made up, each with its `repr`.
 */
const PROGRAM = String.raw`
import ast, base64, json, random, sys, warnings
warnings.simplefilter("ignore")

def key(value):
    return {True: "true", False: "false", None: "null"}.get(value) \
        if value is None or isinstance(value, bool) else \
        value if isinstance(value, str) else \
        json.dumps(value) if isinstance(value, (int, float)) else None

def plain(value):
    if isinstance(value, dict):
        if any(key(k) is None for k in value):
            raise TypeError("key")
        return {"dict": [[key(k), plain(v)] for k, v in value.items()]}
    if isinstance(value, (set, frozenset)):
        return {"set": [plain(v) for v in value]}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return {"number": repr(float(value))}
        except OverflowError:
            return {"number": "inf" if value > 0 else "-inf"}
    if isinstance(value, float):
        return {"number": repr(value)}
    if isinstance(value, complex):
        raise TypeError("complex")
    return value

def read(text):
    try:
        return {"value": plain(ast.literal_eval(text))}
    except Exception as error:
        return {"error": repr(error)}

rng = random.Random(5)

def text():
    alphabet = "ab '\"\\\n\r\t\0\x7f\x85\xa0é\u2028\ud800😀{}[]"
    return "".join(rng.choice(alphabet) for _ in range(rng.randrange(8)))

def scalar():
    return rng.choice([
        lambda: None, lambda: rng.random() < .5, text,
        lambda: rng.randrange(-10, 10), lambda: rng.getrandbits(70),
        lambda: rng.random() * 10 ** rng.randrange(-30, 30),
        lambda: float("inf"),
    ])()

def made(depth):
    if depth == 0 or rng.random() < .3:
        return rng.choice([scalar, scalar, lambda: text().encode("utf-8", "replace")])()
    items = range(rng.randrange(4))
    return rng.choice([
        lambda: [made(depth - 1) for _ in items],
        lambda: tuple(made(depth - 1) for _ in items),
        lambda: {scalar() for _ in items},
        lambda: frozenset(scalar() for _ in items),
        lambda: {scalar(): made(depth - 1) for _ in items},
    ])()

texts, count = json.load(sys.stdin)
values = [made(4) for _ in range(count)]
json.dump({
    "read": [read(text) for text in texts],
    "made": [[repr(value), plain(value)] for value in values],
}, sys.stdout)
`;

type Read = { value: unknown } | { error: string };

/** Our value; an error names the text. */
function read(text: string): unknown {
  try {
    return parsePythonLiteral(text);
  } catch (cause) {
    throw new Error(`Cannot read ${JSON.stringify(text)}`, { cause });
  }
}

/** Asserts that our value is Python's, which says more than JSON can. */
function same(ours: unknown, python: unknown, text: string): void {
  if (Array.isArray(python)) {
    assert.ok(Array.isArray(ours), text);
    assert.equal(ours.length, python.length, text);
    python.forEach((item, index) => same(ours[index], item, text));
  } else if (typeof python !== "object" || python === null) {
    assert.equal(ours, python, text);
  } else if ("number" in python) {
    const name = String(python.number).replace("inf", "Infinity");
    assert.equal(ours, Number(name), text);
  } else if ("set" in python) {
    sameSet(ours as unknown[], python.set as unknown[], text);
  } else {
    const { dict } = python as { dict: [string, unknown][] };
    // Keys such as 1 and "1" are one in JSON, where the last counts.
    const entries = new Map(dict);
    assert.deepEqual(
      Object.keys(ours as object).sort(),
      [...entries.keys()]
        .sort(),
      text,
    );
    for (const [key, value] of entries) {
      same((ours as Record<string, unknown>)[key], value, text);
    }
  }
}

/** A set has another order in Python, and each item its like in ours. */
function sameSet(
  ours: readonly unknown[],
  python: readonly unknown[],
  text: string,
): void {
  // Equal tuples stay apart in ours.
  assert.ok(ours.length === python.length || ours.some(Array.isArray), text);
  for (const item of python) {
    assert.ok(
      ours.some((candidate) => {
        try {
          same(candidate, item, text);
          return true;
        } catch {
          return false;
        }
      }),
      text,
    );
  }
}

const raw = String.raw;

const scalars = fc.oneof(
  fc.constantFrom("True", "False", "None", "0", "1", "1.0", "''", "()"),
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
  fc.nat().map((n) => `0x${n.toString(16)}`),
  fc.nat().map((n) => `-0O${n.toString(8)}`),
  fc.nat().map((n) => `+0b${n.toString(2)}`),
  fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
  fc.tuple(fc.nat(), fc.nat(), fc.integer({ min: -30, max: 30 })).map(
    ([a, b, c]) => `${a}_0.${b}_1E${c}`,
  ),
);

const strings = fc.tuple(
  fc.constantFrom("", "", "u", "r", "b", "Rb", "BR"),
  fc.constantFrom("'", '"', "'''", '"""'),
  fc.array(
    fc.constantFrom(
      ..."ab 0{}[]#,:".split(""),
      ..."\t\x7F\x85é😀\u2028".split(""),
      ...[
        raw`\'`,
        raw`\"`,
        raw`\\`,
        raw`\n`,
        raw`\a`,
        raw`\v`,
        raw`\d`,
        raw`\0`,
      ],
      ...[raw`\12`, raw`\1234`, raw`\777`, raw`\x41`, raw`\xff`, raw`\u00e9`],
      ...[raw`\U0001F600`, raw`\ud800`, "\\\n", "\\\r\n", "\n", "\r\n"],
    ),
    { maxLength: 6 },
  ),
).map(([prefix, quote, parts]) => prefix + quote + parts.join("") + quote);

const space = fc.constantFrom("", "", " ", "\t ", "\n ", "\r\n");

const { literal } = fc.letrec<{ literal: string }>((tie) => {
  const item = fc.tuple(space, tie("literal"), space).map((parts) =>
    parts.join("")
  );
  const items = fc.tuple(
    fc.array(item, { maxLength: 4 }),
    fc.constantFrom("", ","),
  ).map(([parts, end]) => parts.length === 0 ? "" : parts.join(",") + end);
  const pairs = fc.array(fc.tuple(item, item), { maxLength: 4 }).map((parts) =>
    parts.map((pair) => pair.join(":")).join(",")
  );
  return {
    literal: fc.oneof(
      { maxDepth: 4 },
      scalars,
      strings,
      fc.tuple(strings, strings).map((parts) => parts.join(" ")),
      items.map((text) => `[${text}]`),
      items.map((text) => `(${text})`),
      items.map((text) => `{${text}}`),
      pairs.map((text) => `{${text}}`),
    ),
  };
});

/** Literals with a fault in them, most of the time. */
const damaged = fc.tuple(
  literal,
  fc.nat(),
  fc.nat(3),
  fc.constantFrom(..."{}[](),:'\"\\ 01_.eExbr+-\n".split(""), ""),
).map(([text, at, length, insert]) => {
  const start = at % (text.length + 1);
  return text.slice(0, start) + insert + text.slice(start + length);
});

/**
 * Where we take more than `ast.literal_eval` does: lone surrogates as they are.
 * Where we take less: numbers in parentheses behind a sign, complex numbers,
 * comments, line ends behind a backslash outside of strings, and what is wrong
 * in a value that Python forgets since its key comes again.
 */
function isDifferent(text: string): boolean {
  if (!text.isWellFormed() || /[+-]\s*\(|[+-][^'"]*j/i.test(text)) return true;
  try {
    parsePythonLiteral(text);
    return false;
  } catch (error) {
    return /as a key, at|which is "(?:#|\\\\)"$/.test(String(error));
  }
}

testUnless(
  whyNoPython(),
  "Python literals mean what they mean to ast.literal_eval",
  async () => {
    const good = fc.sample(literal, { numRuns: 5000, seed: 1 });
    const bad = fc.sample(damaged, { numRuns: 5000, seed: 2 });
    // In brackets, since Python gives line ends and commas outside of them a
    // meaning that has nothing to do with values.
    const texts = [...good, ...bad].map((text) => `[${text}]`)
      .filter((text) => !isDifferent(text));
    const { read: answers, made } = await askPython<
      { read: Read[]; made: [string, unknown][] }
    >(PROGRAM, [texts, 5000]);
    const counts = { values: 0, refused: 0 };
    texts.forEach((text, index) => {
      const answer = answers[index]!;
      if ("value" in answer) {
        counts.values++;
        same(read(text), answer.value, text);
      } else {
        counts.refused++;
        assert.throws(
          () => parsePythonLiteral(text),
          Error,
          `${JSON.stringify(text)}: ${answer.error}`,
        );
      }
    });
    assert.ok(counts.values > 3000, Deno.inspect(counts));
    assert.ok(counts.refused > 1000, Deno.inspect(counts));
    for (const [text, value] of made) {
      same(read(text), value, text);
    }
  },
);
