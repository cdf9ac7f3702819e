import type { Bus } from "../bus/mod.ts";
import type { Logger } from "../logger.ts";
import type { RedisArgs } from "../redis/mod.ts";
import type { TokenCheck } from "./actions.ts";
import type { LifeCycleOptions } from "./life_cycle.ts";
import type { PeerOptions } from "./peer_access.ts";
import type { PeerPlace } from "./peer_browser.ts";

/** The options of a {@linkcode Backend}. */
export interface BackendOptions extends LifeCycleOptions {
  /** The bus to post to. Default: one of its own, named `platypush/bus` and closed with the backend. */
  bus?: Bus;
  /** The server that `send…` sends to. Default: `127.0.0.1:6379`. */
  redisArgs?: RedisArgs;
  /**
   * The id of this device; messages for others are not taken. `*` takes
   * everybody's, and calls itself by the host's name. Default: the host's name.
   */
  deviceId?: string | undefined;
  /**
   * True to post Platypush's Zeroconf events of other hosts' services on the
   * bus while the backend runs, and where to look for them. The type is that of
   * its own service where `type` does not say. Default: `false`.
   */
  postEvents?: boolean | PeerPlace;
  /**
   * Tells what is known of other devices beforehand, by their ids: who we are
   * on the Redis of each, and where that is. `sendTo` shows no credentials to
   * others.
   */
  peers?: Readonly<Record<string, PeerOptions>>;
  /** The limit for one message, in bytes. Default: 8 MiB. */
  maxSize?: number;
  /**
   * The `token` that requests for registered actions need: the text, which
   * is compared in constant time, or a function that checks it, which may take
   * as long as an action. The others are answered with an error. Default:
   * nothing, every request is executed.
   */
  token?: string | TokenCheck;
  /**
   * The largest number of registered actions that are executed at a time.
   * Default: 16.
   */
  actionConcurrency?: number;
  /**
   * The time in seconds that a registered action may take before its request is
   * answered with an error; `Infinity` for no limit. Default: 30.
   */
  actionTimeout?: number;
  /**
   * The logger that hears what happens. Default: LogTape's category
   * `["platypush", "redis", "backend"]`.
   */
  logger?: Logger;
  /** {@linkcode BackendOptions.redisArgs}. */
  redis_args?: RedisArgs;
  /** {@linkcode LifeCycleOptions.pollSeconds}. */
  poll_seconds?: number;
  /** {@linkcode BackendOptions.deviceId}. */
  device_id?: string;
}
