/**
 * Backends: what brings messages onto the bus, above all from Redis.
 *
 * @module
 */

export type {
  ActionContext,
  ActionHandler,
  ActionOptions,
} from "./action_handler.ts";
export {
  BackendAliases,
  type BackendOptionAliases,
  type RegisterServiceOptionAliases,
  type SendRequestOptionAliases,
} from "./aliases.ts";
export { Backend } from "./backend.ts";
export type { BackendOptions } from "./backend_options.ts";
export type { PeerPlace } from "./peers.ts";
export { LifeCycle, type LifeCycleOptions } from "./life_cycle.ts";
export { RedisBackend } from "./redis_backend.ts";
export type { RedisBackendOptions } from "./redis_backend_options.ts";
export type {
  EventLike,
  RequestLike,
  ResponseLike,
  SendRequestOptions,
} from "./sender.ts";
export type { SendToOptions } from "./send_to_options.ts";
export type { RegisterServiceOptions } from "./services.ts";
export type { BackendStats } from "./stats.ts";
export type { TokenCheck } from "./token_check.ts";
export { zeroconfEvent } from "./zeroconf_event.ts";
