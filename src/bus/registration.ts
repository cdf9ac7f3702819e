import { whenAborted } from "../waiting.ts";
import { nearest, spellingDistance } from "../nearest.ts";
import { kindsOfClass } from "../message/message_kinds.ts";
import {
  Event,
  Message,
  type MessageClass,
  type Schema,
} from "../message/mod.ts";
import { fittedEvent } from "../message/schema.ts";
import { Limit, limited } from "./limit.ts";

/**
 * Ends what was registered, when it is called, or at the end of a `using`
 * block. Any further call does nothing.
 *
 * @example
 * ```ts
 * import { Bus, type Registration } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/using", deviceId: "livingroom" });
 * {
 *   using hook: Registration = bus.on({ type: "custom.Motion" }, console.log);
 *   assert.equal(bus.subscribers, 1);
 * }
 * assert.equal(bus.subscribers, 0);
 * ```
 */
export interface Registration extends Disposable {
  /** Ends it. */
  (): void;
}

/**
 * Registers something until its end is called for, or a signal is aborted.
 *
 * @param add Registers it, and returns what ends it.
 * @param signal Ends it too; nothing is registered when it is aborted already.
 */
export function register(
  add: () => () => void,
  signal: AbortSignal | undefined,
): Registration {
  let remove = (): void => {};
  let watch: Disposable | undefined;
  const end = (): void => {
    watch?.[Symbol.dispose]();
    remove();
    remove = () => {};
  };
  if (!signal?.aborted) {
    remove = add();
    watch = whenAborted(signal, end);
  }
  return Object.assign(end, { [Symbol.dispose]: end });
}

type Handler<M, Others extends unknown[]> = (
  message: M,
  ...others: Others
) => unknown;

/** Says how a handler is to be called, as its options do. */
interface HandlerCalls {
  /** Makes the `args` of events what they have to be. */
  readonly schema: Schema | undefined;
  /** The number of messages that it may have at work at once. */
  readonly concurrency: number | undefined;
  /** Ends it. */
  readonly signal: AbortSignal | undefined;
}

/**
 * Registers a handler that is called in its turn, with what fits its schema.
 *
 * @param add Registers what is to be called, and returns what ends it.
 */
export function registerHandler<M extends Message, Others extends unknown[]>(
  handler: Handler<M, Others>,
  { schema, concurrency, signal }: HandlerCalls,
  add: (call: Handler<M, Others>) => () => void,
): Registration {
  const limit = concurrency === undefined ? undefined : new Limit(concurrency);
  const call = limited(fitting(handler, schema), limit);
  return register(() => {
    const remove = add(call);
    return () => {
      remove();
      // Those who wait for their turn find that it has ended.
      limit?.end();
    };
  }, signal);
}

/** Makes a handler of events that gets them as a schema makes them. */
function fitting<M extends Message, Others extends unknown[]>(
  handler: Handler<M, Others>,
  schema: Schema | undefined,
): Handler<M, Others> {
  if (schema === undefined) return handler;
  const call = handler as Handler<Message, Others>;
  return (event, ...others) => {
    const fitted = fittedEvent(schema, event as Message as Event);
    return fitted instanceof Promise
      ? fitted.then((event) => call(event, ...others))
      : call(fitted, ...others);
  };
}

const COMMON = ["type", "target", "origin", "id", "timestamp", "redelivered"];

/**
 * Refuses what would make every message fail, or pass every message over.
 *
 * @param filter What their attributes have to be.
 * @throws {TypeError} Says what is wrong.
 */
export function checkHandler(
  type: unknown,
  handler: unknown,
  filter: unknown,
): void {
  const wrong = problemOfType(type) ??
    (typeof handler !== "function"
      ? "the handler is no function"
      : filter === undefined
      ? undefined
      : problemOfFilter(type as MessageClass | string, filter));
  if (wrong === undefined) return;
  throw new TypeError(`Cannot register a handler: ${wrong}`);
}

function problemOfType(type: unknown): string | undefined {
  if (type === "") return "its type is empty, expected an event's type";
  if (typeof type === "string") return undefined;
  if (typeof type !== "function") {
    return "its type is neither a message class nor the name of an event's type";
  }
  if (type === Message || type.prototype instanceof Message) return undefined;
  const { name } = type;
  const isGlobal = (globalThis as Record<string, unknown>)[name] === type;
  const isOurs = ["Message", "Event", "Request", "Response"].includes(name);
  return `its type is ${
    isGlobal ? `the global ${name} of the web` : `the class ${name || "?"}`
  }, no message class of this module${
    isOurs && !isGlobal ? ", perhaps that of another copy of it" : ""
  }: import { ${isOurs ? name : "Event"} } from "@platypush/redis/bus"`;
}

function problemOfFilter(
  type: MessageClass | string,
  filter: unknown,
): string | undefined {
  if (typeof filter !== "object" || filter === null || Array.isArray(filter)) {
    return "its filter is no object of paths and what they have to be";
  }
  const meant = kindsOfClass(typeof type === "string" ? Event : type);
  const known = [
    ...new Set([...COMMON, ...meant.flatMap(({ attributes }) => attributes)]),
  ];
  for (const [path, value] of Object.entries(filter)) {
    const [first = "", ...rest] = path.split(".");
    if (
      path === "type" && !meant.some(({ wireName }) => wireName === value)
    ) {
      return `its filter can never match: "type" is ${
        meant.map(({ wireName }) => `"${wireName}"`).join(" or ")
      } there; the type of an event is at "args.type"`;
    }
    // Messages may have other keys, such as `_logging_level`.
    if (known.includes(first) || first.startsWith("_")) continue;
    const likely = nearest(first, known);
    const isMisspelt = spellingDistance(first, likely) <= 2;
    if (!isMisspelt && !isOfEvents(type)) continue;
    return `its filter can never match: no ${
      isMisspelt ? "message" : "event"
    } has "${first}"; the nearest path is "${
      isMisspelt ? [likely, ...rest].join(".") : `args.${path}`
    }"`;
  }
  return undefined;
}

export function isOfEvents(type: MessageClass | string): boolean {
  return typeof type === "string" || type === Event ||
    type.prototype instanceof Event;
}
