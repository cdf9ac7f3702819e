import { shorten } from "../units.ts";
import { SCHEMA, TEXT, TIME_LIMIT } from "../kinds.ts";
import { type Request, type Schema, SchemaError } from "../message/mod.ts";
import { fitted } from "../message/schema.ts";
import { nearest } from "../nearest.ts";
import { checkOptions, type Rows } from "../options.ts";

/**
 * Executes an action.
 *
 * @param args The request's arguments, as they came from the network: check them.
 * @param request The request itself, which says who asks, and how often it was
 * delivered before.
 * @param context Its `signal` is aborted when nobody waits for the action any
 * more: its time limit is over, or the backend, which is stopping, has waited
 * for it as long as it does.
 * @returns The response's output, or a promise of it. What it throws becomes
 * the response's error.
 *
 * @example
 * ```ts
 * import { type ActionHandler, RedisBackend } from "@platypush/redis";
 *
 * const download: ActionHandler = async ({ url }, request, { signal }) => {
 *   const response = await fetch(String(url), { signal });
 *   return `${request.origin} gets ${(await response.bytes()).length} bytes`;
 * };
 *
 * await using backend = new RedisBackend({ deviceId: "livingroom" });
 * backend.registerAction("web.download", download, { timeout: 300 });
 * ```
 */
export type ActionHandler<Args = Record<string, unknown>> = (
  args: Args,
  request: Request,
  context: { readonly signal: AbortSignal },
) => unknown;

/**
 * Says how an {@linkcode ActionHandler} is executed, and what it is for: that is
 * told to whoever asks what the device can do.
 */
export interface ActionOptions<Args = Record<string, unknown>> {
  /**
   * The longest time it may take, in seconds; `Infinity` for no limit. Default: the
   * backend's `actionTimeout`.
   */
  timeout?: number;
  /**
   * For how many seconds a request for it is valid, by its `_timestamp`;
   * `Infinity` for no limit. Default: the backend's `actionMaxAge`.
   */
  maxAge?: number;
  /** Says what the action does. Default: nothing. */
  description?: string;
  /**
   * Gives the handler the request's `args`, or what is `positional` where they are a
   * list, as the schema makes them, with its types. A request that does not fit is
   * answered with the schema's issues. Default: they are taken as they are.
   */
  schema?: Schema<Args>;
  /**
   * Checks what the handler returns; where that does not fit, the request is
   * answered with the schema's issues. Default: it is taken as it is.
   */
  output?: Schema;
}

/** An action that was registered. */
export interface Action {
  /** Executes a request, and gives the output, or a promise of it. */
  readonly execute: (request: Request, signal: AbortSignal) => unknown;
  /** The longest time that may take, in seconds; the backend's where it is missing. */
  readonly timeout?: number | undefined;
  /** For how many seconds a request is valid; the backend's where it is missing. */
  readonly maxAge?: number | undefined;
  /** One line for whoever asks what the device can do. */
  readonly description?: string | undefined;
  /** Gives the JSON Schema of its arguments, where there is one. */
  readonly argsSchema?: (() => JsonSchema | undefined) | undefined;
  /** Gives the JSON Schema of its output, where there is one. */
  readonly outputSchema?: (() => JsonSchema | undefined) | undefined;
}

/** A JSON Schema. */
export type JsonSchema = Readonly<Record<string, unknown>>;

const OPTIONS: Rows<ActionOptions> = {
  timeout: TIME_LIMIT,
  maxAge: TIME_LIMIT,
  description: TEXT,
  schema: SCHEMA,
  output: SCHEMA,
};

/** The number of a schema's issues that an answer tells of. */
const MAX_ISSUES = 20;

/**
 * Makes an action of what somebody registers.
 *
 * @throws {TypeError} If the name is none, the handler is no function, or an option
 * is of another kind.
 * @throws {RangeError} If the time limit makes no sense.
 */
export function toAction<Args>(
  name: string,
  handler: ActionHandler<Args>,
  options: ActionOptions<Args>,
): Action {
  if (typeof name !== "string" || !NAME.test(name)) {
    throw new TypeError(
      `Cannot register the action ${
        typeof name === "string"
          ? JSON.stringify(name)
          : `whose name is of the type ${typeof name}`
      }: expected a name such as "lights.on", or "lights.*" or "*" for all that begin so`,
    );
  }
  checkOptions(`register the action "${name}"`, options, OPTIONS);
  const { timeout, maxAge, schema, output, description } = options;
  if (typeof handler !== "function") {
    throw new TypeError(
      `Cannot register the action "${name}": its handler is no function`,
    );
  }
  return {
    execute: async (request, signal) => {
      const { args, positional } = request;
      const given = positional.length > 0 && schema ? positional : args;
      const result = await handler(
        schema ? await fit(schema, given, "args") : given as Args,
        request,
        { signal },
      );
      return output ? await fit(output, result, "output") : result;
    },
    timeout,
    maxAge,
    description,
    argsSchema: schema && (() => jsonSchemaOf(schema, "input")),
    outputSchema: output && (() => jsonSchemaOf(output, "output")),
  };
}

