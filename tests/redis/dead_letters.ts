import { encodeDeadLetter } from "../../src/redis/dead_letter.ts";
import {
  type DeadLetter,
  type DeadLetterFilter,
  DeadLetters,
} from "../../src/redis/mod.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";

export const DEAD = "{queue}:dead";

export const encoder = new TextEncoder();

/** A dead letter as it is in Redis. */
export function letter(
  id: string,
  parts: Partial<DeadLetter> & { age?: number } = {},
): string {
  const { age = 0, ...rest } = parts;
  return encodeDeadLetter({
    id,
    queue: "queue",
    reason: "failed",
    error: `${id} failed`,
    time: Date.now() / 1000 - age,
    deliveries: 3,
    payload: encoder.encode(`message ${id}`),
    ...rest,
  });
}

/** Numbered ones, as many as wanted. */
export async function buryMany(
  server: TestServer,
  count: number,
  dead = DEAD,
): Promise<void> {
  for (let start = 0; start < count; start += 1000) {
    const letters = Array.from(
      { length: Math.min(1000, count - start) },
      (_, index) => letter(String(start + index)),
    );
    await server.run("RPUSH", dead, ...letters);
  }
}

/** Numbered ones: those that are even have failed, those that are odd are no messages. */
export async function buryEverySecond(
  server: TestServer,
  first: number,
  count: number,
  dead = DEAD,
): Promise<void> {
  for (let start = first; start < first + count; start += 1000) {
    const ids = numbers(start, Math.min(start + 1000, first + count));
    const letters = ids.map((id) =>
      letter(id, { reason: Number(id) % 2 === 0 ? "failed" : "malformed" })
    );
    await server.run("RPUSH", dead, ...letters);
  }
}

export function open(server: TestServer): DeadLetters {
  return new DeadLetters(server.args, {
    queue: "queue",
    logger: new LineLogger(),
  });
}

export async function idsOf(
  dead: DeadLetters,
  filter?: DeadLetterFilter,
): Promise<string[]> {
  return await Array.fromAsync(dead.list(filter), ({ id }) => id);
}

export function queued(server: TestServer, queue = "queue"): Promise<string[]> {
  return server.run("LRANGE", queue, "0", "-1");
}

export function numbers(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, index) => String(from + index));
}

export function messages(ids: readonly string[]): string[] {
  return ids.map((id) => `message ${id}`);
}
