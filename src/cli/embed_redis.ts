import { createLogger, type PrivateRedis, startRedis } from "../../mod.ts";

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