/** Tells what went wrong with an action, as its answer does. */
export function errorsOf(error: Error): readonly string[] {
  return error instanceof Misfit ? error.issues : [error.message || error.name];
}

/** Names between dots; `*` stands for all that may follow a dot, or for all. */
const NAME = /^(?:\*|[^\s.*\p{Cc}]+(?:\.[^\s.*\p{Cc}]+)*(?:\.\*)?)$/u;

/** Beyond it a name comes from no mistyping, and takes long to compare. */
const LONGEST_MISTYPED = 100;

/** Finds actions by their names, and by patterns of names. */
export class ActionTable {
  readonly #actions = new Map<string, Action>();
  /** Those that every table has, unless they are registered otherwise. */
  readonly #builtIn: ReadonlyMap<string, Action>;
  /** Names that end with `*`, the longest first. */
  #prefixes: readonly string[] = [];

  /** @param builtIn Actions that are there without being registered. */
  constructor(builtIn: ReadonlyMap<string, Action> = new Map()) {
    this.#builtIn = builtIn;
  }

  /** The number of actions that were registered. */
  get size(): number {
    return this.#actions.size;
  }

  /** All actions with their names, in the order of these. */
  list(): [name: string, action: Action][] {
    return [...new Map([...this.#builtIn, ...this.#actions])]
      .sort(([a], [b]) => a < b ? -1 : 1);
  }

  /**
   * Makes sure that an action can be added.
   *
   * @throws {Error} If there is one of this name.
   */
  check(name: string): void {
    if (this.#actions.has(name)) {
      throw new Error(
        `Cannot register the action "${name}": it is already registered; unregister it first`,
      );
    }
  }

  /**
   * Adds an action.
   *
   * @param name Its name, which was {@linkcode check}ed.
   * @returns A function that removes it again; any further call does nothing.
   */
  add(name: string, action: Action): () => void {
    this.#actions.set(name, action);
    this.#sort();
    return () => {
      if (this.#actions.get(name) !== action) return;
      this.#actions.delete(name);
      this.#sort();
    };
  }

  /** Finds what executes a request: of all names that fit, the longest. */
  find(name: string): Action | undefined {
    const exact = this.#actions.get(name) ?? this.#builtIn.get(name);
    if (exact !== undefined) return exact;
    const prefix = this.#prefixes.find((prefix) =>
      name.startsWith(prefix.slice(0, -1))
    );
    return prefix === undefined ? undefined : this.#actions.get(prefix);
  }

  /** The name that is spelled most like one that was not found. */
  nearest(name: string): string | undefined {
    if (this.size === 0 || name.length > LONGEST_MISTYPED) return undefined;
    return nearest(name, [...this.#actions.keys(), ...this.#builtIn.keys()]);
  }

  #sort(): void {
    this.#prefixes = [...this.#actions.keys()]
      .filter((name) => name.endsWith("*"))
      .sort((a, b) => b.length - a.length);
  }
}

/** Thrown where arguments or an output do not fit the schema of an action. */
export class Misfit extends Error {
  /** The things that are wrong, one text a part. */
  readonly issues: readonly string[];

  constructor(issues: readonly string[]) {
    super(issues.join("; "));
    this.issues = issues;
  }
}

/** Gives a value as a schema makes it. */
async function fit<Output>(
  schema: Schema<Output>,
  value: unknown,
  name: "args" | "output",
): Promise<Output> {
  try {
    return await fitted(schema, value, name);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const issues = error.issues.slice(0, MAX_ISSUES)
      .map(({ path, message }) =>
        `${path === "" ? name : `${name}.${path}`}: ${shorten(message, 200)}`
      );
    const more = error.issues.length - issues.length;
    throw new Misfit(more > 0 ? [...issues, `and ${more} more`] : issues);
  }
}

/**
 * Asks a schema for its JSON Schema, as
 * [Standard JSON Schema](https://standardschema.dev/json-schema) has it.
 *
 * @returns `undefined` where its library has none, or none for this schema.
 */
function jsonSchemaOf(
  schema: Schema,
  side: "input" | "output",
): JsonSchema | undefined {
  const { jsonSchema } = schema["~standard"];
  try {
    return jsonSchema?.[side]({
      target: "draft-2020-12",
      // For Zod: what JSON Schema cannot say, such as a date, is left open.
      libraryOptions: { unrepresentable: "any" },
    });
  } catch {
    return undefined;
  }
}
