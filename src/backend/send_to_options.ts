import type { Kinds } from "../check_options.ts";
import {
  type Kind,
  NAME,
  OBJECT,
  required,
  SECONDS,
  TEXT,
  TEXTS,
} from "../kinds.ts";
import type { RedisArgs } from "../redis/mod.ts";
import type { ServiceInfo } from "../zeroconf/mod.ts";
import type { PeerPlace } from "./peers.ts";

/** How {@linkcode Backend.sendTo} finds a peer, and who we are there. */
export interface SendToOptions extends PeerPlace {
  /** How long to look for a peer that is given by its name, in seconds. Default: 2. */
  timeout?: number;
  /**
   * The user, the password and the `ssl_…` arguments for the peer's Redis.
   * Where it is missing, the backend's own are used, with its time limits; its
   * host, port, database and sentinels are not. Whoever announces a service
   * under a name gets to see the password that is sent there: have the peers
   * speak TLS where the network is not trusted, or pass `{}` to send none.
   */
  redisArgs?: RedisArgs;
}

/** What stands for a peer. */
export const PEER: Kind = required({
  expected: "a name, or what discover() or browse() has found",
  accepts: (value) =>
    NAME.accepts(value) ||
    (OBJECT.accepts(value) && TEXT.accepts((value as ServiceInfo).deviceId)),
});

/** Every option of {@linkcode Backend.sendTo}. */
export const SEND_TO_OPTIONS: Kinds<SendToOptions> = {
  timeout: SECONDS,
  redisArgs: OBJECT,
  type: TEXT,
  interfaces: TEXTS,
};
