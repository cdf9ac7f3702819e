import type { Logger } from "../logger.ts";
import type { Reception } from "../telemetry/mod.ts";

/** How a `Bus` works. */
export interface BusOptions {
  /** Buses of the same name are the same bus. `"platypush/bus"` by default. */
  name?: string;
  /** Names this isolate in errors and logs. The worker's name by default. */
  label?: string;
  /** Fills in the target and origin of messages. The host's name by default. */
  deviceId?: string;
  /**
   * Whether what is posted here goes to plain `BroadcastChannel` listeners too.
   * `true` by default.
   */
  plain?: boolean;
  /**
   * How long a subscriber may neither read nor give a sign of life before it is
   * given up, in seconds. 30 by default. The first bus of an isolate decides.
   */
  stallTimeout?: number;
  /**
   * How long a handler may take before its message counts as failed, in
   * seconds. 300 by default; `Infinity` for no limit. A loop over the messages
   * may take as long as it likes.
   */
  handlerTimeout?: number;
  /**
   * Whether the process may end although the bus is open. `false` by default.
   * The first bus of an isolate decides. In a worker it changes nothing: Deno
   * waits for every worker until it is closed or terminated.
   */
  daemon?: boolean;
  /** Where to report. LogTape's category `["platypush", "redis", "bus"]` by default. */
  logger?: Logger;
}

/** How to post. */
export interface PostOptions {
  /** The only target whose messages are accepted; all are by default. */
  target?: string;
  /** How often each message was delivered before. */
  redelivered?: readonly number[];
  /** The size limit of a message in bytes. 8 MiB by default. */
  maxSize?: number;
  /**
   * How the messages came here. With it, handling each of them is a span that
   * OpenTelemetry collects; without it, which is the default, it is none.
   */
  reception?: Reception;
}

/** How a handler is called. */
export interface HandlerOptions {
  /**
   * How long the handler may take before its message counts as failed, in
   * seconds; `Infinity` for no limit. The bus's `handlerTimeout` by default.
   */
  timeout?: number;
}

/** What was counted since the bus was opened. */
export interface BusStats {
  /** Messages that were posted in this isolate. */
  readonly posted: number;
  /** Messages that went out to plain listeners. */
  readonly plainSent: number;
  /** Messages that did not, because there were too many at once. */
  readonly plainSkipped: number;
  /** Subscribers that this isolate has given up. */
  readonly dropped: number;
  /** Messages that a handler of this `Bus` has failed to handle. */
  readonly failed: number;
}
