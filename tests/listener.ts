import {
  Bus,
  type Message,
  RedisBackend,
  type RedisBackendOptions,
} from "../mod.ts";
import { inTime } from "./in_time.ts";
import { LineLogger } from "./line_logger.ts";
import type { TestServer } from "./servers.ts";

export const QUEUE = "platypush/backend/redis";
export const DEAD = `{${QUEUE}}:dead`;

/** A bus that no other test is on. */
export function privateBus(): Bus {
  return new Bus({ name: crypto.randomUUID(), deviceId: "livingroom" });
}

/** A backend of the device "livingroom" on a bus of its own, and all that it needs. */
export class Listener implements AsyncDisposable {
  readonly logger = new LineLogger();
  readonly bus: Bus = privateBus();
  readonly backend: RedisBackend;
  readonly #messages: Message[] = [];
  readonly #waiting = new Set<() => void>();

  constructor(server: TestServer, options: RedisBackendOptions = {}) {
    this.backend = new RedisBackend({
      redisArgs: server.args,
      deviceId: "livingroom",
      bus: this.bus,
      logger: this.logger,
      ...options,
    });
  }

  /** Starts it, and takes everything off the bus. */
  async start(): Promise<void> {
    this.#listen();
    await this.backend.start();
  }

  /** Waits for so many messages in all. */
  async messages(count: number): Promise<Message[]> {
    while (this.#messages.length < count) {
      const more = new Promise<void>((resolve) => this.#waiting.add(resolve));
      await inTime(more, `${count} messages`);
    }
    return this.#messages;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.backend.stop();
    await this.bus.close();
  }

  async #listen(): Promise<void> {
    for await (const message of this.bus) {
      this.#messages.push(message);
      for (const resolve of this.#waiting) resolve();
      this.#waiting.clear();
    }
  }
}

/** The dead letters of the queue, the oldest first. */
export async function deadLetters(
  server: TestServer,
): Promise<Record<string, unknown>[]> {
  const letters = await server.run<string[]>("LRANGE", DEAD, "0", "-1");
  return letters.map((letter) => JSON.parse(letter));
}
