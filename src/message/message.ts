import {
  isRecord,
  jsonText,
  jsonValue,
  kindOf,
  wireValue,
  writable,
} from "./json_value.ts";
import { errorOf } from "../guarded.ts";
import { readHostName } from "../permission.ts";
import { kinds, unknownKind, type WireMessage } from "./message_kinds.ts";
import { MessageError } from "./message_error.ts";
import {
  decodeText,
  MAX_SIZE,
  parseText,
  parseTogether,
} from "./parse_text.ts";
import { parsePythonFloat } from "./python_text.ts";

const COMMON_KEYS = ["type", "target", "origin", "id", "_timestamp"] as const;

/**
 * Every form of a message that {@linkcode Message.build} takes: JSON or a
 * Python literal as a text or its UTF-8 bytes, the object on the wire, or a
 * message.
 */
export type MessageInput =
  | string
  | Uint8Array
  | Message
  | Readonly<Record<string, unknown>>;

/**
 * Says what is filled in when a {@linkcode Message} is built, and how large it may be.
 *
 * @example
 * ```ts
 * import { Message, MessageError } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const text = '{"type": "event", "args": {"type": "custom.Motion"}}';
 * assert.equal(Message.build(text, { deviceId: "hall" }).origin, "hall");
 * assert.throws(() => Message.build(text, { maxSize: 20 }), MessageError);
 * ```
 */
export interface BuildOptions {
  /**
   * The receiving device's id, filled in where `target` or `origin` is
   * missing. The host's name by default.
   */
  deviceId?: string;
  /** The limit for texts, in bytes of UTF-8. 8 MiB by default. */
  maxSize?: number;
  /**
   * Gives whole numbers beyond 2^53 in texts as `BigInt`, with all their digits,
   * such as ids of Discord, Telegram or Zigbee. Without it they become the
   * nearest double. False by default.
   */
  bigint?: boolean;
}

/**
 * The fields that an {@linkcode Event}, a {@linkcode Request} and a {@linkcode Response} can be made with; what is missing is filled in.
 *
 * @example
 * ```ts
 * import { Event } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const event = new Event({
 *   target: "livingroom",
 *   timestamp: Date.UTC(2026, 0) / 1000,
 *   extra: { _logging_level: 20 },
 *   args: { type: "custom.Motion" },
 * });
 * assert.equal(event.toJSON()._logging_level, 20);
 * ```
 */
export interface MessageFields {
  /**
   * The device that is to get it. By default that of the backend or bus that
   * sends or receives it, and until then the host's name.
   */
  target?: string;
  /** The device that sends it. By default as for `target`. */
  origin?: string;
  /** 32 hexadecimal digits by default. */
  id?: string;
  /** When it was made, in seconds since the epoch. Now by default. */
  timestamp?: number;
  /** Further keys for the wire, such as `_logging_level`. */
  extra?: WireMessage;
}

/** The devices that a message is between. */
interface Addresses {
  target?: string | undefined;
  origin?: string | undefined;
}

/** Says whose a message is, as far as it does not say so itself. */
export let address: (message: Message, devices: Addresses) => void;

/** Tells whether a message does not say its target, or its origin, itself. */
export let isGuessed: (message: Message, name: keyof Addresses) => boolean;

/**
 * Gives a message as the object on the wire, without a look at what was put into
 * it since it was made: for one that nobody has had in hand yet.
 */
export let wireOf: (message: Message) => WireMessage;

/** Fills in what a message has not been made with, and checks what is of another type. */
let complete: (message: Message, fields: ReadFields) => void;

/**
 * A class of messages, such as {@linkcode Event}, to build or to filter by.
 *
 * @example
 * ```ts
 * import { Event, type Message, type MessageClass } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * function only<T extends Message>(messages: Message[], type: MessageClass<T>): T[] {
 *   return messages.filter((message): message is T => message instanceof type);
 * }
 * const event = new Event({ args: { type: "custom.Motion" } });
 * assert.equal(only([event], Event)[0]?.args.type, "custom.Motion");
 * ```
 */
export type MessageClass<T extends Message = Message> =
  & (abstract new (...args: never[]) => T)
  & { readonly prototype: T };

/**
 * The base of events, requests and responses, with what they have in common.
 *
 * A message holds JSON values: what else it is made with is converted at once,
 * as {@linkcode jsonValue} describes, so that every subscriber sees the same,
 * in this thread and in others. Objects that are JSON already are kept, not
 * copied.
 *
 * @example Build whatever came in
 * ```ts
 * import { Event, Message } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const message = Message.build(
 *   "{'type': 'event', 'args': {'type': 'custom.Motion', 'seen': True}}",
 *   { deviceId: "livingroom" },
 * );
 * assert.ok(message instanceof Event);
 * assert.equal(message.target, "livingroom");
 * assert.equal(message.args.seen, true);
 * ```
 */
