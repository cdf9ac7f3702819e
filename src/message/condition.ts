import { createLogger, type Logger } from "../logger.ts";
import { nearest } from "../nearest.ts";
import { SearchTooLongError } from "./bounded_search.ts";
import type { Event } from "./event.ts";
import {
  ANY_EVENT,
  canonicalType,
  hasPhrases,
  isUnknownType,
  knownTypes,
  typesOf,
} from "./event_types.ts";
import { isRecord, jsonValue, kindOf } from "./json_value.ts";
import { EXACT, Phrase, textsIn } from "./phrase.ts";
import { literalsIn, PythonRegex } from "./python_regex.ts";
import { parsePythonFloat, pythonEquals } from "./python_text.ts";

/**
 * Says, for {@linkcode compileCondition}, what an event's `args` have to be:
 * equal to a value, or as an object of operators says.
 */
export type Condition = Readonly<Record<string, unknown>>;

/**
 * The match of an event with a condition, from {@linkcode Event.match}: how good
 * it is, and what the phrase has caught.
 */
export interface EventMatch {
  /**
   * Says how well it matches: the mean over the arguments that the condition
   * compares with a value, 0 where it compares none. Of the hooks that match
   * one event, those with the highest score are called.
   */
  readonly score: number;
  /** The texts that the names of a phrase, such as `${lights}`, stand for. */
  readonly captures: Readonly<Record<string, string>>;
}

/** One thing that a condition asks for at one place of the `args`. */
export interface ConditionKey {
  /** Names, from the outermost object on. */
  readonly path: readonly string[];
  /** The value that has to be there, where no literals are given; `undefined` if any will do. */
  readonly value: unknown;
  /** Texts, of which the one that is there contains one, where case does not count. */
  readonly literals?: readonly string[];
  /** True if the value is a phrase to events that have some. */
  readonly isPhrase: boolean;
}

/** A condition that was read. */
export interface CompiledCondition {
  /** The class of events that it is for, where it names one. */
  readonly type: string;
  /** Things that have to be somewhere in the `args`, to find it by; the best first. */
  readonly keys: readonly ConditionKey[];
  /** Says how an event meets it, or nothing where it does not. */
  match(event: Event): EventMatch | undefined;
}

/** Collects what is known of a match while it is being made. */
interface Matching {
  readonly hasPhrases: boolean;
  readonly scores: number[];
  /** The sum over the texts so far, which Platypush carries from one to the next. */
  texts: number;
  captures: Readonly<Record<string, string>>;
}

/** Tells whether a value is as it should be. */
type Test = (value: unknown, matching: Matching) => boolean;

/** One place in the `args`, and where to log what is wrong there. */
class ArgsPlace {
  readonly path: string;
  readonly logger: Logger;

  constructor(path: string, logger: Logger) {
    this.path = path;
    this.logger = logger;
  }

  /** The place of what an object here has under a key. */
  inside(key: string): ArgsPlace {
    return new ArgsPlace(`${this.path}.${key}`, this.logger);
  }
}

const NO_CAPTURES: Readonly<Record<string, string>> = Object.freeze({});

/**
 * Makes a test of events out of a condition, as in Platypush's event hooks.
 *
 * Its `type` is the name of a class of events: the test holds for those that
 * are derived from it, too; `platypush.events.*` is the same as
 * `platypush.message.event.*`, and {@linkcode defineEventType} adds types.
 * Each other key names one of the event's `args`, which has to be there. Its
 * value is
 * - an object of operators, all of which have to hold, one after the other:
 *   `$gt`, `$gte`, `$lt`, `$lte` read both sides as numbers as Python's `float`
 *   does, also out of texts such as `"21.5"`; `$eq`, `$ne` compare as a whole;
 *   `$regex` searches a text for a regular expression of Python's;
 * - another object: the event has at least these keys, each as it says;
 * - in a `SpeechRecognizedEvent`, a text: a phrase, compared word by word, as
 *   `docs/hooks.md` describes;
 * - anything else: what the event's value has to be equal to, as in Python:
 *   `true` equals `1`.
 *
 * `null` in an event matches no operator but `$eq` and `$ne`. An unknown
 * operator never matches, and is logged once as a warning. A value that an
 * operator cannot compare does not match either. It came from elsewhere, so it
 * is logged at the level debug.
 *
 * @param condition The condition. It is read once: later changes to it have no
 * effect.
 * @param logger Where to log. The category `["platypush", "redis", "message"]`
 * by default.
 * @returns The test.
 * @throws {TypeError} If the condition is no object, or holds what no event can:
 * `undefined`, functions, a `RegExp`.
 * @throws {RegexError} If a regular expression cannot be used; says why.
 * @throws {MessageError} If the condition contains itself.
 *
 * @example
 * ```ts
 * import { compileCondition, Event } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const isWarm = compileCondition({
 *   type: "platypush.message.event.sensor.SensorDataEvent",
 *   data: { temperature: { $gte: 21, $lt: 30 } },
 * });
 * const event = new Event({
 *   args: {
 *     type: "platypush.message.event.sensor.SensorDataChangeEvent",
 *     data: { temperature: 21.5, humidity: 40 },
 *   },
 * });
 * assert.ok(isWarm(event));
 * ```
 */
