import { message, text } from "@optique/core/message";
import { string, type ValueParser } from "@optique/core/valueparser";
import { UsageError } from "./program.ts";

/** A kind of values that is told from texts. */
interface ValueKind<T> {
  /** The word for a value in help texts, as in `--wait S`. */
  readonly metavar:
    | "N"
    | "S"
    | "NAME"
    | "ID"
    | "URL"
    | "NAME=VALUE"
    | "PATH=VALUE"
    | "AGE";
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

/** A number of things, from 1 on. */
export function count(): ValueParser<"sync", number> {
  return value({
    metavar: "N",
    expected: "a whole number above 0",
    example: "10",
    read: (text) =>
      /^\d{1,15}$/.test(text) ? Number(text) || undefined : undefined,
  });
}

/** Any text but the empty one, which a variable that is not set makes in a shell. */
export function filled(
  metavar: "NAME" | "ID" | "URL",
  expected: string,
  example: string,
): ValueParser<"sync", string> {
  return value({
    metavar,
    expected,
    example,
    read: (text) => text === "" ? undefined : text,
  });
}

/** A time in seconds, above 0. */
export function seconds(): ValueParser<"sync", number> {
  return value({
    metavar: "S",
    expected: "seconds above 0",
    example: "2.5",
    read: (text) =>
      /^(\d+\.?\d*|\.\d+)$/.test(text) ? Number(text) || undefined : undefined,
  });
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

/** Reads `NAME=VALUE`; the value is JSON where it parses as JSON, else a text. A whole number keeps all its digits. */
export function readPair(
  pair: string,
): readonly [name: string, value: unknown] | undefined {
  const at = pair.indexOf("=");
  if (at < 1) return undefined;
  const text = pair.slice(at + 1);
  try {
    const value: unknown = JSON.parse(text);
    const isRounded = typeof value === "number" &&
      !Number.isSafeInteger(value) && /^\s*-?\d+\s*$/.test(text);
    return [pair.slice(0, at), isRounded ? BigInt(text) : value];
  } catch {
    return [pair.slice(0, at), text];
  }
}

/** The path of a file, which shells complete. */
export function file(): ValueParser<"sync", string> {
  return {
    ...string({ metavar: "FILE" }),
    suggest: (prefix) => [{ kind: "file", pattern: prefix, type: "any" }],
  };
}

/** The number of seconds in a unit of an age. */
const UNITS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86_400,
};

/** An age, in seconds. */
export function age(): ValueParser<"sync", number> {
  return value({
    metavar: "AGE",
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