export abstract class Message {
  /** The kind of message, as on the wire: `event`, `request`, `response`. */
  declare readonly type: string;
  /** The device that is to get it. */
  declare target: string;
  /** The device that sent it. */
  declare origin: string;
  /** Its id, usually 32 hexadecimal digits; a response has its request's. */
  declare id: string;
  /** When it was made, in seconds since the epoch. */
  declare timestamp: number;
  /**
   * The number of times that it was delivered before, without success. Never on
   * the wire.
   */
  declare redelivered: number;

  readonly #source: WireMessage | undefined;
  /** Stands for what the message does not say itself. */
  #guess: Addresses | undefined;

  static {
    address = (message, { target, origin }) => {
      const guess = message.#guess;
      if (guess === undefined) return;
      // What was set meanwhile is no guess any more.
      if (target !== undefined && message.target === guess.target) {
        message.target = guess.target = target;
      }
      if (origin !== undefined && message.origin === guess.origin) {
        message.origin = guess.origin = origin;
      }
    };
    isGuessed = (message, name) =>
      message.#guess?.[name] !== undefined &&
      message.#guess[name] === message[name];
    wireOf = (message) => {
      const { type, target, origin, id, timestamp } = message;
      const source = message.#source;
      const wire: WireMessage = { type, ...source };
      wire["type"] = type;
      // An empty one says as little, as Python's `None`.
      wire["target"] = target || null;
      wire["origin"] = origin || null;
      const sent = source?.["id"];
      wire["id"] = typeof sent === "string" ? id : asSent(sent, id);
      wire["_timestamp"] = timestamp;
      return Object.assign(wire, message.content());
    };
    complete = (message, fields) => {
      const target = textOr(fields.target, "target");
      const origin = textOr(fields.origin, "origin");
      message.target = target ?? (fields.deviceId || hostname());
      message.origin = origin ?? (fields.deviceId || hostname());
      if (target === undefined || origin === undefined) {
        message.#guess = {
          ...(target === undefined && { target: message.target }),
          ...(origin === undefined && { origin: message.origin }),
        };
      }
      const id = textOfNumber(fields.id) ?? textOr(fields.id, "id");
      const timestamp = secondsOf(fields.timestamp);
      const given = id === undefined || timestamp === undefined
        ? identityOf(fields)
        : undefined;
      message.id = id ?? given?.id ?? newId();
      message.timestamp = timestamp ?? given?.timestamp ?? Date.now() / 1000;
    };
  }

  /**
   * Fills in what is missing.
   *
   * @param type The kind of message, as on the wire.
   * @param fields The common fields; what is missing of them is filled in.
   * @throws {MessageError} If a value has the wrong type.
   * @throws {Deno.errors.NotCapable} If a device's id is missing, and the host's
   * name may not be read (`--allow-sys=hostname`).
   */
  constructor(type: string, fields: MessageFields) {
    const { target, origin, id, timestamp, extra } = fields ?? missing(type);
    this.type = type;
    this.target = target!;
    this.origin = origin!;
    this.id = id!;
    this.timestamp = timestamp!;
    this.redelivered = 0;
    this.#source = extra;
    // Most messages say all that; only the others need a closer look.
    const isComplete = typeof target === "string" && target !== "" &&
      typeof origin === "string" && origin !== "" &&
      typeof id === "string" && id !== "" && Number.isFinite(timestamp);
    if (!isComplete) complete(this, fields);
  }

  /**
   * Builds a message of whatever kind the input is; called on `Event`,
   * `Request` or `Response`, only of that kind.
   *
   * Texts are JSON, or else a Python literal. Missing and empty fields are
   * filled in as Platypush does: `_timestamp` with the time, `id` with a new
   * one, `target` and `origin` with the device's id; only a response must have
   * its target. What Platypush takes, too, is read: a number as `id` or `token`,
   * a `_timestamp` that is a text, a list as a request's `args`.
   * Unknown keys are kept for the wire, see
   * {@linkcode Message.extra}. Of two equal keys the last one counts. Numbers
   * become doubles as with `JSON.parse`, so integers beyond 2^53 are rounded
   * unless the option `bigint` is set, and `1e400` is `Infinity`; the `NaN` and `Infinity` that Python's `json.dumps` writes become `null`.
   *
   * @param input A text, its UTF-8 bytes, an object, or a message, which is
   * returned itself; where it has no target or origin, it has the device's id now.
   * @param options The device's id and the size limit.
   * @returns The message.
   * @throws {MessageError} If the input is no message, is too large, or is not
   * safe: a key `__proto__` or more than 200 levels.
   * @throws {Deno.errors.NotCapable} If the device's id is needed, not given,
   * and the host's name may not be read (`--allow-sys=hostname`).
   *
   * @example
   * ```ts
   * import { Message, Request } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * const text = '{"type": "request", "action": "light.hue.on", "target": "hall"}';
   * const request = Request.build(new TextEncoder().encode(text));
   * assert.equal(request.action, "light.hue.on");
   * assert.equal(Message.build(request), request);
   * ```
   */
  static build<T extends Message>(
    this: MessageClass<T>,
    input: MessageInput,
    options?: BuildOptions,
  ): T {
    const message = read(input, options);
    if (message instanceof this) return message;
    throw new MessageError(
      `The message is of the type "${message.type}", expected ${this.name}`,
    );
  }

  /** Everything else that it has on the wire, such as `_logging_level`. */
  get extra(): WireMessage {
    const extra = { ...this.#source };
    for (const key of COMMON_KEYS) delete extra[key];
    for (const key of Object.keys(this.content())) delete extra[key];
    return extra;
  }

  /**
   * Gives the message for the wire, also to `JSON.stringify`.
   *
   * @param key Given by `JSON.stringify` alone: big integers are then objects
   * that it writes as their digits.
   * @returns The object on the wire. Parts of it are the message's own: do not
   * change them.
   * @throws {MessageError} If something that JSON cannot carry was put into
   * the message since it was made.
   *
   * @example
   * ```ts
   * import { Event } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * const event = new Event({ args: { type: "custom.Motion" }, target: "hall" });
   * assert.equal(event.toJSON().target, "hall");
   * ```
   */
  toJSON(key?: string): WireMessage {
    const value = jsonValue(wireOf(this)) as WireMessage;
    return key === undefined ? value : writable(value) as WireMessage;
  }

  /**
   * Writes the message for the wire.
   *
   * @returns The JSON text on the wire.
   * @throws {MessageError} As {@linkcode Message.toJSON}.
   *
   * @example
   * ```ts
   * import { Message, Request } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * const request = new Request({ action: "light.hue.on", target: "hall" });
   * assert.deepEqual(Message.build(request.toString()), request);
   * ```
   */
  toString(): string {
    return jsonText(this.toJSON());
  }

  /**
   * Gives what this kind of message has on the wire besides the common fields.
   *
   * @returns The fields, by their names on the wire.
   */
  protected abstract content(): WireMessage;
}

