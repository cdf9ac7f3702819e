/**
 * Everything that a thread needs to take part in the bus: the {@linkcode Bus}
 * itself and the messages, without Redis.
 *
 * @module
 */

export * from "../message/mod.ts";
export type { ActionHandler, ActionOptions } from "./action_table.ts";
export { Bus } from "./bus.ts";
export type {
  BusOptions,
  BusStats,
  HandlerOptions,
  HookOptions,
  PostOptions,
  StreamOptions,
  WatchOptions,
} from "./bus_options.ts";
export { BusError, DroppedError } from "./errors.ts";
export { eventStream, type EventStreamOptions } from "./event_stream.ts";
export { Pool, pool, type PoolOptions } from "./pool.ts";
export { type Failure, Receipt } from "./receipt.ts";
export type { Registration } from "./registration.ts";
export type { Watch } from "./watch.ts";
export { inTraceOf, type Reception } from "../telemetry/mod.ts";
