import type { Connection } from "../../src/redis/mod.ts";
import { CLIMATE, sensorEvent } from "../sensor_event.ts";
import { Usage } from "../usage.ts";

/** The ways to have a queue that are measured beside each other. */
export type Contender =
  | "ours"
  | "ours, plain: false"
  | "ours, at most once"
  | "ours, async handler"
  | "ours, for await"
  | "ours, handler in a worker"
  | "ours, handler in a worker, plain: false"
  | "ours, 1,000 queues"
  | "ours, 60 workers"
  | "ours, 100 consumers"
  | "ours, after 100 were killed"
  | "bare client"
  | "bare client, waiting without end"
  | "bare client, reading ahead"
  | "bare client, unparsed"
  | "bare client, handler in a worker"
  | "bare client, 60 workers"
  | "bare client with node: imports, 60 workers"
  | "LMOVE by hand"
  | "script by hand"
  | "script by hand, for await"
  | "script by hand, handler in a worker"
  | "streams by hand"
  | "streams by hand, posting"
  | Library
  | "redis-py";

/** The peer that ours is put beside while messages come in one by one. */
export const STREAMS = "streams by hand";

/** The same, which gives each message to a channel too, as ours does by default. */
export const POSTING = "streams by hand, posting";

/** Those of them that are this package. */
export type Ours = Extract<Contender, `ours${string}`>;

/** Those of them that are libraries of others. */
export type Library = "BullMQ" | "bee-queue";

/** What a consumer says of some messages. Times are milliseconds since 1970. */
export interface Turn {
  /** When it began to connect, with its program loaded. */
  readonly begin: number;
  /** When the first message was handled. */
  readonly first: number;
  /** When the last one was. */
  readonly last: number;
  /** How long each took from being sent to being handled, in microseconds, if it said when it was sent. */
  readonly latencies: readonly number[];
}

const PYTHON = `
import json, redis, sys, time
path, queue, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
begin = time.time() * 1000
client = redis.Redis(unix_socket_path=path)
client.ping()
print("started", time.time() * 1000 - begin, flush=True)
handled, latencies = 0, []
while True:
    found = client.blpop(queue, 1)
    if not found: continue
    sent = json.loads(found[1])["args"].get("sent")
    now = time.time() * 1000
    if handled == 0: first = now
    if sent: latencies.append(round((now - sent) * 1000))
    handled += 1
    if handled == count:
        turn = dict(begin=begin, first=first, last=now, latencies=latencies)
        print("done", json.dumps(turn), flush=True)
        handled, latencies = 0, []
`;

/** Says how a consumer is to be. */
export interface PeerOptions {
  /** The socket of the server. */
  readonly path: string;
  readonly queue: string;
  /** After so many messages, again and again, it says how that went. */
  readonly count?: number;
  /** Those by hand take up to so many messages at once. */
  readonly batch?: number;
}

/** A consumer in a process of its own. */
export class Peer implements AsyncDisposable {
  /** What its process uses. */
  readonly usage: Usage;
  /** How long it took to connect until it took messages, in milliseconds. */
  startTime = NaN;
  readonly #child: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  #text = "";

  private constructor(child: Deno.ChildProcess) {
    this.usage = new Usage(child.pid);
    this.#child = child;
    this.#output = child.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
  }

  /** Starts one, which takes messages when this resolves. */
  static async start(
    contender: Contender,
    { path, queue, count = 0, batch = 512 }: PeerOptions,
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
    peer.startTime = Number(await peer.#hear(/started (\S+)\n/));
    return peer;
  }

  /** Resolves when it has handled as many messages as were to be counted. */
  async done(): Promise<Turn> {
    return JSON.parse(await this.#hear(/done (.*)\n/));
  }

  /** Ends it at once. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#output.cancel();
    await this.#child.stdin.abort();
    await this.#child.status;
  }

  async #hear(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match) {
        // A fast one is done before it has started: that stays to be heard.
        this.#text = this.#text.replace(match[0], "");
        return match[1]!;
      }
      const { value, done } = await this.#output.read();
      if (done) throw new Error(`The consumer ended: ${this.#text}`);
      this.#text += value;
    }
  }
}

/** An event of that many bytes. */
export function eventOf(size: number): string {
  const { length } = JSON.stringify(sensorEvent({ text: "" }));
  return JSON.stringify(sensorEvent({ text: "x".repeat(size - length) }));
}

/** An event of a sensor, which says when it was sent. */
export function sentNow(): string {
  const sent = performance.timeOrigin + performance.now();
  return JSON.stringify(sensorEvent({ ...CLIMATE, sent }));
}

/** Whether a contender's queue is a stream. */
export function hasStream(contender: Contender): boolean {
  return contender.startsWith("streams by hand");
}

/** Adds a message to a contender's queue, as those expect it that need no library for it. */
export function push(
  redis: Connection,
  contender: Contender,
  queue: string,
  text: string,
): Promise<unknown> {
  return redis.command(
    hasStream(contender)
      ? ["XADD", queue, "*", "message", text]
      : ["RPUSH", queue, text],
  );
}

/** Adds a message to a contender's queue many times, at once. */
export async function fill(
  redis: Connection,
  contender: Contender,
  queue: string,
  text: string,
  count: number,
): Promise<void> {
  const add = hasStream(contender)
    ? "redis.call('XADD', KEYS[1], '*', 'message', ARGV[1])"
    : "redis.call('RPUSH', KEYS[1], ARGV[1])";
  const script = `for _ = 1, tonumber(ARGV[2]) do ${add} end`;
  await redis.command(["EVAL", script, "1", queue, text, String(count)]);
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
