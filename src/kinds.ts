import { type Logger, quoted } from "./logger.ts";
import { type Kind, type Row, showsMembers } from "./options.ts";

export const TEXT: Kind = {
  expected: "a text",
  accepts: (value) => typeof value === "string",
};

/** A name of something in Redis, which does not take every empty one. */
export const NAME: Kind = {
  expected: "a name, a text that is not empty",
  accepts: (value) => typeof value === "string" && value !== "",
};

export const NAMES: Kind = {
  expected: "a name or a list of names, at least one and none empty",
  accepts: (value) =>
    Array.isArray(value)
      ? value.length > 0 && value.every(NAME.accepts)
      : NAME.accepts(value),
};

export const TEXTS: Kind = {
  expected: "a list of texts",
  accepts: (value) => Array.isArray(value) && value.every(TEXT.accepts),
};

export const NUMBERS: Kind = {
  expected: "a list of numbers",
  accepts: (value) =>
    Array.isArray(value) && value.every((each) => typeof each === "number"),
};

export const FLAG: Kind = {
  expected: "true or false",
  accepts: (value) => typeof value === "boolean",
};

/** Lets the process end. */
export const DAEMON: Row & { readonly default: false } = {
  ...FLAG,
  default: false,
};

export const OBJECT: Kind = {
  expected: "an object",
  accepts: showsMembers,
};

/** A message, as it is on the wire. */
export const TEXT_OR_BYTES: Kind = {
  expected: "a text or bytes",
  accepts: (value) => typeof value === "string" || value instanceof Uint8Array,
};

export const FUNCTION: Kind = {
  expected: "a function",
  accepts: (value) => typeof value === "function",
};

const METHODS = ["debug", "info", "warn", "error"];

export const LOGGER: Kind = {
  expected: `an object with the functions ${METHODS.join(", ")}`,
  accepts: (value) =>
    (typeof value === "object" && value !== null ||
      FUNCTION.accepts(value)) &&
    METHODS.every((name) =>
      FUNCTION.accepts((value as Record<string, unknown>)[name])
    ),
  adapt: (value) => quoted(value as Logger),
};

export const SIGNAL: Kind = {
  expected: "an AbortSignal",
  accepts: (value) => value instanceof AbortSignal,
};

export const SCHEMA: Kind = {
  expected: "a schema that speaks Standard Schema",
  accepts: (value) =>
    (typeof value === "object" || typeof value === "function") &&
    value !== null && "~standard" in value,
};

export const SECONDS: Kind = {
  expected: "a number of seconds from 0 on",
  accepts: (value) => typeof value === "number" && value >= 0,
  isRange: true,
};

/** A time limit that leaves time for something. */
export const TIME_LIMIT: Kind = {
  expected: "a number of seconds above 0",
  accepts: (value) => typeof value === "number" && value > 0,
  isRange: true,
};

export const COUNT: Kind = {
  expected: "a whole number above 0",
  accepts: (value) => Number.isSafeInteger(value) && Number(value) > 0,
  isRange: true,
};

/** A limit of bytes; `Infinity` is none. */
export const SIZE: Kind = {
  expected: "a number of bytes above 0",
  accepts: (value) => typeof value === "number" && value > 0,
  isRange: true,
};

export const INDEX: Kind = {
  expected: "a whole number from 0 on",
  accepts: (value) => Number.isSafeInteger(value) && Number(value) >= 0,
  isRange: true,
};

export const PORT: Kind = {
  expected: "a whole number from 0 to 65535",
  accepts: (value) => INDEX.accepts(value) && Number(value) <= 65_535,
  isRange: true,
};

/** Makes a kind of a few texts. */
export function oneOf(...choices: readonly string[]): Kind {
  return {
    expected: choices.map((choice) => `"${choice}"`).join(" or "),
    accepts: (value) => choices.some((choice) => choice === value),
    isRange: true,
  };
}

/** Makes a kind that lists are of, too. */
export function oneOrMore(kind: Kind): Kind {
  return {
    ...kind,
    expected: `${kind.expected}, or a list of such`,
    accepts: (value) =>
      Array.isArray(value) ? value.every(kind.accepts) : kind.accepts(value),
  };
}

/** Makes a kind of something that has to be there. */
export function required(kind: Kind): Row {
  return { ...kind, isRequired: true };
}
