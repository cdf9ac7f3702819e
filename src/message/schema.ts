import { Event } from "./event.ts";
import { MessageError } from "./message_error.ts";

/**
 * Says what values have to be, and of which type they then are: a schema of Zod,
 * Valibot, ArkType, or of any other library that speaks
 * [Standard Schema](https://standardschema.dev).
 *
 * @example
 * ```ts
 * import { Bus, type Schema } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * // With Zod: const Motion = z.object({ room: z.string() });
 * const Motion: Schema<{ room: string }> = {
 *   "~standard": {
 *     version: 1,
 *     vendor: "example",
 *     validate: (value) => {
 *       const { room } = value as { room?: unknown };
 *       return typeof room === "string"
 *         ? { value: { room } }
 *         : { issues: [{ message: "expected a text", path: ["room"] }] };
 *     },
 *   },
 * };
 * await using bus = new Bus({ name: "example/schema", deviceId: "hall" });
 * const rooms: string[] = [];
 * bus.on({ type: "custom.Motion" }, (event) => {
 *   rooms.push(event.args.room.toUpperCase());
 * }, { schema: Motion });
 * const receipt = await bus.post([
 *   { type: "event", args: { type: "custom.Motion", room: "hall" } },
 *   { type: "event", args: { type: "custom.Motion", room: 5 } },
 * ]);
 * const [failure] = await receipt.handled;
 * assert.deepEqual(rooms, ["HALL"]);
 * assert.equal(failure?.reason, "malformed");
 * ```
 */
export interface Schema<Output = unknown, Input = unknown> {
  /** The schema, as the first version of Standard Schema has it. */
  readonly "~standard": {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (
      value: unknown,
    ) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?:
      | { readonly input: Input; readonly output: Output }
      | undefined;
    /** Its JSON Schema, where the library speaks Standard JSON Schema, too. */
    readonly jsonSchema?:
      | Readonly<
        Record<
          "input" | "output",
          (options: {
            readonly target: "draft-2020-12";
            readonly libraryOptions?: Record<string, unknown> | undefined;
          }) => Record<string, unknown>
        >
      >
      | undefined;
  };
}

/** Tells what a {@linkcode Schema} makes of a value, or what is wrong with it. */
export type SchemaResult<Output> =
  | { readonly value: Output; readonly issues?: undefined }
  | {
    readonly issues: readonly {
      readonly message: string;
      readonly path?:
        | readonly (PropertyKey | { readonly key: PropertyKey })[]
        | undefined;
    }[];
  };

/** Limits the issues that are in an error's sentence. */
const MAX_TOLD = 5;
const MAX_LENGTH = 200;

/**
 * Thrown when a value does not fit a {@linkcode Schema}. A message of which that
 * is so counts as malformed: it is not tried again.
 *
 * @example
 * ```ts
 * import { SchemaError } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const error = new SchemaError("The event's args", [
 *   { path: "room", message: "expected a text" },
 * ]);
 * assert.equal(
 *   error.message,
 *   "The event's args do not fit the schema: room: expected a text",
 * );
 * ```
 */
export class SchemaError extends MessageError {
  /** Everything that is wrong. */
  readonly issues: readonly {
    /** The names that lead to it, with dots between them; empty for the whole. */
    readonly path: string;
    /** The schema's own words. */
    readonly message: string;
  }[];

  /**
   * Makes an error.
   *
   * @param what Names the value, in the plural: "The event's args".
   * @param issues Everything that is wrong with it; the sentence has the first five.
   */
  constructor(what: string, issues: SchemaError["issues"]) {
    const told = issues.slice(0, MAX_TOLD).map(({ path, message }) => {
      const text = path === "" ? message : `${path}: ${message}`;
      return text.length > MAX_LENGTH
        ? `${text.slice(0, MAX_LENGTH)}\u2026`
        : text;
    });
    const more = issues.length - told.length;
    if (more > 0) told.push(`and ${more} more`);
    super(`${what} do not fit the schema: ${told.join("; ")}`);
    this.issues = issues;
  }
}

/**
 * Gives a value as a schema makes it.
 *
 * @param what Names the value in an error, in the plural.
 * @returns The value, or a promise of it where the schema takes its time.
 * @throws {SchemaError} If it does not fit.
 */
export function fitted<Output>(
  schema: Schema<Output>,
  value: unknown,
  what: string,
): Output | Promise<Output> {
  const result = schema["~standard"].validate(value);
  return result instanceof Promise
    ? result.then((result) => outputOf(result, what))
    : outputOf(result, what);
}

function outputOf<Output>(
  result: SchemaResult<Output>,
  what: string,
): Output {
  if (result.issues === undefined) {
    return (result as { readonly value: Output }).value;
  }
  throw new SchemaError(
    what,
    result.issues.map(({ message, path = [] }) => ({
      path: path.map((part) =>
        String(typeof part === "object" ? part.key : part)
      )
        .join("."),
      message,
    })),
  );
}

/**
 * Gives an event with its `args` as a schema makes them. The `type` stays what
 * it was, also where the schema does not know it, or takes nothing that it does
 * not know.
 *
 * @throws {SchemaError} If they do not fit.
 */
export function fittedEvent(
  schema: Schema,
  event: Event,
): Event | Promise<Event> {
  const withArgs = (output: unknown): Event => {
    const { target, origin, id, timestamp, redelivered, extra } = event;
    const args = { ...output as object, type: event.args.type };
    const fitting = new Event(
      { target, origin, id, timestamp, extra, args },
      true,
    );
    fitting.redelivered = redelivered;
    return fitting;
  };
  const fit = (args: object): unknown =>
    fitted(schema, args, "The event's args");
  const fitWithoutType = (error: unknown): unknown => {
    if (!(error instanceof SchemaError)) throw error;
    const { type: _, ...args } = event.args;
    return fit(args);
  };
  let output: unknown;
  try {
    output = fit(event.args);
    if (output instanceof Promise) output = output.catch(fitWithoutType);
  } catch (error) {
    output = fitWithoutType(error);
  }
  return output instanceof Promise ? output.then(withArgs) : withArgs(output);
}