export function compileCondition(
  condition: Condition,
  logger: Logger = createLogger("message"),
): (event: Event) => boolean {
  const { match } = readCondition(condition, logger);
  return (event) => match(event) !== undefined;
}

/** Reads a condition, as {@linkcode compileCondition} describes. */
export function readCondition(
  condition: Condition,
  logger: Logger,
): CompiledCondition {
  const expected = jsonValue(condition);
  if (!isRecord(expected)) {
    throw new TypeError(
      `Cannot use the condition: it is ${
        kindOf(expected)
      }, expected an object of what the event's "args" have to be`,
    );
  }
  refuseNonsense(condition, "args");
  refuseMisplaced(expected);
  const { type = ANY_EVENT, ...others } = expected;
  const isNamed = typeof type === "string";
  const test = compileRecord(
    isNamed ? others : expected,
    new ArgsPlace("args", logger),
  );
  const name = isNamed ? canonicalType(type) : ANY_EVENT;
  warnOfUnknownType(name, logger);
  const keys = [...keysOf(isNamed ? others : expected, hasPhrases(name))];
  return {
    type: name,
    keys: keys.sort(byRarity),
    match({ args }): EventMatch | undefined {
      if (name !== ANY_EVENT && !typesOf(args.type).has(name)) return undefined;
      const matching: Matching = {
        hasPhrases: hasPhrases(args.type),
        scores: [],
        texts: 0,
        captures: NO_CAPTURES,
      };
      if (!test(args, matching)) return undefined;
      const { scores, captures } = matching;
      const sum = scores.reduce((sum, score) => sum + score, 0);
      return { score: scores.length === 0 ? 0 : sum / scores.length, captures };
    },
  };
}

/**
 * Lists what a condition asks for, wherever it is.
 *
 * @param isSaid True if its texts are phrases to all events that it is for.
 */
function* keysOf(
  condition: Record<string, unknown>,
  isSaid: boolean,
  outer: readonly string[] = [],
): Generator<ConditionKey> {
  if (Object.keys(condition).length === 0) yield presenceAt(outer);
  for (const [name, value] of Object.entries(condition)) {
    const path = [...outer, name];
    if (typeof value === "string") {
      const texts = isSaid ? textsIn(value) : [];
      for (const literals of texts) {
        yield { path, value, literals, isPhrase: true };
      }
      if (texts.length === 0) yield { path, value, isPhrase: true };
    } else if (!isRecord(value)) yield* equalKeysOf(value, path);
    else if (Object.keys(value).some((key) => key.startsWith("$"))) {
      yield* operatorKeysOf(value, path);
    } else yield* keysOf(value, isSaid, path);
  }
}

/** Lists what is in all values that are equal to one. */
function* equalKeysOf(
  value: unknown,
  path: readonly string[],
): Generator<ConditionKey> {
  if (typeof value !== "object" || value === null) {
    yield { path, value, isPhrase: false };
    return;
  }
  const items = Object.entries(value);
  if (items.length === 0) yield presenceAt(path);
  for (const [name, item] of items) yield* equalKeysOf(item, [...path, name]);
}

function* operatorKeysOf(
  operators: Record<string, unknown>,
  path: readonly string[],
): Generator<ConditionKey> {
  const { $eq: expected, $regex: pattern } = operators;
  // After a numeric operator, `$eq` compares with the number that it has read.
  if (Object.keys(operators)[0] === "$eq") yield* equalKeysOf(expected, path);
  if (typeof pattern === "string") {
    for (const literals of literalsIn(pattern)) {
      yield { path, value: undefined, literals, isPhrase: false };
    }
  }
  yield presenceAt(path);
}

function presenceAt(path: readonly string[]): ConditionKey {
  return { path, value: undefined, isPhrase: false };
}

