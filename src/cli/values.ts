import { type Message, message, text } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import type { ValueParser } from "@optique/core/valueparser";
import { COUNT, PORT, TIME_LIMIT } from "../kinds.ts";
import { MAX_DEPTH } from "../message/json_value.ts";
import { type Kind, readAs, type Row } from "../options.ts";
import { UsageError } from "./program.ts";

const FINITE_TIME: Kind = {
  expected: "seconds above 0",
  accepts: (value) => TIME_LIMIT.accepts(value) && Number.isFinite(value),
};

/** The word for a value in help texts, as in `--wait S`. */
type Metavar = ValueParser<"sync", unknown>["metavar"];

/** A kind of values that is told from texts. */
interface ValueKind<T> {
  readonly metavar: Metavar;
  /** Says, for errors, what a value is: "a number of seconds above 0". */
  readonly expected: string;
  /** One of them. */
  readonly example: string;
  /** Reads one; throws what is wrong with it, or returns `undefined`. */
  read(text: string): T | undefined;
}

/** Reads values of a kind, and says what was expected where it is another. */
export function value<T extends NonNullable<unknown>>(
  { metavar, expected, example, read }: ValueKind<T>,
): ValueParser<"sync", T> {
  return {
    mode: "sync",
    metavar,
    placeholder: read(example)!,
    parse: (input) => {
      try {
        const value = read(input);
        if (value !== undefined) return { success: true, value };
      } catch (error) {
        const reason = message`${text((error as Error).message)}`;
        return { success: false, error: reason };
      }
      const error = message`expected ${text(expected)}, such as ${
        text(example)
      }, but got ${input}.`;
      return { success: false, error };
    },
    format: String,
  };
}

/** A number of a kind that options have, too. */
function numeric(
  kind: Kind,
  metavar: Metavar,
  example: string,
): ValueParser<"sync", number> {
  const { expected } = kind;
  const read = (text: string) => readAs(kind, text) as number | undefined;
  return value({ metavar, expected, example, read });
}

/** A number of things, from 1 on. */
export function count(): ValueParser<"sync", number> {
  return numeric(COUNT, "N", "10");
}

/** A TCP port; 0 is any that is free. */
export function port(): ValueParser<"sync", number> {
  return numeric(PORT, "PORT", "8480");
}

/** Says in a line of help what an option is for, and what counts without it. */
export function helpOf(help: string, byDefault: string | number): Message {
  return [text(`${help}. Default: ${byDefault}`)];
}

/** Makes the option of a row; an empty text, as of an unset variable in a shell, is none. */
export function flagOf(
  { flag, variable, default: byDefault, defaultText }: Row,
  expected: string,
): Parser<"sync", string | undefined, unknown> {
  const { name, metavar, example, help } = flag!;
  const otherwise = [variable, "the file", defaultText ?? byDefault]
    .filter((part) => part !== undefined).join(", ");
  const read = (text: string): string | undefined => text || undefined;
  return optional(option(name, value({ metavar, expected, example, read }), {
    description: helpOf(help, otherwise),
  }));
}

/** A time in seconds, above 0. */
export function seconds(): ValueParser<"sync", number> {
  return numeric(FINITE_TIME, "S", "2.5");
}

/** An argument of an event or a request: JSON where it parses as JSON, else a text. */
export function pair(): ValueParser<"sync", readonly [string, unknown]> {
  return value({
    metavar: "NAME=VALUE",
    expected: "NAME=VALUE",
    example: "room=hall",
    read: (text) => {
      const pair = readPair(text);
      if (pair?.[0] !== "__proto__") return pair;
      throw new UsageError('"__proto__" cannot be a name');
    },
  });
}

/** Reads `NAME=VALUE`; the value is JSON where it parses as JSON, else a text. Whole numbers keep all their digits. */
export function readPair(
  pair: string,
): readonly [name: string, value: unknown] | undefined {
  const at = pair.indexOf("=");
  if (at < 1) return undefined;
  const name = pair.slice(0, at);
  const text = pair.slice(at + 1);
  if (name !== name.trim()) {
    throw new UsageError(
      `"${name}" has a blank beside it; write no blanks around the "="`,
    );
  }
  let value: unknown;
  try {
    value = JSON.parse(text, withAllDigits);
  } catch (error) {
    if (error instanceof SyntaxError) return [name, text];
    throw new UsageError(
      `${name}: the value is nested too deep, a message has at most ${MAX_DEPTH} levels`,
    );
  }
  const twice = keyGivenTwice(text);
  if (twice !== undefined) {
    throw new UsageError(
      `${name}: the key ${twice} is there twice in one object`,
    );
  }
  checkNumbers(text, name);
  return [name, value];
}

