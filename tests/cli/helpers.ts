import type { TestServer } from "../servers.ts";

/** The queue where nobody says another. */
export const QUEUE = "platypush/backend/redis";

/** The options that lead a command to a server, as the device `hall`. */
export function at(server: TestServer): string[] {
  const { url } = server;
  return ["--url", url, "--device-id", "hall"];
}

/** The messages in the queue. */
export async function queued(
  server: TestServer,
): Promise<Record<string, unknown>[]> {
  const texts = await server.run<string[]>("LRANGE", QUEUE, "0", "-1");
  return texts.map((text) => JSON.parse(text));
}

/** Pushes events of a type, with the numbers from 0 on, for the device `hall`. */
export async function push(server: TestServer, count: number): Promise<void> {
  const events = Array.from({ length: count }, (_, n) =>
    JSON.stringify({
      type: "event",
      target: "hall",
      args: { type: n % 2 ? "custom.Odd" : "custom.Even", n },
    }));
  await server.run("RPUSH", QUEUE, ...events);
}