/** Prefers what few events share: a text or a number, then literals, then `true`, `false` and `null`, then anything. */
function byRarity(a: ConditionKey, b: ConditionKey): number {
  const rank = ({ value, literals, isPhrase }: ConditionKey): number => {
    if (literals !== undefined && !isPhrase) return 1;
    if (value === undefined) return 3;
    return value === null || typeof value === "boolean" ? 2 : 0;
  };
  return rank(a) - rank(b);
}

/** Refuses values that no event has, and that would be passed over. */
function refuseNonsense(value: unknown, path: string): void {
  const isNonsense = ["undefined", "function", "symbol"].includes(typeof value);
  if (isNonsense || value instanceof RegExp) {
    const hint = value instanceof RegExp
      ? '; for a regular expression write { $regex: "..." }'
      : "";
    throw new TypeError(
      `Cannot use the condition: "${path}" is ${
        value instanceof RegExp ? "a RegExp" : `of the type ${typeof value}`
      }, expected a JSON value${hint}`,
    );
  }
  if (typeof value !== "object" || value === null) return;
  for (const [key, item] of Object.entries(value)) {
    refuseNonsense(item, `${path}.${key}`);
  }
}

/** Operators, also of other query languages, that nobody means as the name of an argument. */
const MISPLACED = [
  ...["$gt", "$gte", "$lt", "$lte", "$eq", "$ne", "$regex"],
  ...["$or", "$and", "$nor", "$not", "$in", "$nin", "$exists"],
];

/** Refuses what is at the top of a condition, and can only match further down. */
function refuseMisplaced(condition: Record<string, unknown>): void {
  for (const [key, value] of Object.entries(condition)) {
    const problem = MISPLACED.includes(key)
      ? `"${key}" stands for no argument; operators are written inside of one, as in { level: { $gt: 3 } }`
      : key.startsWith("args.")
      ? `a condition is on the event's "args": write "${
        key.slice(5)
      }" for "${key}"`
      : key === "args" && isRecord(value) && "type" in value
      ? 'a condition is on the event\'s "args": write what is in "args" without it'
      : key === "type" && !isRecord(value) &&
          (typeof value !== "string" || value === "")
      ? `"type" is ${
        value === "" ? "empty" : kindOf(value)
      }, expected the name of a class of events`
      : undefined;
    if (problem === undefined) continue;
    throw new TypeError(`Cannot use the condition: ${problem}`);
  }
}

function warnOfUnknownType(name: string, logger: Logger): void {
  if (!isUnknownType(name)) return;
  logger.warn(
    `The condition is on ${
      JSON.stringify(name)
    }, a class that is not known here, and matches only events of this very name; the nearest that is known is ${
      JSON.stringify(nearest(name, knownTypes()))
    }`,
  );
}

const compiled = new WeakMap<Condition, CompiledCondition>();

/** Gives a condition as it was read when it was first used. */
export function conditionOf(condition: Condition): CompiledCondition {
  let read = compiled.get(condition);
  if (read === undefined) {
    read = readCondition(condition, createLogger("message"));
    compiled.set(condition, read);
  }
  return read;
}

function compileValue(expected: unknown, place: ArgsPlace): Test {
  if (isRecord(expected)) {
    const keys = Object.keys(expected);
    return keys.some((key) => key.startsWith("$"))
      ? compileOperators(expected, place)
      : compileRecord(expected, place);
  }
  if (typeof expected === "string") return compileText(expected, place);
  return (value, matching) => {
    // A text is compared with phrases only.
    if (typeof value === "string" || !pythonEquals(value, expected)) {
      return false;
    }
    matching.scores.push(2);
    return true;
  };
}

function compileText(expected: string, place: ArgsPlace): Test {
  let phrase: Phrase | undefined;
  return (value, matching) => {
    if (typeof value !== "string") return false;
    if (!matching.hasPhrases) {
      if (value !== expected) return false;
      matching.texts += 2;
      matching.scores.push(matching.texts);
      return true;
    }
    const match = tooLongIsNone(place, () => {
      phrase ??= readPhrase(expected, place);
      return phrase.match(value, matching.captures);
    });
    if (match === undefined) return false;
    const { score, captures } = match;
    matching.texts = score === EXACT ? EXACT : matching.texts + score;
    matching.scores.push(matching.texts);
    matching.captures = captures;
    return true;
  };
}

