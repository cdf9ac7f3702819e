/**
 * Work that is done once, though its message may come again.
 *
 * @module
 */

export { FileOnce } from "./file_once.ts";
export type { Once, OnceOptions } from "./once.ts";
export { RedisOnce, type RedisOnceOptions } from "./redis_once.ts";
