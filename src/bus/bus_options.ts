import {
  type Checked,
  checkOptions,
  type Kind,
  row,
  type Rows,
} from "../options.ts";
import {
  COUNT,
  FLAG,
  FUNCTION,
  LOGGER,
  NUMBERS,
  OBJECT,
  SCHEMA,
  SIGNAL,
  SIZE,
  TEXT,
  TIME_LIMIT,
} from "../kinds.ts";
import type { Logger } from "../logger.ts";
import type { Condition, Schema } from "../message/mod.ts";
import { isGroupName } from "./roster.ts";
import type { Reception } from "../telemetry/mod.ts";

/** Says which bus a {@linkcode Bus} is on, as whom, and how long others wait for it. */
export interface BusOptions {
  /** Buses of the same name are the same bus; without `#`. `"platypush/bus"` by default. */
  name?: string;
  /** Names this thread in errors and logs. The worker's name by default. */
  label?: string;
  /**
   * Names what subscribes here: up to 64 letters, digits, `.`, `_` or `-`.
   * Where messages come from Redis at least once, it then gets later what it
   * has missed or left in hand while its thread or process was away. Whoever
   * has the same name is the same subscriber: each gets every message, and it
   * is handled when all of them have. Not together with `group`. No name by
   * default.
   */
  subscriber?: string;
  /** Fills in the target and origin of messages. The host's name by default. */
  deviceId?: string;
  /**
   * True if what is posted here goes to plain `BroadcastChannel` listeners too.
   * `true` by default.
   */
  plain?: boolean;
  /**
   * The time in seconds for which a subscriber may neither read nor give a sign of life before it is dropped. 30 by default. The first bus of a thread decides.
   */
  stallTimeout?: number;
  /**
   * The time in seconds that a handler may take before its message counts as failed. 300 by default; `Infinity` for no limit. A loop over the messages
   * may take as long as it likes.
   */
  handlerTimeout?: number;
  /**
   * True if the process may end although the bus is open. `false` by default.
   * The first bus of a thread decides. In a worker it changes nothing: Deno
   * waits for every worker until it is closed or terminated.
   */
  daemon?: boolean;
  /**
   * Makes this `Bus` a member of a group of this name. Each message goes to one
   * member, in whatever thread, which acknowledges it for all; other subscribers
   * and other groups get it too. A name has up to 64 bytes. Without it, which is
   * the default, this `Bus` gets every message.
   */
  group?: string;
  /**
   * The number of messages that a member of a group works on at a time: further
   * ones go to others, or wait. 1 by default. Only together with `group`.
   */
  concurrency?: number;
  /** The logger to report to. LogTape's category `["platypush", "redis", "bus"]` by default. */
  logger?: Logger;
}

/**
 * Says what {@linkcode Bus.post} has to know of messages that come from elsewhere,
 * such as a queue, and what it takes of them.
 *
 * @example
 * ```ts
 * import { Bus } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/target", deviceId: "livingroom" });
 * bus.registerHandler("custom.Motion", () => assert.fail("not for us"));
 * const event = '{"type": "event", "target": "attic", "args": {"type": "custom.Motion"}}';
 * const bytes = new TextEncoder().encode(event);
 * const receipt = await bus.post(bytes, { target: "livingroom" });
 * const [failure] = await receipt.handled;
 * assert.equal(failure?.reason, "foreign");
 * ```
 */
export interface PostOptions {
  /** The only target whose messages are accepted; all are by default. */
  target?: string;
  /** The number of times that each message was delivered before. Never by default. */
  redelivered?: readonly number[];
  /**
   * Who still has to get each message, as {@linkcode Receipt.retry} has told of
   * an earlier post of it. Everybody by default.
   */
  retries?: readonly (string | undefined)[];
  /** The size limit of a message in bytes. 8 MiB by default. */
  maxSize?: number;
  /**
   * Gives whole numbers beyond 2^53 in texts and bytes as `BigInt`, to every
   * subscriber. False by default: then they are rounded, and those of messages
   * that have some are rounded on the way into other threads.
   */
  bigint?: boolean;
  /**
   * Says how the messages came here. With it, handling each of them is a span that
   * OpenTelemetry collects; without it, which is the default, it is none.
   */
  reception?: Reception;
}

