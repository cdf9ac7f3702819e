import type { Bus } from "../../src/bus/mod.ts";
import type { Command, Seen } from "./worker.ts";

/** A worker that does what a test tells it. */
export class TestWorker implements Disposable {
  readonly #worker: Worker;
  readonly #replies: PromiseWithResolvers<unknown>[] = [];

  /** @param name The worker's name, which labels it on the bus. */
  constructor(name: string) {
    this.#worker = new Worker(new URL("./worker.ts", import.meta.url), {
      type: "module",
      name,
    });
    this.#worker.onmessage = ({ data }) => {
      const reply = this.#replies.shift()!;
      if (data.error !== undefined) {
        reply.reject(new Error(`${name}: ${data.error}`));
      } else reply.resolve(data.result);
    };
  }

  /** Starts a worker and lets it listen on a bus. */
  static async listening(
    name: string,
    bus: Bus,
    options = {},
  ): Promise<TestWorker> {
    const worker = new TestWorker(name);
    await worker.tell({
      do: "open",
      options: { name: bus.name, deviceId: "hall", ...options },
    });
    await worker.tell({ do: "listen" });
    return worker;
  }

  /** Tells it what to do, and resolves when it is done, or begins to block. */
  tell(command: Command): Promise<unknown> {
    const reply = Promise.withResolvers<unknown>();
    this.#replies.push(reply);
    this.#worker.postMessage(command);
    return reply.promise;
  }

  /** Lets it stand still until it is released. */
  async hold(): Promise<() => void> {
    const gate = new SharedArrayBuffer(4);
    await this.tell({ do: "hold", gate });
    return () => {
      Atomics.store(new Int32Array(gate), 0, 1);
      Atomics.notify(new Int32Array(gate), 0);
    };
  }

  /** Asks what it has seen. */
  async seen(): Promise<Seen> {
    return await this.tell({ do: "report" }) as Seen;
  }

  /** Ends it at once, as a crash would. */
  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}
