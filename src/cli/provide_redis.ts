import type { PrivateRedis, RedisArgs } from "../../mod.ts";

/**
 * Starts a private Redis for as long as the program runs, and tells in the log
 * how others reach it.
 *
 * @throws {Deno.errors.NotFound} None is installed; the message names the
 * command that installs one.
 */
export async function embedRedis(
  reason = "",
): Promise<PrivateRedis> {
  const { createLogger, startRedis } = await import("../../mod.ts");
  const server = await startRedis();
  const kill = (): void => {
    try {
      Deno.kill(server.pid, "SIGTERM");
    } catch {
      // It has ended by itself.
    }
  };
  // For a program that calls `Deno.exit()`.
  globalThis.addEventListener("unload", kill);
  server.ended.then(() => globalThis.removeEventListener("unload", kill));
  createLogger("cli").info(
    `${reason}A private Redis was started. Others reach it, as long as this ` +
      `program runs, with REDIS_URL=unix://${server.address}`,
  );
  return server;
}

/** The time that the usual server may take to answer, in seconds. */
const ANSWER_TIMEOUT = 2;

/** A server that {@linkcode provideRedis} has found or started. */
export interface ProvidedRedis extends AsyncDisposable {
  /** The way to reach it. */
  readonly redisArgs: RedisArgs;
  /** True if it was started, and stops when this is disposed of. */
  readonly isPrivate: boolean;
}

/**
 * Provides a Redis server: the one that is asked for, else the one on
 * 127.0.0.1:6379, else a private one on a Unix socket, which is started from
 * the `PATH` and said so.
 *
 * @param url The URL of the server to use, usually from the environment.
 * @returns How to reach the server; dispose of it in the end.
 * @throws {Deno.errors.NotFound} There is none, and none is installed; the
 * message names the command that installs one.
 * @throws {Deno.errors.NotCapable} Deno does not permit to look for a server, or
 * to start one.
 *
 * @example
 * ```ts
 * import { RedisBackend } from "@platypush/redis";
 * import { provideRedis } from "@platypush/redis/cli";
 *
 * await using redis = await provideRedis(Deno.env.get("REDIS_URL"));
 * await using backend = new RedisBackend({ redisArgs: redis.redisArgs });
 * await backend.sendEvent({ args: { type: "custom.Hello" } });
 * ```
 */
export async function provideRedis(url?: string): Promise<ProvidedRedis> {
  if (url) return found({ url });
  if (await answers("127.0.0.1", 6379)) return found({});
  const server = await startPrivate();
  return {
    redisArgs: server.redisArgs,
    isPrivate: true,
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

async function startPrivate(): Promise<PrivateRedis> {
  const reason = "REDIS_URL is not set and nothing answers on 127.0.0.1:6379";
  try {
    return await embedRedis(`${reason}. `);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    throw new Deno.errors.NotCapable(`${reason}. ${error.message}`);
  }
}

function found(redisArgs: RedisArgs): ProvidedRedis {
  return {
    redisArgs,
    isPrivate: false,
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

async function answers(hostname: string, port: number): Promise<boolean> {
  try {
    const signal = AbortSignal.timeout(ANSWER_TIMEOUT * 1000);
    (await Deno.connect({ hostname, port, signal })).close();
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false;
  }
}