/**
 * Says how long a handler may take, how many messages it has at once, and what
 * their `args` have to be.
 *
 * @example
 * ```ts
 * import { Bus } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/timeout", deviceId: "livingroom" });
 * const backUp = (): Promise<string> => Promise.resolve("takes an hour at most");
 * bus.on({ type: "custom.Night" }, backUp, { timeout: 3600 });
 * const receipt = await bus.post({ type: "event", args: { type: "custom.Night" } });
 * assert.deepEqual(await receipt.handled, []);
 * ```
 */
export interface HandlerOptions<Args = unknown> {
  /**
   * The time in seconds that the handler may take before its message counts as failed; `Infinity` for no limit. The bus's `handlerTimeout` by default.
   */
  timeout?: number;
  /**
   * Gives the handler the `args` of events as the schema makes them, with its
   * types. An event that does not fit counts as malformed, with the schema's
   * issues, and is not tried again. For events alone.
   */
  schema?: Schema<Args>;
  /**
   * The number of messages that the handler may have at work at once; the others
   * wait in their order, and their time begins with their turn. No limit by
   * default.
   */
  concurrency?: number;
  /** Ends the registration when it is aborted. */
  signal?: AbortSignal;
}

/**
 * Says how a hook is called, and which of several hooks for one event.
 *
 * @example
 * ```ts
 * import { Bus } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/priority", deviceId: "livingroom" });
 * const called: string[] = [];
 * bus.on({ type: "custom.Motion", room: "hall" }, () => called.push("hall"));
 * bus.on({ type: "custom.Motion" }, () => called.push("any"));
 * bus.on({ type: "custom.Motion" }, () => called.push("first"), { priority: 1 });
 * await bus.post({ type: "event", args: { type: "custom.Motion", room: "hall" } });
 * await bus.flush();
 * // The best match, and whatever has the highest priority.
 * assert.deepEqual(called, ["hall", "first"]);
 * ```
 */
export interface HookOptions<Args = unknown> extends HandlerOptions<Args> {
  /**
   * Of the hooks of one `Bus` that match an event, those with the highest
   * priority are called, and those that match best. 0 by default, for all: then
   * every hook that matches is called.
   */
  priority?: number;
}

/**
 * Says which messages {@linkcode Bus.stream} has, and what closes it.
 */
export interface StreamOptions {
  /**
   * A condition on the `args` of events, as for {@linkcode Bus.on}; all other
   * messages count as handled. Every message by default.
   */
  condition?: Condition;
  /** Closes the stream when it is aborted. */
  signal?: AbortSignal;
}

/**
 * Says which messages {@linkcode Bus.watch} shows, and how many may wait.
 *
 * @example
 * ```ts
 * import { Bus } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/window", deviceId: "livingroom" });
 * let skipped = 0;
 * using watch = bus.watch({ limit: 2, onSkip: (count) => skipped += count });
 * await bus.post([1, 2, 3].map((n) => ({
 *   type: "event",
 *   args: { type: "custom.Number", n },
 * })));
 * await watch.next();
 * await watch.next();
 * watch.next(); // tells what was skipped, and waits
 * assert.equal(skipped, 1);
 * ```
 */
export interface WatchOptions {
  /**
   * A condition on the `args` of events, as for {@linkcode Bus.on}; nothing else
   * is shown. Every message by default.
   */
  condition?: Condition;
  /** Messages that may wait to be looked at; further ones are skipped. 1,024 by default. */
  limit?: number;
  /**
   * Called with the number of messages that were skipped, right before the next
   * one is shown. Whether they met the condition, nobody has looked. When it
   * throws, the log and the bus's `error` event tell, and the watch goes on.
   */
  onSkip?: (count: number) => void;
  /** Ends the watch when it is aborted. */
  signal?: AbortSignal;
}

