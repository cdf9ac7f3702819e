import { nearest } from "./nearest.ts";

/** A kind of values that an option or an argument may have. */
export interface Kind {
  /** The kind in words, for an error: "a number of seconds above 0". */
  readonly expected: string;
  /** Tells whether a value is of this kind. */
  readonly accepts: (value: unknown) => boolean;
  /** Says more exactly than `expected` why a value is refused, without showing it. */
  readonly explain?: (value: unknown) => string | undefined;
  /** Makes of a value that was given the one that is used. */
  readonly adapt?: (value: unknown) => unknown;
  /** Throws a RangeError that shows the value, not a TypeError, which keeps it to itself. */
  readonly isRange?: boolean;
}

/**
 * One option, told once: the check of a constructor, the configuration file,
 * the environment, the command line and the tables of the documentation all go
 * by its row.
 */
export interface Row extends Kind {
  /** Its other names, such as Platypush's. */
  readonly aliases?: readonly string[];
  /** It has to be given. */
  readonly isRequired?: boolean;
  /** `null` says as little as leaving it out, as Python's `None`. */
  readonly isNullable?: boolean;
  /** The value where it is not given. */
  readonly default?: unknown;
  /** The default in words, where it depends on something else. */
  readonly defaultText?: string;
  /** No configuration file can have it. In a file it is called as here, in snake_case. */
  readonly isCodeOnly?: boolean;
  /** The option of the command line that says it. */
  readonly flag?: Flag;
  /** The environment variable that says it. */
  readonly variable?: string;
  /** It is taken, for the sake of those who know it from elsewhere, and has no effect. */
  readonly isIgnored?: boolean;
  /** The option of which it says more: without that, it would be passed over. */
  readonly belongsTo?: string;
  /** Its value is never shown. */
  readonly isSecret?: boolean;
  /**
   * It keeps others out: one that is there and undefined, as a variable that is
   * not set, is refused, since leaving it out lets everybody in; but for one that
   * may be `null`, which says so.
   */
  readonly isProtection?: boolean;
  /** Says what it decides, in one line, for the documentation. */
  readonly description?: string;
}

/** An option of the command line. */
interface Flag {
  /** Such as `--queue`. */
  readonly name: `--${string}`;
  /** The word for a value in help texts. */
  readonly metavar: "NAME" | "ID" | "URL";
  /** A value to show. */
  readonly example: string;
  /** The line in help texts. */
  readonly help: string;
}

/** Another name of an option, which has no row of its own. */
type OptionAlias =
  | "redis_args"
  | "poll_seconds"
  | "device_id"
  | "srv_type"
  | "srv_name"
  | "on_response"
  | "response_timeout"
  | "queue_name";

/**
 * The row of every option, so that the compiler finds one that is missing.
 * Options under `Filled` have a default in their rows.
 */
export type Rows<Options, Filled extends keyof Options = never> = {
  readonly [Name in keyof Omit<Options, OptionAlias>]-?: Name extends Filled
    ? Row & { readonly default: NonNullable<Options[Name]> }
    : Row;
};

/** Options that were checked, with the defaults of their rows. */
export type Checked<Options, Filled extends keyof Options = never> =
  & { [Name in keyof Omit<Options, Filled>]: Exclude<Options[Name], null> }
  & { [Name in Filled]-?: NonNullable<Options[Name]> };

/** Something that is wrong with an option. */
interface Problem {
  /** The option. */
  readonly name: string;
  /** Says what it has to be, where it is there and something else. */
  readonly expected: string | undefined;
  /** Says what is wrong, in words that show nothing secret. */
  readonly text: string;
  /** It is of the right kind and makes no sense. */
  readonly isRange: boolean;
}

/** Makes a row of a kind. */
export function row<Facts extends Omit<Row, keyof Kind>>(
  kind: Kind,
  facts: Facts,
): Kind & Facts {
  return { ...kind, ...facts };
}

/** Makes a kind that shows no value in an error, which may be a secret. */
export function hidden(kind: Kind): Kind {
  return { ...kind, isRange: false };
}

/**
 * Checks options, calls each by its own name, and fills in the defaults.
 *
 * @param what Continues `Cannot ...` in an error.
 * @param options The options as somebody wrote them; undefined ones are not given.
 * @param rows Every option that there is; others are refused, since they would
 * be passed over silently.
 * @returns A copy without aliases and undefined values.
 * @throws {TypeError} There is no such option, one is missing, given under two
 * names or of another kind, or the options are no object.
 * @throws {RangeError} A value makes no sense.
 */
export function checkOptions<Options, Filled extends keyof Options = never>(
  what: string,
  options: object,
  rows: Rows<Options, Filled>,
): Checked<Options, Filled> {
  if (!showsMembers(options)) {
    throw new TypeError(
      `Cannot ${what}: the options have to be an object, such as { ${
        Object.keys(rows)[0]
      } }`,
    );
  }
  const problem = problemIn(options, rows);
  if (problem !== undefined) refuse(what, problem);
  const defaults = Object.entries<Row>(rows)
    .map(([name, row]) => [name, row.default])
    .filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(defaults),
    ...withoutAliases(options, rows),
  } as Checked<Options, Filled>;
}

/**
 * Checks one value by itself, such as an argument.
 *
 * @param what Continues `Cannot ...` in an error.
 * @throws {TypeError} It is missing or of another kind.
 * @throws {RangeError} It makes no sense.
 */
