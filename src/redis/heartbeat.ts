import { isLoss } from "./find_server.ts";
import type { Logger } from "../logger.ts";
import type { Connection } from "./connection.ts";
import { explainWrongType } from "./queue_keys.ts";
import { RedisError } from "./redis_error.ts";
import { isTexts } from "./reply_shape.ts";
import { defineScript } from "./script.ts";
import { Session } from "./session.ts";

/**
 * The number of times that a consumer shows that it is alive before others take
 * it for dead.
 */
const BEATS = 3;

/** Names a consumer, and says how it shows that it is alive. */
export interface HeartbeatOptions {
  /** The queue that is consumed. */
  readonly queue: string;
  /** The start of the consumer's name. */
  readonly consumer: string;
  /** After how many seconds without a heartbeat others put back what it has in hand. */
  readonly heartbeatTimeout: number;
  /** For commands that do not block. */
  readonly control: Connection;
  /** The logger to report to. */
  readonly logger: Logger;
}

/**
 * Shows that a consumer is alive, and begins a new session where others took it
 * for dead.
 */
export class Heartbeat {
  readonly #options: HeartbeatOptions;
  readonly #onBeat: (
    session: Session,
    numbers: readonly number[],
  ) => Promise<void>;
  #session: Session;
  #timer: ReturnType<typeof setInterval> | undefined;
  #isEnding = false;
  readonly #beats = new Set<Promise<void>>();

  /**
   * @param onBeat Called after each heartbeat with the numbers of the batches
   * that the session has on the server.
   */
  constructor(
    options: HeartbeatOptions,
    onBeat: (session: Session, numbers: readonly number[]) => Promise<void>,
  ) {
    this.#options = options;
    this.#onBeat = onBeat;
    this.#session = new Session(options.queue, options.consumer);
  }

  /** The current session. */
  get session(): Session {
    return this.#session;
  }

  /**
   * Joins the consumers of the queue, and beats from then on.
   *
   * @throws {RedisError} The queue is no list, or the server refuses.
   */
  async start(): Promise<void> {
    await this.#join();
    await this.#beat();
    this.#timer = setInterval(
      () => this.beat(),
      this.#options.heartbeatTimeout * 1000 / BEATS,
    );
    Deno.unrefTimer(this.#timer);
  }

  /** Beats once more now, in the background. What fails is done again next time. */
  beat(): void {
    if (this.#timer === undefined || this.#isEnding) return;
    const beat = this.#beat().catch((error: RedisError) => {
      if (!isLoss(error)) {
        this.#options.logger.warn(`${error.message}.`);
      }
    }).finally(() => this.#beats.delete(beat));
    this.#beats.add(beat);
  }

  /** Begins a new session, unless that was done already. */
  async rejoin(lost: Session): Promise<void> {
    if (this.#session !== lost || this.#isEnding) return;
    const { queue, consumer, logger } = this.#options;
    this.#session = new Session(queue, consumer);
    logger.warn(
      `${lost.name} is no consumer of "${queue}" any more: another one took it for dead and put its messages back, or the server has lost its data. Going on as ${this.#session.name}.`,
    );
    await this.#join();
    this.beat();
  }

  /** Beats no more; resolves when the last beat is over. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    clearInterval(this.#timer);
    await Promise.all(this.#beats);
  }

  /** Tells the others that this session is over. */
  async leave(): Promise<void> {
    const { heartbeat } = this.#session.keys;
    await this.#options.control.command(["DEL", heartbeat]);
  }

  /** Enters the session into the hash of the queue's consumers. */
  static readonly #JOIN = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the consumer's heartbeat
-- KEYS[4…] the hash of the histories, the sorted set of the messages that pause,
--          the list of the dead letters
-- ARGV[1]  the consumer
-- ARGV[2]  after how many milliseconds without a heartbeat it is dead
for at, expected in ipairs({'list', 'hash', 'string', 'hash', 'zset', 'list'}) do
  local kind = redis.call('TYPE', KEYS[at]).ok
  if kind ~= 'none' and kind ~= expected then
    return {err = 'WRONGTYPE the key "' .. KEYS[at] .. '" is a ' .. kind ..
      ', but has to be a ' .. expected}
  end
end
-- A server that is out of memory refuses a script's first write if that needs
-- memory, but not the later ones: so the first one frees some.
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], 'alive')
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[2])
return 1
`);

  async #join(): Promise<void> {
    const { control, queue } = this.#options;
    const { keys, name } = this.#session;
    try {
      await control.script(
        Heartbeat.#JOIN,
        [
          keys.queue,
          keys.consumers,
          keys.heartbeat,
          keys.deliveries,
          keys.retry,
          keys.dead,
        ],
        [name, this.#lifetime],
      );
    } catch (error) {
      throw explainWrongType(error, queue);
    }
  }

  /** Shows that the consumer is alive, and tells it which batches it has in hand. */
  static readonly #BEAT = defineScript(`
-- KEYS[1]  the hash of the queue's consumers
-- KEYS[2]  the consumer's heartbeat
-- KEYS[3]  the hash of the consumer's batches
-- ARGV[1]  the consumer
-- ARGV[2]  after how many milliseconds without a heartbeat it is dead
-- Returns the numbers of the batches.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= 'alive' then
  return {err = 'TAKEN another consumer has put the messages back'}
end
if redis.call('PEXPIRE', KEYS[2], ARGV[2]) == 0 then
  redis.call('SET', KEYS[2], ARGV[2], 'PX', ARGV[2])
end
return redis.call('HKEYS', KEYS[3])
`);

  async #beat(): Promise<void> {
    const session = this.#session;
    const { keys, name } = session;
    let numbers: string[] = [];
    try {
      numbers = await this.#options.control.script<string[]>(
        Heartbeat.#BEAT,
        [keys.consumers, keys.heartbeat, keys.processing],
        [name, this.#lifetime],
        { isReply: isTexts },
      );
    } catch (error) {
      if (!(error instanceof RedisError) || error.code !== "taken") throw error;
      await this.rejoin(session);
    }
    await this.#onBeat(session, numbers.map(Number));
  }

  /** The time that a heartbeat counts, in milliseconds. */
  get #lifetime(): string {
    return String(Math.ceil(this.#options.heartbeatTimeout * 1000));
  }
}