/** Counts since the bus was opened, as {@linkcode Bus.stats} gives them. */
export type BusStats = {
  /** Messages that were posted in this thread. */
  readonly posted: number;
  /** Messages that went out to plain listeners. */
  readonly plainSent: number;
  /** Messages that did not, because there were too many at once. */
  readonly plainSkipped: number;
  /** Subscribers that this thread has dropped. */
  readonly dropped: number;
  /** Messages that a handler of this `Bus` has failed to handle. */
  readonly failed: number;
  /** Frames on the bus's control channel that no bus has sent. */
  readonly ignored: number;
};

const SUBSCRIBER: Kind = {
  expected: "a name of 1 to 64 letters, digits, dots, underscores or hyphens",
  accepts: (value) =>
    typeof value === "string" && /^[A-Za-z0-9._-]{1,64}$/.test(value),
};

/** Every option of a {@linkcode Bus}. */
export const BUS_OPTIONS: Rows<BusOptions, FilledBusOption> = {
  name: row(TEXT, { default: "platypush/bus" }),
  label: TEXT,
  subscriber: SUBSCRIBER,
  deviceId: TEXT,
  plain: row(FLAG, { default: true }),
  stallTimeout: row(TIME_LIMIT, { default: 30 }),
  handlerTimeout: row(TIME_LIMIT, { default: 300 }),
  daemon: row(FLAG, { default: false }),
  group: {
    expected: "a name of 1 to 64 bytes",
    accepts: (value) => typeof value === "string" && isGroupName(value),
  },
  concurrency: COUNT,
  logger: LOGGER,
};

/** Options that have the same default for everybody. */
export type FilledBusOption =
  | "name"
  | "plain"
  | "stallTimeout"
  | "handlerTimeout"
  | "daemon";

/** The options of a bus, checked and with the defaults of their rows. */
export type CheckedBusOptions = Checked<BusOptions, FilledBusOption>;

/**
 * Checks what a bus is opened with, each option by itself and those that do not go
 * together.
 *
 * @throws {TypeError} There is no such option or it is of another kind, or two
 * contradict each other.
 * @throws {RangeError} An option has a value that makes no sense.
 */
export function checkBusOptions(options: BusOptions): CheckedBusOptions {
  const given = checkOptions("open the bus", options, BUS_OPTIONS);
  const { name, group, concurrency, subscriber } = given;
  if (group === undefined && concurrency !== undefined) {
    throw new TypeError(
      "Cannot open the bus: `concurrency` is for members of a group: give `group`, too",
    );
  }
  if (group !== undefined && subscriber !== undefined) {
    throw new TypeError(
      "Cannot open the bus: `subscriber` and `group` exclude each other: what a group fails to handle waits for nobody by name",
    );
  }
  if (name.includes("#")) {
    throw new RangeError(
      `Cannot open the bus "${name}": its name must not have a "#"`,
    );
  }
  return given;
}

export const POST_OPTIONS: Rows<PostOptions> = {
  target: TEXT,
  redelivered: NUMBERS,
  retries: {
    expected: "a list of texts of `Receipt.retry`, or of undefined",
    accepts: (value) =>
      Array.isArray(value) &&
      value.every((each) => each === undefined || typeof each === "string"),
  },
  maxSize: SIZE,
  bigint: FLAG,
  reception: OBJECT,
};

/** Every option of waiting for a message. */
export const GET_OPTIONS: Rows<{ signal?: AbortSignal }> = { signal: SIGNAL };

export const STREAM_OPTIONS: Rows<StreamOptions> = {
  condition: OBJECT,
  signal: SIGNAL,
};

export const WATCH_OPTIONS: Rows<WatchOptions, "limit"> = {
  condition: OBJECT,
  limit: row(COUNT, { default: 1024 }),
  onSkip: FUNCTION,
  signal: SIGNAL,
};

export const HANDLER_OPTIONS: Rows<HandlerOptions> = {
  signal: SIGNAL,
  timeout: TIME_LIMIT,
  schema: SCHEMA,
  concurrency: COUNT,
};

export const HOOK_OPTIONS: Rows<HookOptions> = {
  ...HANDLER_OPTIONS,
  priority: {
    expected: "a finite number",
    accepts: (value) => Number.isFinite(value),
  },
};
