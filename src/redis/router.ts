import { backoff, sleep, unlessAborted, withTimeLimit } from "../waiting.ts";
import { Connection } from "./connection.ts";
import type { ConnectOptions } from "./connect_options.ts";
import { findSlots, ownerOf, type SlotRange } from "./connect_to_server.ts";
import { keySlot } from "./key_slot.ts";
import { type Address, formatAddress } from "./address.ts";
import { expandUrl, type RedisArgs } from "./redis_args.ts";
import { parseRedisArgs } from "./settings.ts";
import { RedisError, restate } from "./redis_error.ts";

/**
 * The time to try one node of a cluster before its slots are asked for again,
 * in seconds; each time twice as long.
 */
const FIRST_PATIENCE = 1;
const LONGEST_PATIENCE = 64;

/**
 * Finds the connection for a key: always the same one, except in a cluster,
 * where each node has its own. Connections are made when they are first needed.
 */
export class Router {
  #args: RedisArgs;
  #options: Omit<ConnectOptions, "key" | "signal">;
  #connections = new Map<string, Promise<Connection>>();
  #slots: Promise<readonly SlotRange[]> | undefined;
  #failure: Error | undefined;
  #abort = new AbortController();

  /** @param args redis-py's arguments, see {@link RedisArgs}. */
  constructor(
    args: RedisArgs,
    options: Omit<ConnectOptions, "key" | "signal">,
  ) {
    this.#args = args;
    this.#options = options;
  }

  /** True where each key may live on another server, so that one command reaches only some. */
  get isCluster(): boolean {
    return this.#args.cluster !== undefined;
  }

  /**
   * Returns the connection for a key, connected.
   *
   * @param deadline Until when to wait for it (as `performance.now()`).
   * @throws {RedisError} The server refused, or could not be reached in time.
   */
  async connect(key: string, deadline: number): Promise<Connection> {
    const left = Math.max(0, deadline - performance.now()) / 1000;
    const { signal: closing } = this.#abort;
    return await withTimeLimit(left, closing, async (signal) => {
      try {
        if (closing.aborted) throw closed();
        return this.isCluster
          ? await this.#connectToNode(keySlot(key), signal)
          : await this.#use("", this.#args, signal);
      } catch (error) {
        if (closing.aborted) throw closed();
        throw signal.aborted ? this.#lateError(error) : error;
      }
    });
  }

  /** Says why there is no connection in time. */
  #lateError(cause: unknown): RedisError {
    const failure = this.#failure;
    // A server that answers has said more than that there was no time.
    if (failure instanceof RedisError && failure.code !== "connection") {
      return restate(failure, { note: "It was tried until the time was over" });
    }
    return new RedisError(
      {
        attempted: "connect to Redis",
        reason: "no connection to Redis in time",
        note: failure?.message ?? `There is no answer from ${this.#place}`,
      },
      "connection",
      { cause: failure ?? cause },
    );
  }

  /** Forgets which node serves which slots. */
  forget(): void {
    this.#slots = undefined;
  }

  /** Closes every connection. */
  async close(): Promise<void> {
    this.#abort.abort();
    const made = await Promise.allSettled([
      ...this.#connections.values(),
      this.#slots,
    ]);
    await Promise.all(
      made.map((result) =>
        result.status === "fulfilled" && result.value instanceof Connection
          ? result.value.close()
          : undefined
      ),
    );
  }

  /** The servers to ask, for people. */
  get #place(): string {
    const { address, sentinel, cluster } = parseRedisArgs(this.#args);
    return (sentinel?.addresses ?? cluster ?? [address]).map(formatAddress)
      .join(", ");
  }

  async #connectToNode(slot: number, signal: AbortSignal): Promise<Connection> {
    for (let attempt = 0;; attempt++) {
      try {
        this.#slots ??= findSlots(parseRedisArgs(this.#args), {
          signal: this.#abort.signal,
          daemon: this.#options.daemon ?? false,
        });
        const address = ownerOf(await this.#slots, slot);
        if (address !== undefined) {
          const patience = Math.min(
            FIRST_PATIENCE * 2 ** attempt,
            LONGEST_PATIENCE,
          );
          return await this.#node(address, patience, signal);
        }
      } catch (error) {
        if (signal.aborted) throw error;
        if (error instanceof RedisError && isRefusal(error)) throw error;
        this.#failure = error as Error;
      }
      this.forget();
      await sleep(backoff(attempt, { longest: 0.5 }), { signal });
      signal.throwIfAborted();
    }
  }

  /**
   * Connects to one node, but not for long at first: another may have taken its
   * place. Where the way is slow, more and more time is left.
   */
  async #node(
    address: Address,
    patience: number,
    signal: AbortSignal,
  ): Promise<Connection> {
    const { cluster: _, ...rest } = expandUrl(this.#args);
    const name = formatAddress(address);
    return await withTimeLimit(patience, signal, async (impatient) => {
      try {
        return await this.#use(name, { ...rest, ...address }, impatient);
      } catch (error) {
        const made = this.#connections.get(name);
        this.#connections.delete(name);
        made?.then((connection) => connection.close(), () => {});
        if (signal.aborted || !impatient.aborted) throw error;
        throw new RedisError(
          {
            attempted: "connect to Redis",
            place: name,
            reason: `no answer within ${patience} s`,
          },
          "connection",
          { cause: error },
        );
      }
    });
  }

  async #use(
    name: string,
    args: RedisArgs,
    signal: AbortSignal,
  ): Promise<Connection> {
    let made = this.#connections.get(name);
    if (made === undefined) {
      const { signal: closing } = this.#abort;
      const limit = name === "" ? closing : AbortSignal.any([closing, signal]);
      made = Connection.connect(args, {
        ...this.#options,
        signal: limit,
        onFailure: (error) => this.#failure = error,
      });
      this.#connections.set(name, made);
      made.catch(() => this.#connections.delete(name));
    }
    const connection = await unlessAborted(made, signal);
    await connection.ready(signal);
    this.#failure = undefined;
    return connection;
  }
}

/** True where each node would answer the same, as about a password: no other one is asked. */
function isRefusal(error: RedisError): boolean {
  return !error.isTransient && error.code !== "closed";
}

function closed(): RedisError {
  const reason = "the outbox was closed";
  return new RedisError({ attempted: "send to Redis", reason }, "closed");
}
