import type { Rows } from "../options.ts";
import { FLAG, FUNCTION, LOGGER, SIGNAL, TEXT } from "../kinds.ts";
import type { Logger } from "../logger.ts";

/** Tells {@linkcode Connection.connect} how to connect. */
export interface ConnectOptions {
  /**
   * The logger that hears what happens. Default: LogTape's category of this
   * room.
   */
  logger?: Logger;
  /** Gives up connecting when aborted. */
  signal?: AbortSignal;
  /** True if the connection lets the process end. Default: `false`. */
  unref?: boolean;
  /** In a cluster: connect to the node that holds this key. Default: the empty key. */
  key?: string;
  /** Called each time the connection is lost. */
  onLost?: () => void;
  /** Called after each time the connection was lost and found again. */
  onReconnect?: () => void;
  /** Called each time connecting fails; it is tried again unless the error is final. */
  onFailure?: (error: Error) => void;
}

/** Tells {@linkcode Connection.command} how to send a command. */
export interface CommandOptions {
  /** True if bulk replies are to be bytes instead of strings. Default: `false`. */
  bytes?: boolean;
  /**
   * For how many seconds the command may block on the server, as its own
   * argument says; so long the connection is not taken for dead. Default: 0.
   */
  block?: number;
}

/** Every option of connecting. */
export const CONNECT_OPTIONS: Rows<ConnectOptions> = {
  logger: LOGGER,
  signal: SIGNAL,
  unref: FLAG,
  key: TEXT,
  onLost: FUNCTION,
  onReconnect: FUNCTION,
  onFailure: FUNCTION,
};
