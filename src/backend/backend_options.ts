import type { Bus } from "../bus/mod.ts";
import type { Logger } from "../logger.ts";
import type { RedisArgs } from "../redis/mod.ts";
import type { TokenCheck } from "./actions.ts";
import type { PeerOptions } from "./peer_access.ts";
import type { BrowserOptions } from "../zeroconf/mod.ts";

/** Configures a {@linkcode Backend}. Everything has a default. */
export interface BackendOptions {
  /** Its name, for people. Default: the name of its class. */
  name?: string | null;
  /** Lets the process end while the backend runs. Default: `false`. */
  daemon?: boolean | null;
  /**
   * The pause between two calls of `loop()`, in seconds, and after an error in
   * it. Default: no pause, and 5 after an error.
   */
  pollSeconds?: number | undefined;
  /**
   * The longest time that `stop()` waits for what still runs, in seconds, before
   * it goes on without. Default: 10.
   */
  stopTimeout?: number;
  /** The bus to post to. Default: one of its own, named `platypush/bus` and closed with the backend. */
  bus?: Bus | null | undefined;
  /** The Redis server that `send…` sends to. Default: `127.0.0.1:6379`. */
  redisArgs?: RedisArgs | undefined;
  /**
   * The id of this device; messages for others are not taken. `*` takes
   * everybody's, and calls itself by the host's name. Default: the host's name.
   */
  deviceId?: string | undefined;
  /**
   * Posts Platypush's Zeroconf events of peers' services on the bus while the
   * backend runs; an object says where to look for them. The type is that of
   * its own service where `type` does not say. Default: `false`.
   */
  postEvents?: boolean | Pick<BrowserOptions, "type" | "interfaces">;
  /**
   * Tells what is known of other devices beforehand, by their ids: who we are
   * on the Redis of each, and where that is. `sendTo` shows no credentials to
   * others.
   */
  peers?: Readonly<Record<string, PeerOptions>>;
  /**
   * The folder with the Ed25519 key by which peers know this device, and with
   * the keys by which it knows them. It is made where it is missing; Deno has to
   * permit to read and to write it. Default: none, so that others have to say
   * that they trust us unproved.
   */
  identity?: string | undefined;
  /** The limit for one message, in bytes. Default: 8 MiB. */
  maxSize?: number;
  /**
   * Gives whole numbers beyond 2^53 as `BigInt`, with all their digits: ids of
   * Discord, Telegram or Zigbee. Default: false, they are rounded to a double.
   */
  bigint?: boolean;
  /**
   * The `token` that requests for registered actions need: a text, which is
   * compared in constant time, or a function that checks it, which may take as
   * long as an action. The others are answered with an error. Default: none,
   * every request is executed; one that is given and undefined, as a variable
   * that is not set, is refused.
   */
  token?: string | TokenCheck | undefined;
  /** The number of registered actions that are executed at a time, at most. Default: 16. */
  actionConcurrency?: number;
  /**
   * The longest time a registered action may take, in seconds, before its
   * request is answered with an error; `Infinity` for no limit. Default: 30.
   */
  actionTimeout?: number;
  /**
   * For how many seconds a request for a registered action is valid, by its
   * `_timestamp`; an older one is not executed, but answered with an error.
   * `Infinity` for no limit. Default: 300.
   */
  actionMaxAge?: number;
  /** Takes its reports. Default: LogTape's category `["platypush", "redis", "backend"]`. */
  logger?: Logger;
  /** {@linkcode BackendOptions.redisArgs}. */
  redis_args?: RedisArgs | null | undefined;
  /** {@linkcode BackendOptions.pollSeconds}. */
  poll_seconds?: number | null | undefined;
  /** {@linkcode BackendOptions.deviceId}. */
  device_id?: string | undefined;
}
