import { type Row, row, type Rows } from "../options.ts";
import { guarded } from "../guarded.ts";
import type { Logger } from "../logger.ts";
import {
  DAEMON,
  FUNCTION,
  LOGGER,
  SECONDS,
  SIGNAL,
  SIZE,
  TEXT,
} from "../kinds.ts";

/** Says what a {@linkcode Connection} takes of a server, and who hears of losses. */
export interface ConnectOptions {
  /**
   * The logger that hears what happens. Default: LogTape's category
   * `["platypush", "redis", "redis"]`.
   */
  logger?: Logger;
  /** Gives up connecting when aborted. */
  signal?: AbortSignal;
  /** True if the connection lets the process end. Default: `false`. */
  daemon?: boolean;
  /**
   * The largest answer that is wanted, in bytes. The connection is given up when
   * the server announces a larger one. Default: what Redis can keep as one text.
   */
  maxReply?: number;
  /** In a cluster: connect to the node that holds this key. Default: the empty key. */
  key?: string;
  /**
   * Holds what is awaited that the server tells by itself, beside answers. While it
   * is empty, a dead connection may be noticed later, as with
   * {@linkcode Connection.ready}, and an idle one costs less. Default: always
   * something.
   */
  awaited?: { readonly size: number };
  /**
   * Called with each new connection before anything else is sent on it; what it
   * throws ends the attempt. Each answer has the time that connecting has, and the
   * seconds for which its command may block.
   */
  greet?: (
    send: (
      args: readonly (string | Uint8Array)[],
      options?: Pick<CommandOptions, "block">,
    ) => Promise<unknown>,
  ) => Promise<void>;
  /**
   * Called each time the connection is lost. What it throws is logged, as with the
   * next two.
   *
   * @param silence For how long nothing had come over it, in seconds.
   */
  onLost?: (silence: number) => void;
  /** Called after each time the connection was lost and found again. */
  onReconnect?: () => void;
  /** Called each time connecting fails; it is tried again unless the error is final. */
  onFailure?: (error: Error) => void;
}

/** Options whose functions never throw, and what does the same for other functions of the user. */
export interface GuardedOptions extends ConnectOptions {
  /** Lets what a function throws be logged. */
  guard<Args extends unknown[]>(
    name: string,
    callback: ((...args: Args) => unknown) | undefined,
  ): (...args: Args) => void;
}

/** Lets what the user's functions throw be logged: a connection goes on. */
export function withGuards(
  options: ConnectOptions,
  place: string,
  logger: Logger,
): GuardedOptions {
  const guard: GuardedOptions["guard"] = (name, callback) =>
    guarded(callback, (error) =>
      logger.error(
        `${name} of the connection to ${place} has failed: ${error}.`,
      ));
  return {
    ...options,
    guard,
    onLost: guard("`onLost`", options.onLost),
    onReconnect: guard("`onReconnect`", options.onReconnect),
    onFailure: guard("`onFailure`", options.onFailure),
  };
}

/** Says what reply {@linkcode Connection.command} expects, and how long it may block. */
export interface CommandOptions {
  /** True if bulk replies are to be bytes instead of strings. Default: `false`. */
  bytes?: boolean;
  /**
   * For how many seconds the command may block on the server, as its own
   * argument says; so long the connection is not taken for dead. Default: 0.
   */
  block?: number;
  /**
   * Tells whether a reply has the shape that it has to have. One that has not
   * belongs to another command, or comes from something that is no Redis: the
   * connection is given up and made again. Default: what is known of the command.
   */
  isReply?: (reply: unknown) => boolean;
}

/** The time that a server may take to be there. */
export const CONNECTION_TIMEOUT: Row & { readonly default: number } = row(
  SECONDS,
  { default: 10 },
);

export const CONNECT_OPTIONS: Rows<ConnectOptions> = {
  logger: LOGGER,
  signal: SIGNAL,
  daemon: DAEMON,
  key: TEXT,
  maxReply: SIZE,
  greet: FUNCTION,
  awaited: {
    expected: "something that has a `size`, such as a Set",
    accepts: (value) =>
      typeof value === "object" && value !== null && "size" in value,
  },
  onLost: FUNCTION,
  onReconnect: FUNCTION,
  onFailure: FUNCTION,
};