function readPhrase(text: string, place: ArgsPlace): Phrase {
  const phrase = new Phrase(text);
  for (const { message } of phrase.faults) {
    place.logger.debug(
      `The phrase for ${place.path} has a word that only matches itself: ${message}`,
    );
  }
  return phrase;
}

function compileRecord(
  expected: Record<string, unknown>,
  place: ArgsPlace,
): Test {
  const tests = Object.entries(expected).map(([key, value]): Test => {
    const test = compileValue(value, place.inside(key));
    return (actual, matching) =>
      Object.hasOwn(actual as object, key) &&
      test((actual as Record<string, unknown>)[key], matching);
  });
  return (value, matching) =>
    isRecord(value) && tests.every((test) => test(value, matching));
}

/** A value that has passed an operator: to those that follow it is as read. */
type Operator = (value: unknown) => { readonly value: unknown } | undefined;

function compileOperators(
  expected: Record<string, unknown>,
  place: ArgsPlace,
): Test {
  const operators = Object.entries(expected).map(([name, value]) =>
    operator(name, value, place)
  );
  return (value) => {
    for (const operator of operators) {
      const passed = operator(value);
      if (passed === undefined) return false;
      ({ value } = passed);
    }
    return true;
  };
}

function operator(
  name: string,
  expected: unknown,
  place: ArgsPlace,
): Operator {
  switch (name) {
    case "$eq":
      return (value) => pythonEquals(value, expected) ? { value } : undefined;
    case "$ne":
      return (value) => pythonEquals(value, expected) ? undefined : { value };
    case "$gt":
      return numeric(name, expected, place, (a, b) => a > b);
    case "$gte":
      return numeric(name, expected, place, (a, b) => a >= b);
    case "$lt":
      return numeric(name, expected, place, (a, b) => a < b);
    case "$lte":
      return numeric(name, expected, place, (a, b) => a <= b);
    case "$regex":
      return regex(expected, place);
    default:
      return never(
        place,
        `has the unknown operator ${JSON.stringify(name)}`,
        "known are $gt, $gte, $lt, $lte, $eq, $ne and $regex",
      );
  }
}

/** Makes an operator that matches nothing, and says why. */
function never(place: ArgsPlace, problem: string, hint: string): Operator {
  place.logger.warn(
    `The condition on ${place.path} ${problem} and never matches; ${hint}`,
  );
  return () => undefined;
}

function numeric(
  name: string,
  expected: unknown,
  place: ArgsPlace,
  compare: (actual: number, expected: number) => boolean,
): Operator {
  const limit = toNumber(expected);
  if (limit === undefined) {
    const problem = `compares by ${name} with ${kindOf(expected)}`;
    return never(place, problem, "expected a number");
  }
  return (value) => {
    const number = toNumber(value);
    if (number === undefined) {
      logMismatch(place, name, value, "a number");
      return undefined;
    }
    return compare(number, limit) ? { value: number } : undefined;
  };
}

function regex(expected: unknown, place: ArgsPlace): Operator {
  if (typeof expected !== "string") {
    const problem = `searches by $regex for ${kindOf(expected)}`;
    return never(place, problem, "expected a string");
  }
  const regex = new PythonRegex(expected);
  return (value) => {
    if (typeof value !== "string") {
      logMismatch(place, "$regex", value, "a string");
      return undefined;
    }
    const found = tooLongIsNone(place, () => regex.test(value));
    return found ? { value } : undefined;
  };
}

/** Gives nothing, and says so, where a search takes too many steps. */
function tooLongIsNone<Result>(
  place: ArgsPlace,
  search: () => Result,
): Result | undefined {
  try {
    return search();
  } catch (error) {
    if (!(error instanceof SearchTooLongError)) throw error;
    place.logger.warn(
      `The event's ${place.path} does not match: the search for a regular expression has ended after ${error.steps} steps; write the expression without look-around and references to groups`,
    );
    return undefined;
  }
}

function logMismatch(
  place: ArgsPlace,
  name: string,
  value: unknown,
  expected: string,
): void {
  if (value === null) return;
  place.logger.debug(
    `The event's ${place.path} is ${
      kindOf(value)
    } and does not match ${name}; expected ${expected}`,
  );
}

/** Reads a number as Python's `float` does; `undefined` where that fails. */
function toNumber(value: unknown): number | undefined {
  switch (typeof value) {
    case "number":
      return value;
    case "boolean":
      return Number(value);
    case "bigint": {
      const number = Number(value);
      return Number.isFinite(number) ? number : undefined;
    }
    case "string":
      return parsePythonFloat(value);
    default:
      return undefined;
  }
}
