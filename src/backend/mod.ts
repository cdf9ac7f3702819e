/**
 * Backends: what brings messages onto the bus, above all from Redis.
 *
 * @module
 */

export type { ActionHandler, ActionOptions } from "../bus/action_table.ts";
export type { TokenCheck } from "./actions.ts";
export type { BackendAliases } from "./aliases.ts";
export { Backend } from "./backend.ts";
export type { BackendOptions } from "./backend_options.ts";
export type { BackendStats } from "./consumption.ts";
export { GapEvent, HubBus, type HubBusOptions } from "./hub_bus.ts";
export { LifeCycle } from "./life_cycle.ts";
export type { SendOptions, SendRequestOptions } from "./message_sender.ts";
export { type PeerOptions, peerRedisArgs } from "./peer_access.ts";
export type { SendToOptions } from "./peer_sender.ts";
export { RedisBackend } from "./redis_backend.ts";
export type { RedisBackendOptions } from "./backend_options.ts";
export type { RegisterServiceOptions } from "./service_advertiser.ts";
export { zeroconfEvent } from "./zeroconf_event.ts";
