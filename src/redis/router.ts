import { Connection, type ConnectOptions } from "./connection.ts";
import { keySlot } from "./key_slot.ts";
import type { RedisArgs } from "./options.ts";
import { RedisError } from "./redis_error.ts";

/**
 * Finds the connection for a key: always the same one, except in a cluster,
 * where each of its nodes has its own. Connections are made when they are first
 * needed.
 */
export class Router {
  #args: RedisArgs;
  #options: ConnectOptions;
  #connections = new Map<number, Promise<Connection>>();
  #abort = new AbortController();

  /**
   * @param args redis-py's arguments, see {@link RedisArgs}.
   * @param options See {@link ConnectOptions}.
   */
  constructor(args: RedisArgs, options: Omit<ConnectOptions, "key">) {
    this.#args = args;
    this.#options = { ...options, signal: this.#abort.signal };
  }

  /** Whether keys live on different servers. */
  get isCluster(): boolean {
    return this.#args.cluster !== undefined;
  }

  /**
   * Returns the connection for a key, connected.
   *
   * @param key The key.
   * @param deadline Until when to wait for it (as `performance.now()`).
   * @throws {RedisError} The server refused, or could not be reached in time.
   */
  async connect(key: string, deadline: number): Promise<Connection> {
    if (this.#abort.signal.aborted) {
      throw new RedisError("Cannot send: the outbox was closed.", "closed");
    }
    const slot = this.isCluster ? keySlot(key) : 0;
    let made = this.#connections.get(slot);
    if (made === undefined) {
      made = Connection.connect(this.#args, { ...this.#options, key });
      this.#connections.set(slot, made);
      made.catch(() => this.#connections.delete(slot));
    }
    return await before(
      deadline,
      made.then(async (connection) => {
        await connection.ready();
        return connection;
      }),
    );
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    this.#abort.abort();
    const made = await Promise.allSettled(this.#connections.values());
    await Promise.all(
      made.map((result) =>
        result.status === "fulfilled" ? result.value.close() : undefined
      ),
    );
  }
}

async function before<Value>(
  deadline: number,
  promise: Promise<Value>,
): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  promise.catch(() => {});
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(() =>
          reject(
            new RedisError(
              "Cannot reach Redis: no connection in time.",
              "connection",
            ),
          ), Math.max(0, deadline - performance.now()));
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
