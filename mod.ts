/**
 * A Redis message backend in the way of Platypush: what other processes push to
 * a Redis list arrives on a bus that handlers, workers and plain
 * BroadcastChannels listen to, while Zeroconf makes the service known on the
 * local network.
 *
 * @example Listen
 * ```ts
 * import { Event, RedisBackend, startRedis } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * await using server = await startRedis();
 * await using backend = new RedisBackend({ redisArgs: server.redisArgs });
 * const arrived = Promise.withResolvers<Event>();
 * backend.bus.registerHandler(Event, arrived.resolve);
 * await backend.start();
 *
 * await backend.sendEvent({ args: { type: "custom.Motion", room: "hall" } });
 * assert.equal((await arrived.promise).args.room, "hall");
 * ```
 *
 * @module
 */

export * from "./src/backend/mod.ts";
export * from "./src/bus/mod.ts";
export * from "./src/config/mod.ts";
export * from "./src/doctor/mod.ts";
export { createLogger, type Logger } from "./src/logger.ts";
export * from "./src/message/mod.ts";
export * from "./src/once/mod.ts";
export * from "./src/redis/mod.ts";
export { VERSION } from "./src/version.ts";
export * from "./src/zeroconf/mod.ts";
