import type { RedisArgs } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LIMIT } from "./flow.ts";

/** A consumer in a process of its own, see `consumer.ts`. */
export class ConsumerProcess implements AsyncDisposable {
  #process: Deno.ChildProcess;
  #reader: ReadableStreamDefaultReader<string>;

  /** @param args How it reaches Redis. */
  constructor(args: RedisArgs) {
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        new URL("./consumer.ts", import.meta.url).pathname,
        JSON.stringify(args),
      ],
      stdout: "piped",
    }).spawn();
    this.#reader = this.#process.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** Resolves when it has handled something more. */
  async progress(): Promise<void> {
    const read = this.#reader.read();
    const { done } = await inTime(read, "a consumer handles a batch", LIMIT);
    if (done) throw new Error("The consumer has ended by itself.");
  }

  /** Sends it a signal. */
  kill(signal: Deno.Signal): void {
    this.#process.kill(signal);
  }

  /** Ends it at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#process.kill("SIGKILL");
    await this.#process.status;
    await this.#reader.cancel();
  }
}
