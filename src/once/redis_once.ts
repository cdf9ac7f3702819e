import {
  type Checked,
  checkOptions,
  notByNew,
  row,
  type Rows,
} from "../options.ts";
import { FLAG, LOGGER, NAME } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import { Connection, type RedisArgs, RedisError } from "../redis/mod.ts";
import { defineMove } from "../redis/script.ts";
import { retry } from "../waiting.ts";
import {
  type Claim,
  type FilledOnceOption,
  type Memory,
  type Once,
  ONCE_OPTIONS,
  type OnceOptions,
  runOnce,
} from "./once.ts";

/** For how long, and where, {@linkcode RedisOnce} remembers. */
export interface RedisOnceOptions extends OnceOptions {
  /** The start of its keys. Default: `platypush/once`. */
  prefix?: string;
  /** True if the process may end although it is open. Default: `false`. */
  daemon?: boolean;
  /**
   * The logger that hears of lost connections. Default: LogTape's category
   * `["platypush", "redis", "redis"]`.
   */
  logger?: Logger;
}

type Filled = FilledOnceOption | "prefix" | "daemon";

const OPTIONS: Rows<RedisOnceOptions, Filled> = {
  ...ONCE_OPTIONS,
  prefix: row(NAME, { default: "platypush/once" }),
  daemon: row(FLAG, { default: false }),
  logger: LOGGER,
};

type CheckedOptions = Checked<RedisOnceOptions, Filled>;

const DONE = "done";

/**
 * Remembers in Redis what was handled, for all processes that share the server:
 * one key an id, which expires. It needs the commands `GET`, `SET`, `DEL`, `EVAL`
 * and `EVALSHA` on `{prefix}:*`. How often the work is done when something breaks:
 * {@linkcode Once}.
 *
 * @example
 * ```ts
 * import { Event, RedisBackend, RedisOnce, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * const { redisArgs } = server;
 * await using once = await RedisOnce.open(redisArgs);
 * await using backend = new RedisBackend({ redisArgs });
 * let count = 0;
 * backend.bus.registerHandler(Event, async ({ id }) => {
 *   await once.run(id, () => count++); // though the event may come again
 * });
 * await once.run("same", () => count++);
 * await once.run("same", () => count++);
 * console.assert(count === 1);
 * ```
 */
export class RedisOnce implements Once, AsyncDisposable {
  readonly #connection: Connection;
  readonly #memory: Memory;

  private constructor(connection: Connection, options: CheckedOptions) {
    if (options === undefined) throw notByNew("RedisOnce.open");
    this.#connection = connection;
    this.#memory = new RedisMemory(connection, options);
  }

  /**
   * Connects.
   *
   * @param args redis-py's arguments, see {@linkcode RedisArgs}.
   * @param options For how long ids are remembered and claimed, and under which
   * keys.
   * @returns The memory. It is to be closed.
   * @throws {TypeError} When there is no such option or it is of another kind, or
   * an argument for Redis is unknown or wrong.
   * @throws {RangeError} When a time is no number above 0.
   * @throws {RedisError} When the server refuses this client. One that cannot be
   * reached is tried again.
   */
  static async open(
    args: RedisArgs,
    options: RedisOnceOptions = {},
  ): Promise<RedisOnce> {
    const given = checkOptions("open the memory", options, OPTIONS);
    const { daemon, logger } = given;
    const connection = await Connection.connect(args, {
      daemon,
      awaited: new Set(),
      ...(logger && { logger }),
    });
    return new RedisOnce(connection, given);
  }

  /**
   * Does the work of an id, unless it is done; see {@linkcode Once}.
   *
   * @param id The text by which the work is known, such as `message.id`.
   * @param work The work. When it throws or rejects, it counts as not done.
   * @param options A signal that ends the wait for somebody else.
   * @returns Whether the work was done by this call.
   * @throws {TypeError} When the id is no text, or empty.
   * @throws {RedisError} When the server refuses, or the memory was closed. A
   * server that cannot be reached is waited for.
   */
  async run(
    id: string,
    work: () => unknown,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<boolean> {
    return await runOnce(this.#memory, id, work, options);
  }

  /** Closes the connection; whoever still works keeps the claim until it runs out. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connection.close();
  }
}

class RedisMemory implements Memory {
  readonly lease: number;
  readonly #connection: Connection;
  readonly #prefix: string;
  readonly #expiry: number;

  constructor(
    connection: Connection,
    { expiry, lease, prefix }: CheckedOptions,
  ) {
    this.#connection = connection;
    this.#prefix = prefix;
    this.#expiry = expiry;
    this.lease = lease;
  }

  async claim(id: string, token: string): Promise<Claim> {
    return await this.#insist(() =>
      this.#connection.script<Claim>(
        claimScript,
        [this.#key(id)],
        [token, milliseconds(this.lease)],
      )
    );
  }

  async renew(id: string, token: string): Promise<void> {
    await this.#connection.script(
      renewScript,
      [this.#key(id)],
      [token, milliseconds(this.lease)],
    );
  }

  async release(id: string, token: string): Promise<void> {
    await this.#connection.script(releaseScript, [this.#key(id)], [token]);
  }

  async remember(id: string): Promise<void> {
    const expiry = milliseconds(this.#expiry);
    await this.#insist(() =>
      this.#connection.command(["SET", this.#key(id), DONE, "PX", expiry])
    );
  }

  #key(id: string): string {
    return `${this.#prefix}:${id}`;
  }

  /** Does a step that may run twice until its answer has come. */
  async #insist<Reply>(step: () => Promise<Reply>): Promise<Reply> {
    return await retry(async () => {
      await this.#connection.ready();
      return await step();
    }, {
      mayHelp: (error) => error instanceof RedisError && error.isTransient,
    });
  }
}

const claimScript = defineMove(
  ["string"],
  `
-- KEYS[1]  the memory of the id: 'done', or the token of who is at it
-- ARGV[1]  the token
-- ARGV[2]  for how many milliseconds it is claimed
local holder = redis.call('GET', KEYS[1])
if holder == '${DONE}' then return 'done' end
if holder and holder ~= ARGV[1] then return 'held' end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 'granted'
`,
);

const renewScript = defineMove(
  ["string"],
  `
-- KEYS[1]  the memory of the id
-- ARGV[1]  the token
-- ARGV[2]  for how many milliseconds more it is claimed
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
-- Also where the claim has got lost: whoever renews is at work.
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
`,
);

const releaseScript = defineMove(
  ["string"],
  `
-- KEYS[1]  the memory of the id
-- ARGV[1]  the token
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])
`,
);

function milliseconds(seconds: number): string {
  // What is beyond this many does not fit into a key's expiry.
  return String(Math.min(Math.ceil(seconds * 1000), Number.MAX_SAFE_INTEGER));
}
