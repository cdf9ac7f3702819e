import type { Logger } from "../logger.ts";
import { Message } from "../message/mod.ts";
import { Connection, type RedisArgs } from "../redis/mod.ts";
import { QueueKeys } from "../redis/queue_keys.ts";
import { settledWithin, sleep } from "../waiting.ts";
import type { Passed, PassedMessage } from "./passed.ts";

/** So many messages are kept in Redis, give or take a hundred. */
const MAX_MESSAGES = 5000;
/** Longer ones are not kept there, in characters. */
const MAX_LENGTH = 65_536;
/** They are kept for so many seconds. */
const KEPT = 3600;
/** So many wait to be written, while Redis is away. */
const MAX_WAITING = 1000;
/** The time that the last ones may take, in seconds. */
const END_TIMEOUT = 1;
/** So many are read when the program starts. */
const READ = 1000;
/** They are written together after so many seconds. */
const PAUSE = 1;

/**
 * Keeps what has passed in a stream beside the queue, so that it can be looked at
 * after the program was started anew. What Redis refuses or cannot take in time is
 * not kept: it is a memory, and no delivery.
 */
export class KeptHistory implements AsyncDisposable {
  readonly #redisArgs: RedisArgs;
  readonly #key: string;
  readonly #passed: Passed;
  readonly #logger: Logger;
  readonly #closed = new AbortController();
  readonly #waiting: PassedMessage[] = [];
  readonly #end: () => void;
  #connection: Promise<Connection> | undefined;
  #writing: Promise<void> | undefined;
  readonly #restoring: Promise<void>;

  constructor(
    { redisArgs, queue, passed, logger }: {
      readonly redisArgs: RedisArgs;
      readonly queue: string;
      readonly passed: Passed;
      readonly logger: Logger;
    },
  ) {
    this.#redisArgs = redisArgs;
    this.#key = new QueueKeys(queue).passed;
    this.#passed = passed;
    this.#logger = logger;
    this.#restoring = this.#restore();
    this.#end = passed.listen((message) => this.#keep(message));
  }

  async #restore(): Promise<void> {
    try {
      const connection = await this.#connect();
      const entries = await connection.command<[string, string[]][]>([
        "XREVRANGE",
        this.#key,
        "+",
        String(Date.now() - KEPT * 1000),
        "COUNT",
        String(READ),
      ]);
      this.#passed.restore(
        entries.toReversed().map(([id, [, json = ""]]) => [
          Message.build(json),
          Number(id.split("-")[0]) / 1000,
        ]),
      );
    } catch (error) {
      this.#tell("read", error);
    }
  }

  #keep(message: PassedMessage): void {
    if (message.json.length > MAX_LENGTH) return;
    this.#waiting.push(message);
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    this.#writing ??= this.#write().finally(() => this.#writing = undefined);
  }

  async #write(): Promise<void> {
    await sleep(PAUSE, { signal: this.#closed.signal, daemon: true });
    while (this.#waiting.length > 0) {
      const batch = this.#waiting.splice(0);
      try {
        const connection = await this.#connect();
        await connection.ready();
        await Promise.all(
          batch.map(({ json }) =>
            connection.command([
              "XADD",
              this.#key,
              "MAXLEN",
              "~",
              String(MAX_MESSAGES),
              "*",
              "message",
              json,
            ])
          ),
        );
        await connection.command(["EXPIRE", this.#key, String(KEPT)]);
      } catch (error) {
        this.#tell("write", error);
      }
    }
  }

  #connect(): Promise<Connection> {
    this.#connection ??= Connection.connect(this.#redisArgs, {
      daemon: true,
      awaited: new Set(),
      logger: this.#logger,
      signal: this.#closed.signal,
    }).catch((error) => {
      this.#connection = undefined;
      throw error;
    });
    return this.#connection;
  }

  #tell(what: string, error: unknown): void {
    if (this.#closed.signal.aborted) return;
    this.#logger.warn(
      `Cannot ${what} the history of messages: ${(error as Error).message}.`,
    );
  }

  /** Writes what waits, and closes the connection. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end();
    this.#closed.abort();
    await settledWithin(Promise.resolve(this.#writing), END_TIMEOUT);
    const connection = await this.#connection?.catch((): undefined =>
      undefined
    );
    await connection?.close();
    await this.#writing;
    await this.#restoring;
  }
}
