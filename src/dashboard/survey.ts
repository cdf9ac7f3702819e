import { type QueueStatus, type RedisArgs, RedisError } from "../redis/mod.ts";
import { BriefConnection } from "../redis/brief_connection.ts";
import { readQueueStatus, serverStatus } from "../redis/queue_status.ts";
import { defineScript } from "../redis/script.ts";

/** The state of one queue, and how long its oldest message has waited. */
export interface QueueReading extends Omit<QueueStatus, "server"> {
  /** For how many seconds its oldest message has waited; `undefined` where nothing waits or that is not known. */
  readonly age: number | undefined;
}

/** A queue that cannot be read, and why: a key of another type, a right that is missing. */
export interface UnreadQueue {
  readonly queue: string;
  readonly error: Error;
}

/** Holds what was read at one moment. */
interface Reading {
  /** When it was read, in seconds since the epoch. */
  readonly time: number;
  readonly queues: readonly QueueReading[];
  /** The queues of which nothing could be read, where that is their own fault. */
  readonly unread: readonly UnreadQueue[];
  /** The server; `undefined` where it does not answer. */
  readonly server: QueueStatus["server"] | undefined;
  /** Why nothing could be read. */
  readonly error: Error | undefined;
}

/** Tells how many messages each queue had at one moment. */
interface Level {
  readonly time: number;
  /** For each queue, how many wait, retries included; `null` where that cannot be read. */
  readonly lengths: readonly (number | null)[];
}

/** So many levels are kept: an hour, one a second. */
const MAX_LEVELS = 3600;
/** The age up to which a reading is not repeated, in seconds. */
const FRESH = 0.5;

/** The time for which it is not asked again how the server stands, in seconds. */
const SERVER_FRESH = 10;

/** Reads how the queues stand, when asked, on one connection for each. It changes nothing. */
export class Survey implements Disposable {
  readonly #redisArgs: RedisArgs;
  readonly #queues: readonly string[];
  readonly #connections = new Map<string, BriefConnection>();
  readonly #closed = new AbortController();
  #reading: Promise<Reading> | undefined;
  #server: { status: QueueStatus["server"]; until: number } | undefined;
  /** The last reading; `undefined` before the first. */
  current: Reading | undefined;
  /** The levels of the last hour, as far as somebody looked. */
  readonly levels: Level[] = [];

  constructor(redisArgs: RedisArgs, queues: readonly string[]) {
    this.#redisArgs = redisArgs;
    this.#queues = queues;
  }

  /** Reads all queues, unless that has just been done. */
  read(): Promise<Reading> {
    const now = Date.now() / 1000;
    if (this.current !== undefined && now - this.current.time < FRESH) {
      return Promise.resolve(this.current);
    }
    this.#reading ??= this.#read().then((reading) => {
      this.current = reading;
      this.#note(reading);
      return reading;
    }).finally(() => this.#reading = undefined);
    return this.#reading;
  }

  /** Closes the connections until they are needed again. */
  rest(): void {
    for (const connection of this.#connections.values()) {
      connection[Symbol.dispose]();
    }
    this.#connections.clear();
    this.#server = undefined;
  }

  [Symbol.dispose](): void {
    this.#closed.abort();
    this.rest();
  }

  async #read(): Promise<Reading> {
    try {
      const queues: QueueReading[] = [];
      const unread: UnreadQueue[] = [];
      let server: QueueStatus["server"] | undefined;
      for (const queue of this.#queues) {
        const connection = await this.#connect(queue);
        try {
          queues.push(await readQueue(connection, queue));
        } catch (error) {
          // What is wrong with one queue hides no other.
          if (!isOfItsKeys(error)) throw error;
          unread.push({ queue, error });
        }
        server ??= await this.#readServer(connection);
      }
      if (queues.length === 0 && unread.length > 0) throw unread[0]!.error;
      const time = Date.now() / 1000;
      return { time, queues, unread, server, error: undefined };
    } catch (error) {
      this.rest();
      return {
        time: Date.now() / 1000,
        queues: [],
        unread: [],
        server: undefined,
        error: error as Error,
      };
    }
  }

  /** Asks the server for itself, unless it was asked a while ago: that changes slowly. */
  async #readServer(
    connection: BriefConnection,
  ): Promise<QueueStatus["server"]> {
    const now = performance.now();
    if (this.#server === undefined || now >= this.#server.until) {
      const status = await serverStatus(connection);
      this.#server = { status, until: now + SERVER_FRESH * 1000 };
    }
    return this.#server.status;
  }

  async #connect(queue: string): Promise<BriefConnection> {
    const known = this.#connections.get(queue);
    if (known !== undefined) return known;
    const connection = await BriefConnection.open(this.#redisArgs, {
      key: queue,
      signal: this.#closed.signal,
    });
    this.#connections.set(queue, connection);
    return connection;
  }

  #note({ time, queues }: Reading): void {
    if (queues.length === 0) return;
    const lengths = this.#queues.map((name) => {
      const reading = queues.find(({ queue }) => queue === name);
      return reading === undefined ? null : reading.length + reading.retrying;
    });
    this.levels.push({ time, lengths });
    if (this.levels.length > MAX_LEVELS) this.levels.shift();
  }
}

/** Tells whether it is the keys that cannot be read, and not the server. */
function isOfItsKeys(error: unknown): error is RedisError {
  return error instanceof RedisError &&
    (error.code === "wrong-type" || error.code === "permission");
}

/** Looks at the head of a queue, of which a part is enough. */
const HEAD = defineScript(`
-- KEYS[1]  the queue
-- Returns the beginning and the end of its first message, or '' and ''.
local head = redis.call('LRANGE', KEYS[1], 0, 0)[1] or ''
return {head:sub(1, 4096), head:sub(-4096)}
`);

async function readQueue(
  connection: BriefConnection,
  queue: string,
): Promise<QueueReading> {
  const status = await readQueueStatus(connection, queue, { scan: false });
  return {
    ...status,
    age: status.length === 0 ? undefined : await ageOf(connection, queue),
  };
}

async function ageOf(
  connection: BriefConnection,
  queue: string,
): Promise<number | undefined> {
  const parts = await connection.script<[string, string]>(HEAD, [queue], [])
    .catch((error): string[] => {
      if (error instanceof RedisError && error.code === "permission") return [];
      throw error;
    });
  for (const part of parts) {
    const [, time] = /["']_timestamp["']\s*:\s*([\d.]+)/.exec(part) ?? [];
    const age = Date.now() / 1000 - Number(time);
    if (time !== undefined && Number.isFinite(age)) return Math.max(age, 0);
  }
  return undefined;
}
