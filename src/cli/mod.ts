/**
 * The command line, and what any program around the library can use of it.
 *
 * @module
 */

export { type LogLevel, logToStderr } from "./log_to_stderr.ts";
export { main } from "./main.ts";
export { printLine } from "./print.ts";
export { ExitCode, program } from "./program.ts";
export type { Credentials, RedisArgs } from "../redis/mod.ts";
export { type ProvidedRedis, provideRedis } from "./provide_redis.ts";
