import type { Connection } from "../../src/redis/mod.ts";

/** The ways to have a queue that are measured beside each other. */
export type Contender =
  | "ours"
  | "bare client"
  | "LMOVE by hand"
  | "streams by hand"
  | "BullMQ"
  | "bee-queue"
  | "redis-py";

const PYTHON = `
import json, redis, sys, time
path, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
client = redis.Redis(unix_socket_path=path)
print("started", flush=True)
handled = 0
while True:
    found = client.blpop(queue, 20)
    if not found: continue
    json.loads(found[1])["type"]
    if handled == 0: first = time.perf_counter()
    handled += 1
    if handled == count:
        handled = 0
        print("done", (time.perf_counter() - first) * 1000, flush=True)
`;

/** A consumer in a process of its own. It needs Linux, which tells in `/proc` what a process has used. */
export class Peer implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  #text = "";

  private constructor(child: Deno.ChildProcess) {
    this.#child = child;
    this.#output = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /**
   * Starts one, which takes messages when this resolves.
   *
   * @param path The socket of the server.
   * @param count After so many messages, again and again, it says how long they took.
   * @param batch Those by hand take up to so many messages at once.
   */
  static async start(
    contender: Contender,
    path: string,
    queue: string,
    count = 0,
    batch = 512,
  ): Promise<Peer> {
    const isPython = contender === "redis-py";
    const consumer = new URL("consumer.ts", import.meta.url).pathname;
    const child = new Deno.Command(
      isPython ? "/usr/bin/python3" : Deno.execPath(),
      {
        args: [
          ...(isPython
            ? ["-c", PYTHON]
            : ["run", "-A", "--quiet", "--no-check", consumer, contender]),
          path,
          queue,
          String(count),
          String(batch),
        ],
        stdin: "piped",
        stdout: "piped",
      },
    ).spawn();
    const peer = new Peer(child);
    await peer.#hear(/started/);
    return peer;
  }

  /** Resolves with the milliseconds between its first message and the last one. */
  async done(): Promise<number> {
    return Number((await this.#hear(/done (\S+)\n/))[1]);
  }

  /** The processor time that it has used, in milliseconds: ticks of 10. */
  async cpu(): Promise<number> {
    const text = await Deno.readTextFile(`/proc/${this.#child.pid}/stat`);
    const [user, system] = text.replace(/^.*\) /, "").split(" ").slice(11, 13);
    return (Number(user) + Number(system)) * 10;
  }

  /** The memory that it has resident, in MiB. */
  async memory(): Promise<number> {
    const text = await Deno.readTextFile(`/proc/${this.#child.pid}/status`);
    return Number(/VmRSS:\s*(\d+)/.exec(text)![1]) / 1024;
  }

  /** Ends it at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#output.cancel();
    await this.#child.stdin.abort();
    await this.#child.status;
  }

  async #hear(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match) {
        this.#text = this.#text.slice(match.index + match[0].length);
        return match;
      }
      const { value, done } = await this.#output.read();
      if (done) throw new Error(`The consumer ended: ${this.#text}`);
      this.#text += value;
    }
  }
}

/** The number of commands that a server has run, also within scripts. */
export async function commandsOf(redis: Connection): Promise<number> {
  const text = String(await redis.command(["INFO", "commandstats"]));
  const senders = /^(info|ping|rpush|xadd)$/;
  return [...text.matchAll(/cmdstat_(\S+?):calls=(\d+)/g)]
    .filter(([, name]) => !senders.test(name!))
    .reduce((sum, [, , calls]) => sum + Number(calls), 0);
}

/** The processor time that a server has used, in microseconds. */
export async function cpuOf(redis: Connection): Promise<number> {
  const text = String(await redis.command(["INFO", "cpu"]));
  return [...text.matchAll(/used_cpu_(?:user|sys):([\d.]+)/g)]
    .reduce((sum, [, seconds]) => sum + Number(seconds) * 1e6, 0);
}

/** Waits, in seconds. */
export function rest(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}