/**
 * Gives each of many messages an id and a time, which it has where its sender
 * has left them out.
 */
export interface Identities {
  /** The first digits of the ids; the place of the message is the rest. */
  readonly prefix: string;
  /** The place of the first message. */
  readonly first: number;
  /** The time, in seconds since the epoch. */
  readonly time: number;
  /** Holds what some of them have instead, by their places. */
  readonly known: Readonly<
    Record<number, { readonly id: string; readonly timestamp?: number }>
  >;
}

/** Gives messages that came together their ids and times, where they have none. */
type BuildAllOptions = BuildOptions & { identities?: Identities };

/** The common fields as they were on the wire, and what stands in where they are missing. */
type ReadFields = MessageFields & BuildAllOptions & { index?: number };

/** Finds the id and the time that a message has where it came without. */
function identityOf(
  { identities, index = 0 }: ReadFields,
): Identities["known"][number] | undefined {
  if (identities === undefined) return undefined;
  const { prefix, first, time, known } = identities;
  const digits = (first + index).toString(16);
  return known[first + index] ?? {
    id: prefix + digits.padStart(32 - prefix.length, "0"),
    timestamp: time,
  };
}

function read(
  input: MessageInput,
  options: BuildAllOptions | undefined,
  index = 0,
): Message {
  if (typeof input === "string" || input instanceof Uint8Array) {
    const text = decodeText(input, options?.maxSize ?? MAX_SIZE);
    const wire = parseText(text, options?.bigint);
    try {
      return readWire(wire, options, index);
    } catch (error) {
      const exact = withExactIds(text, wire);
      if (exact === undefined) throw error;
      return readWire(exact, options, index);
    }
  }
  if (input instanceof Message) {
    const deviceId = options?.deviceId;
    address(input, { target: deviceId, origin: deviceId });
    return input;
  }
  return readWire(wireValue(input), options, index);
}

/**
 * Reads again the `id` and the `token` of a message, where one is a number with
 * more digits than a double has.
 *
 * @param wire The message as read, its numbers rounded.
 * @returns The message with both exact; `undefined` where neither is rounded.
 */
