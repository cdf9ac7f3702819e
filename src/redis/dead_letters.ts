import type { Connection } from "./connection.ts";
import { type DeadLetter, decodeDeadLetter } from "./dead_letter.ts";
import type { Argument } from "./link.ts";
import { queueKeys } from "./queue_keys.ts";
import { exhume } from "./scripts/exhume.ts";

/** How many dead letters travel at once. */
const PAGE = 100;

/**
 * The messages of a queue that could not be handled.
 *
 * @example
 * ```ts
 * import { Connection, DeadLetters, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using connection = await Connection.connect(server.redisArgs);
 * const deadLetters = new DeadLetters(connection, "platypush/backend/redis");
 * for (const { reason, error } of await deadLetters.list()) {
 *   console.log(reason, error);
 * }
 * await deadLetters.requeue();
 * ```
 */
export class DeadLetters {
  #connection: Connection;
  #queue: string;
  #key: string;

  /**
   * Looks after the dead letters of one queue.
   *
   * @param connection A connection to the server of the queue.
   * @param queue The queue.
   */
  constructor(connection: Connection, queue: string) {
    this.#connection = connection;
    this.#queue = queue;
    this.#key = queueKeys(queue, "").dead;
  }

  /**
   * Counts them.
   *
   * @throws {RedisError} The server could not be reached or refused.
   */
  async count(): Promise<number> {
    return await this.#connection.command<number>(["LLEN", this.#key]);
  }

  /**
   * Lists them, the oldest first.
   *
   * @param limit How many at most. Default: all.
   * @param offset How many to leave out. Default: 0.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async list(limit = Infinity, offset = 0): Promise<DeadLetter[]> {
    const letters: DeadLetter[] = [];
    for await (const { letter } of this.#read(offset)) {
      if (letters.length >= limit) break;
      letters.push(letter);
    }
    return letters;
  }

  /**
   * Puts their messages back at the end of the queue, as if they were new.
   *
   * @param ids Which ones. Default: all.
   * @returns How many there were.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async requeue(ids?: readonly string[]): Promise<number> {
    return await this.#remove(ids, "requeue");
  }

  /**
   * Removes them for good.
   *
   * @param ids Which ones. Default: all.
   * @returns How many there were.
   * @throws {RedisError} The server could not be reached or refused.
   */
  async purge(ids?: readonly string[]): Promise<number> {
    return await this.#remove(ids, "purge");
  }

  async #remove(
    ids: readonly string[] | undefined,
    action: "requeue" | "purge",
  ): Promise<number> {
    const wanted = ids === undefined ? undefined : new Set(ids);
    const found: { raw: string; letter: DeadLetter }[] = [];
    for await (const item of this.#read(0)) {
      if (wanted?.has(item.letter.id) ?? true) found.push(item);
    }
    let count = 0;
    for (let start = 0; start < found.length; start += PAGE) {
      const args: Argument[] = [action];
      for (const { raw, letter } of found.slice(start, start + PAGE)) {
        args.push(raw, action === "requeue" ? letter.payload : "");
      }
      count += await this.#connection.script<number>(
        exhume,
        [this.#queue, this.#key],
        args,
      );
    }
    return count;
  }

  async *#read(
    offset: number,
  ): AsyncGenerator<{ raw: string; letter: DeadLetter }> {
    for (let start = offset;; start += PAGE) {
      const page = await this.#connection.command<string[]>([
        "LRANGE",
        this.#key,
        String(start),
        String(start + PAGE - 1),
      ]);
      for (const raw of page) {
        const letter = decodeDeadLetter(raw);
        if (letter !== undefined) yield { raw, letter };
      }
      if (page.length < PAGE) return;
    }
  }
}
