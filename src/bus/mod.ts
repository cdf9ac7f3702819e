/**
 * What a thread needs to take part in the bus: the bus itself and the messages,
 * without Redis.
 *
 * @module
 */

export * from "../message/mod.ts";
export {
  Bus,
  type BusOptions,
  type BusStats,
  type HandlerOptions,
  type PostOptions,
} from "./bus.ts";
export { BusError, DroppedError } from "./errors.ts";
export { type Failure, type FailureReason, Receipt } from "./receipt.ts";