export function checkValue(
  what: string,
  name: string,
  value: unknown,
  row: Row,
): void {
  const problem = problemWith(name, value, row);
  if (problem !== undefined) refuse(what, problem);
}

/**
 * The error for `new` where the constructor is private: plain JavaScript can call
 * it all the same.
 *
 * @param method The one that makes an instance, such as `Inbox.open`.
 */
export function notByNew(method: string): TypeError {
  const [name] = method.split(".");
  return new TypeError(
    `Cannot make one by \`new ${name}()\`, since it connects first; expected \`await ${method}(\u2026)\``,
  );
}

/** Finds the first thing that is wrong with options. */
export function problemIn(
  options: object,
  rows: Readonly<Record<string, Row>>,
): Problem | undefined {
  const names = new Map<string, string>();
  for (const [name, { aliases = [] }] of Object.entries(rows)) {
    for (const each of [name, ...aliases]) names.set(each, name);
  }
  const given = new Map<string, string>();
  for (const [written, value] of Object.entries(options)) {
    const name = names.get(written);
    if (name === undefined) {
      return misfit(
        written,
        `there is no option \`${written}\`; the nearest one is \`${
          nearest(written, Object.keys(rows))
        }\``,
      );
    }
    if (value === undefined) {
      if (!rows[name]!.isProtection || rows[name]!.isNullable) continue;
      return misfit(
        name,
        `\`${written}\` is undefined, expected ${
          rows[name]!.expected
        }; leave the option out to do without`,
      );
    }
    const other = given.get(name);
    if (other !== undefined) {
      return misfit(
        name,
        `\`${other}\` and \`${written}\` are the same option; give one of them`,
      );
    }
    given.set(name, written);
  }
  for (const [name, row] of Object.entries(rows)) {
    const problem = problemWith(name, valueOf(options, name, row), row);
    if (problem !== undefined) return problem;
    const { belongsTo } = row;
    if (belongsTo !== undefined && given.has(name) && !given.has(belongsTo)) {
      return misfit(
        name,
        `\`${name}\` says more of \`${belongsTo}\`, and that is missing; give it, too`,
      );
    }
  }
  return undefined;
}

/** Finds what is wrong with the value of one option; `undefined` is not given. */
export function problemWith(
  name: string,
  value: unknown,
  row: Row,
): Problem | undefined {
  const { expected, isRange = false } = row;
  if (value === undefined || (value === null && row.isNullable)) {
    return row.isRequired
      ? misfit(name, `\`${name}\` is missing, expected ${expected}`)
      : undefined;
  }
  if (row.accepts(value)) return undefined;
  const reason = row.explain?.(value);
  if (reason !== undefined) return misfit(name, reason);
  const text = isRange
    ? `\`${name}\` is ${Deno.inspect(value)}, expected ${expected}`
    : `\`${name}\` has to be ${expected}`;
  return { name, expected, text, isRange };
}

/**
 * Reads a value that may have been written as text: as it is, as a number, or as
 * a yes or no.
 *
 * @returns The value as the kind accepts it; `undefined` if it does not.
 */
export function readAs(kind: Kind, value: unknown): unknown {
  const candidates = [value];
  if (typeof value === "string") {
    if (NUMBER.test(value)) candidates.push(Number(value));
    candidates.push(WORDS.get(value.toLowerCase()));
  }
  return candidates.find((each) => each !== undefined && kind.accepts(each));
}

const NUMBER = /^(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i;
const WORDS: ReadonlyMap<string, boolean> = new Map([
  ["true", true],
  ["yes", true],
  ["on", true],
  ["false", false],
  ["no", false],
  ["off", false],
]);

/** Gives the name of an option in a configuration file: `batch_size` for `batchSize`. */
export function nameInFile(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * Calls each option by its own name.
 *
 * @returns A copy without aliases and what is not given.
 */
export function withoutAliases<Options extends object>(
  options: Options,
  rows: Readonly<Record<string, Row>>,
): Checked<Options> {
  return Object.fromEntries(
    Object.entries(rows)
      .map(([name, row]) => [name, valueOf(options, name, row)])
      .filter(([, value]) => value !== undefined)
      .map((
        [name, value],
      ) => [name, rows[name as string]!.adapt?.(value) ?? value]),
  ) as Checked<Options>;
}

/** Looks up what is given for an option, under whichever name. */
function valueOf(options: object, name: string, row: Row): unknown {
  const values = options as Readonly<Record<string, unknown>>;
  const value = [name, ...row.aliases ?? []]
    .map((each) => values[each])
    .find((each) => each !== undefined);
  return value === null && row.isNullable ? undefined : value;
}

function misfit(name: string, text: string): Problem {
  return { name, expected: undefined, text, isRange: false };
}

function refuse(what: string, { text, isRange }: Problem): never {
  const message = `Cannot ${what}: ${text}`;
  throw isRange ? new RangeError(message) : new TypeError(message);
}

/**
 * Tells whether a value is an object that shows what it holds: a `Map`, a `Date`
 * or a promise would pass for one without any option.
 */
export function showsMembers(value: unknown): value is object {
  // That of a module, as of a file of options, is "Module".
  const tag = Object.prototype.toString.call(value);
  return tag === "[object Object]" || tag === "[object Module]";
}