function withExactIds(
  text: string,
  wire: unknown,
): WireMessage | undefined {
  if (!isRecord(wire) || ![wire["id"], wire["token"]].some(isRounded)) {
    return undefined;
  }
  const { id, token } = parseText(text, true) as WireMessage;
  return {
    ...wire,
    ...(id !== undefined && { id }),
    ...(token !== undefined && { token }),
  };
}

function isRounded(value: unknown): boolean {
  return Number.isInteger(value) && !Number.isSafeInteger(value);
}

/** Builds a message of a JSON value. */
function readWire(
  value: unknown,
  options: BuildAllOptions | undefined,
  index: number,
): Message {
  // What is no object has no type.
  const wire = value as WireMessage;
  const kind = kinds.get(wire?.["type"]);
  if (kind === undefined) throw unknownKind(value);
  const fields = {
    target: wire["target"],
    origin: wire["origin"],
    id: wire["id"],
    timestamp: wire["_timestamp"],
    extra: wire,
    deviceId: options?.deviceId,
    identities: options?.identities,
    index,
  };
  return kind.build(fields as ReadFields, wire);
}

/** Gives the text, or `undefined` where it is missing or empty, which Platypush takes for the same. */
function textOr(value: unknown, name: string): string | undefined {
  if (typeof value === "string") return value === "" ? undefined : value;
  if (value === undefined || value === null) return undefined;
  throw new MessageError(
    `The message's "${name}" is ${kindOf(value)}, expected a string`,
  );
}

/**
 * Gives the text of a number, which some senders have as an id or a token.
 *
 * @returns `undefined` for what is no number, and for one that was rounded.
 */
export function textOfNumber(value: unknown): string | undefined {
  const isExact = typeof value === "bigint" ||
    typeof value === "number" && Number.isFinite(value) && !isRounded(value);
  return isExact ? String(value) : undefined;
}

/** Writes a text as the number that it came as. */
export function asSent(source: unknown, text: string | null): unknown {
  return textOfNumber(source) === text && text !== null ? source : text;
}

/** A date and a time as in ISO 8601, which Python's `isoformat` writes. */
const ISO_TIME = /^\d{4}-\d\d-\d\d[T ]\d\d:\d\d/;

function secondsOf(value: unknown): number | undefined {
  if (typeof value === "number" && Number.isFinite(value)) return value;
  if (value === undefined || value === null) return undefined;
  if (typeof value === "string") {
    const number = parsePythonFloat(value) ??
      (ISO_TIME.test(value) ? Date.parse(value) / 1000 : NaN);
    if (Number.isFinite(number)) return number;
  }
  throw new MessageError(
    `The message's "_timestamp" is ${
      typeof value === "number" ? "not finite" : kindOf(value)
    }, expected seconds since the epoch as a number`,
  );
}

let cachedHostname: string | undefined;

/** Reads the host's name when it is first needed: it takes a permission. */
function hostname(): string {
  return cachedHostname ??= readHostName(
    "build the message",
    "give it both `target` and `origin`, or `deviceId` as an option",
  );
}

/**
 * Builds many messages, which is faster than to build one after the other.
 *
 * @param options The device's id and the size limit, for all of them.
 * @returns For each input the message, or the error that `build` throws for it.
 */
export function buildAll(
  inputs: readonly MessageInput[],
  options: BuildAllOptions = {},
): (Message | Error)[] {
  // Together they are not read with all their digits.
  const wires = inputs.length > 1 && !options.bigint
    ? parseTogether(inputs, options.maxSize ?? MAX_SIZE)
    : [];
  const all: (Message | Error)[] = [];
  // Until it is compiled, entries() would cost as much as to build a message.
  for (let index = 0; index < inputs.length; index++) {
    const input = inputs[index]!;
    const wire = wires[index];
    try {
      const message = wire === undefined
        ? read(input, options, index)
        : readWire(wire, options, index);
      all.push(message);
    } catch (error) {
      all.push(
        wire === undefined ? errorOf(error) : attempt(input, options, index),
      );
    }
  }
  return all;
}

/** Reads an input alone, where it could not be built of what was read with others. */
function attempt(
  input: MessageInput,
  options: BuildAllOptions,
  index: number,
): Message | Error {
  try {
    return read(input, options, index);
  } catch (error) {
    return errorOf(error);
  }
}

/** Refuses to make a message of nothing. */
function missing(type: string): never {
  throw new MessageError(
    `Cannot make the ${type}: its fields are missing, expected an object`,
  );
}

/**
 * Makes an id for a message.
 *
 * @returns 32 random hexadecimal digits, the form in which Platypush writes ids.
 *
 * @example
 * ```ts
 * import { newId } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.match(newId(), /^[0-9a-f]{32}$/);
 * ```
 */
export function newId(): string {
  return crypto.randomUUID().replaceAll("-", "");
}
