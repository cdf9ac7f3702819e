import { backoff, pause } from "./backoff.ts";
import { Connection, type ConnectOptions } from "./connection.ts";
import type { RedisArgs } from "./options.ts";
import { RedisError } from "./redis_error.ts";
import type { Router } from "./router.ts";

/** How long one `BLPOP` blocks, in seconds: a wake-up call that got lost costs no more. */
const BLOCK = 1;
/** How long a wake-up call that nobody hears is kept, in seconds. */
const WAKE_SECONDS = 60;
/** How often a cluster is asked, in seconds. */
const POLL = 0.02;

interface Waiter {
  key: string;
  resolve: (payload: Uint8Array) => void;
  reject: (error: Error) => void;
  timer: ReturnType<typeof setTimeout>;
}

/**
 * Waits for any number of responses with one `BLPOP` on one connection. A
 * request that is added while it blocks pushes to a list of our own that is
 * waited for as well, which wakes it up to wait for the longer set of keys.
 *
 * The keys of different requests live on different nodes of a cluster, where
 * `BLPOP` cannot wait for them together: there they are asked for in turns.
 */
export class Responses {
  #args: RedisArgs;
  #router: Router;
  #options: ConnectOptions;
  #waiters = new Map<string, Waiter>();
  #wakeKey = `platypush/responses/${crypto.randomUUID().replaceAll("-", "")}`;
  #abort = new AbortController();
  #running: Promise<void> | undefined;
  #connection: Connection | undefined;
  #blocked: Set<string> | undefined;

  /**
   * @param args redis-py's arguments, see {@link RedisArgs}.
   * @param router The connections for everything that does not block.
   * @param options See {@link ConnectOptions}.
   */
  constructor(
    args: RedisArgs,
    router: Router,
    options: Omit<ConnectOptions, "key">,
  ) {
    this.#args = args;
    this.#router = router;
    this.#options = { ...options, signal: this.#abort.signal };
  }

  /**
   * Waits for one response.
   *
   * @param id The request's id.
   * @param key The list on which the response arrives.
   * @param timeout How long to wait, in seconds.
   */
  wait(id: string, key: string, timeout: number): Promise<Uint8Array> {
    return new Promise((resolve, reject) => {
      if (this.#abort.signal.aborted) return reject(closed());
      const timer = setTimeout(() => {
        this.#waiters.delete(key);
        reject(
          new DOMException(
            `No response to request ${id} within ${timeout} s.`,
            "TimeoutError",
          ),
        );
      }, timeout * 1000);
      if (this.#options.unref) Deno.unrefTimer(timer);
      this.#waiters.set(key, { key, resolve, reject, timer });
      if (this.#blocked !== undefined && !this.#blocked.has(key)) this.#wake();
      this.#running ??= this.#run().finally(() => this.#running = undefined);
    });
  }

  /** Ends; whoever still waits is told. */
  async close(): Promise<void> {
    this.#abort.abort();
    for (const { reject, timer } of this.#waiters.values()) {
      clearTimeout(timer);
      reject(closed());
    }
    this.#waiters.clear();
    await this.#connection?.close();
    await this.#running;
    await this.#connection?.close();
  }

  /** Runs as long as somebody waits. */
  async #run(): Promise<void> {
    const { signal } = this.#abort;
    for (let failures = 0; this.#waiters.size > 0 && !signal.aborted;) {
      try {
        if (this.#router.isCluster) {
          await this.#poll();
          await pause(POLL, signal, this.#options.unref);
        } else {
          await this.#block();
        }
        failures = 0;
      } catch (error) {
        if (signal.aborted) return;
        this.#router.forget();
        if (!(error instanceof RedisError) || !error.isTransient) {
          return this.#rejectAll(error as Error);
        }
        await pause(backoff(failures++, 0.05, 1), signal, true);
      }
    }
  }

  async #block(): Promise<void> {
    this.#connection ??= await Connection.connect(this.#args, this.#options);
    const connection = this.#connection;
    await connection.ready();
    const keys = [...this.#waiters.keys()];
    if (keys.length === 0) return;
    this.#blocked = new Set(keys);
    try {
      const reply = await connection.command<[Uint8Array, Uint8Array] | null>(
        ["BLPOP", ...keys, this.#wakeKey, String(BLOCK)],
        { bytes: true, block: BLOCK },
      );
      if (reply === null) return;
      this.#settle(new TextDecoder().decode(reply[0]), reply[1]);
    } finally {
      this.#blocked = undefined;
    }
  }

  async #poll(): Promise<void> {
    const deadline = performance.now() + BLOCK * 1000;
    await Promise.all([...this.#waiters.keys()].map(async (key) => {
      const connection = await this.#router.connect(key, deadline);
      const payload = await connection.command<Uint8Array | null>(
        ["LPOP", key],
        { bytes: true },
      );
      if (payload !== null) this.#settle(key, payload);
    }));
  }

  #settle(key: string, payload: Uint8Array): void {
    const waiter = this.#waiters.get(key);
    if (waiter === undefined) return;
    this.#waiters.delete(key);
    clearTimeout(waiter.timer);
    waiter.resolve(payload);
  }

  #rejectAll(error: Error): void {
    for (const { reject, timer } of this.#waiters.values()) {
      clearTimeout(timer);
      reject(error);
    }
    this.#waiters.clear();
  }

  #wake(): void {
    this.#blocked = undefined;
    const deadline = performance.now() + BLOCK * 1000;
    this.#router.connect(this.#wakeKey, deadline).then((connection) =>
      Promise.all([
        connection.command(["RPUSH", this.#wakeKey, "1"]),
        connection.command(["EXPIRE", this.#wakeKey, String(WAKE_SECONDS)]),
      ])
    ).catch(() => {
      // The block ends by itself soon.
    });
  }
}

function closed(): RedisError {
  return new RedisError(
    "Cannot wait for a response: the outbox was closed.",
    "closed",
  );
}
