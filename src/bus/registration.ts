import { whenAborted } from "../waiting.ts";
import { nearest, spellingDistance } from "../nearest.ts";
import { kindsOfClass } from "../message/message_kinds.ts";
import { Event, Message, type MessageClass } from "../message/mod.ts";

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