/** Reads a whole number that would lose digits as a `BigInt`. */
function withAllDigits(
  _key: string,
  value: unknown,
  { source = "" }: { source?: string } = {},
): unknown {
  return Number.isInteger(value) && !Number.isSafeInteger(value) &&
      WHOLE.test(source)
    ? BigInt(source)
    : value;
}

const WHOLE = /^-?\d+$/;

/**
 * Refuses numbers that would not arrive as they are written.
 *
 * @param text JSON, or a Python literal.
 * @param what What it is, for the error.
 * @throws {UsageError} There is such a number in it.
 */
export function checkNumbers(text: string, what: string): void {
  const tokens = text.matchAll(
    /"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?/gi,
  );
  for (const [token] of tokens) {
    if (/^["']/.test(token) || WHOLE.test(token)) continue;
    if (decimal(token) === decimal(String(Number(token)))) continue;
    throw new UsageError(
      `${what}: the number ${token} would not arrive as it is written; in quotes it is a text`,
    );
  }
}

/** Writes a number in one way only: its digits without zeros around them, and an exponent. */
function decimal(number: string): string {
  const parts = /^(-?)(\d*)\.?(\d*)(?:e([+-]?\d+))?$/i.exec(number);
  if (parts === null) return number; // Infinity
  const [, sign, whole = "", fraction = "", exponent = "0"] = parts;
  const digits = (whole + fraction).replace(/^0+/, "");
  const short = digits.replace(/0+$/, "");
  const zeros = digits.length - short.length;
  return short === ""
    ? "0"
    : `${sign}${short}e${Number(exponent) - fraction.length + zeros}`;
}

/** Finds a key, in quotes, that an object of a JSON text has twice: only the last one would count. */
function keyGivenTwice(json: string): string | undefined {
  const objects: Set<string>[] = [];
  let token = "";
  for (const [each] of json.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}:]/g)) {
    if (each === "{" || each === "[") objects.push(new Set());
    else if (each === "}" || each === "]") objects.pop();
    else if (each === ":") {
      const key: string = JSON.parse(token);
      const keys = objects.at(-1)!;
      if (keys.has(key)) return token;
      keys.add(key);
    }
    token = each;
  }
  return undefined;
}

/**
 * Puts arguments together.
 *
 * @param taken A name that is given otherwise.
 * @throws {UsageError} A name is there twice.
 */
export function argsOf(
  pairs: readonly (readonly [string, unknown])[],
  taken?: string,
): Record<string, unknown> {
  const names = new Set<string>();
  for (const [name] of pairs) {
    if (name === taken) {
      throw new UsageError(
        `"${name}" is what stands in front of the arguments; it cannot be one of them, too`,
      );
    }
    if (names.has(name)) {
      throw new UsageError(
        `"${name}" is there twice; for a list write ${name}='["a", "b"]'`,
      );
    }
    names.add(name);
  }
  return Object.fromEntries(pairs);
}

/** Any text but the empty one. */
export function filled(
  metavar: Metavar,
  expected: string,
  example: string,
): ValueParser<"sync", string> {
  return value({
    metavar,
    expected,
    example,
    read: (text) => text.trim() === "" ? undefined : text,
  });
}

/** A name in front of NAME=VALUE; one of these in its place shows that it is missing. */
export function subject(
  metavar: Metavar,
  expected: string,
  example: string,
): ValueParser<"sync", string> {
  const read = (text: string): string | undefined =>
    text.trim() === "" || text.includes("=") ? undefined : text;
  return value({ metavar, expected, example, read });
}

/** The path of a file, which shells complete. */
export function file(): ValueParser<"sync", string> {
  return {
    ...filled("FILE", "the path of a file", "config.yaml"),
    suggest: (prefix) => [{ kind: "file", pattern: prefix, type: "any" }],
  };
}

/** The number of seconds in each unit of a time. */
const UNITS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
};

/** A length of time, such as an age or a delay, in seconds. */
export function duration(): ValueParser<"sync", number> {
  return value({
    metavar: "DURATION",
    expected: "a number of seconds, or one with the unit s, m, h or d",
    example: "2h",
    read: (text) => {
      const match = /^(\d+\.?\d*|\.\d+)([smhd]?)$/.exec(text);
      return match === null
        ? undefined
        : Number(match[1]) * UNITS[match[2] || "s"]!;
    },
  });
}
