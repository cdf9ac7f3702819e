import type { ConsumerOptions } from "./consumer.ts";
import { HEARTBEAT_FUNCTIONS } from "./heartbeat.ts";
import { explainWrongType, type QueueKeys, queueKeys } from "./queue_keys.ts";
import { isTexts } from "./reply_shape.ts";
import { defineScript } from "./script.ts";

/** One life of a consumer: from joining until it leaves or is taken for dead. */
export class Session {
  /** The part of its name that no other session has. */
  readonly token: string = crypto.randomUUID().slice(0, 8);
  /** The consumer's name during this session. */
  readonly name: string;
  /** The keys of the queue, and of this session. */
  readonly keys: QueueKeys;
  /** The numbers of the batches that are on their way or not settled. */
  readonly known: Set<number> = new Set();
  /** Of these, the ones whose lists are announced and empty: BLMOVE moves messages there. */
  readonly slots: number[] = [];
  /** When lists were first found empty whose way was interrupted, in milliseconds. */
  readonly #empty = new Map<number, number>();
  /** The number of batches that are handled, and just being removed from the server. */
  leaving = 0;
  // Tokens of eight digits may be drawn twice, but not within one second.
  #last = Math.floor(Date.now() / 1000);

  /**
   * @param queue The queue that is consumed.
   * @param consumer The start of the name.
   */
  constructor(queue: string, consumer: string) {
    this.name = `${consumer}.${this.token}`;
    this.keys = queueKeys(queue, this.name);
  }

  /** Makes a number that no other batch of this session ever has. */
  next(): number {
    this.known.add(++this.#last);
    return this.#last;
  }

  /**
   * Notes that the list of a number was found empty whose way was interrupted.
   *
   * @param late So long something may still come to it, in seconds.
   * @returns Whether nothing comes any more.
   */
  isOver(number: number, late: number): boolean {
    const now = performance.now();
    const since = this.#empty.get(number) ?? now;
    const isOver = now - since > late * 1000;
    if (isOver) this.#empty.delete(number);
    else this.#empty.set(number, since);
    return isOver;
  }

  /** Announces a list no more to which nothing comes. */
  async forget(number: number, { control }: ConsumerOptions): Promise<void> {
    this.known.delete(number);
    await control.command(["HDEL", this.keys.processing, String(number)]);
  }

  /** Names the key of a batch's list. */
  list(number: number): string {
    return `${this.keys.batch}${number}`;
  }

  /**
   * Begins the ids of a batch's messages. The script that puts back what a dead
   * consumer had in hand makes the same (`HISTORY_FUNCTIONS`).
   */
  prefix(number: number): string {
    return `${this.token}${number.toString(16).padStart(14, "0")}`;
  }

  /** Enters the session into the hash of the queue's consumers. */
  static readonly #JOIN = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the consumer's heartbeat
-- KEYS[4…] the hash of the histories, the sorted set of the messages that pause,
--          the list of the dead letters, the hash of the named subscribers
-- ARGV[1]  the consumer
-- ARGV[2]  the key of the process' heartbeat
-- ARGV[3]  what that holds
-- ARGV[4]  after how many milliseconds without a heartbeat it is dead
-- ARGV[5]  the start of the keys of the heartbeats
-- It also touches the heartbeats of the other consumers, whose keys are made from
-- ARGV and lie in the same slot.
-- Returns the names of the named subscribers.
for at, expected in ipairs({'list', 'hash', 'string', 'hash', 'zset', 'list', 'hash'}) do
  local kind = redis.call('TYPE', KEYS[at]).ok
  if kind ~= 'none' and kind ~= expected then
    return {err = 'WRONGTYPE the key "' .. KEYS[at] .. '" is a ' .. kind ..
      ', but has to be a ' .. expected}
  end
end
${HEARTBEAT_FUNCTIONS}
-- A server that is out of memory refuses a script's first write if that needs
-- memory, but not the later ones: so the first one frees some.
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], 'alive')
redis.call('SET', ARGV[2], ARGV[3], 'PX', ARGV[4])
if KEYS[3] ~= ARGV[2] then redis.call('SET', KEYS[3], '=' .. ARGV[2]) end
poke(KEYS[2], ARGV[5], ARGV[1])
return redis.call('HKEYS', KEYS[7])
`);

  /** Joins the consumers of the queue. */
  async join(options: ConsumerOptions): Promise<void> {
    const { control, queue, heartbeat, subscribers } = options;
    const { keys, name } = this;
    try {
      const names = await control.script<string[]>(
        Session.#JOIN,
        [
          keys.queue,
          keys.consumers,
          keys.heartbeat,
          keys.deliveries,
          keys.retry,
          keys.dead,
          keys.subscribers,
        ],
        [
          name,
          heartbeat.key(keys),
          heartbeat.value,
          heartbeat.lifetime,
          keys.allHeartbeats,
        ],
        { isReply: isTexts },
      );
      subscribers.learn(names);
    } catch (error) {
      throw explainWrongType(error, queue);
    }
  }

  /** Tells what the server knows of this session, and who else is there. */
  static readonly #INSPECT = defineScript(`
-- KEYS[1]  the hash of the queue's consumers
-- KEYS[2]  the hash of the consumer's batches
-- KEYS[3]  the hash of the named subscribers
-- ARGV[1]  the consumer
-- ARGV[2]  the key of the process' heartbeat
-- ARGV[3]  what that holds
-- ARGV[4]  after how many milliseconds without a heartbeat it is dead
-- ARGV[5]  the start of the keys of the heartbeats
-- It also reads the heartbeats of the other consumers, whose keys are made from
-- ARGV and lie in the same slot.
-- Returns the numbers of the batches, in turns the keys of others' heartbeats and
-- what they hold, and the names of the named subscribers.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= 'alive' then
  return {err = 'TAKEN another consumer has put the messages back'}
end
${HEARTBEAT_FUNCTIONS}
if redis.call('EXISTS', ARGV[2]) == 0 then
  redis.call('HDEL', KEYS[1], '')
  redis.call('SET', ARGV[2], ARGV[3], 'PX', ARGV[4])
end
local others = {}
local list = redis.call('HGETALL', KEYS[1])
for at = 1, #list, 2 do
  if list[at + 1] == 'alive' and list[at] ~= ARGV[1] then
    local key, beat = heartOf(ARGV[5] .. list[at])
    if beat and key ~= ARGV[2] then
      others[#others + 1] = key
      others[#others + 1] = beat
    end
  end
end
return {redis.call('HKEYS', KEYS[2]), others, redis.call('HKEYS', KEYS[3])}
`);

  /**
   * Returns the numbers of the batches that the session has on the server, and
   * watches the heartbeats of others from now on.
   *
   * @throws {RedisError} It is over (`taken`), or the server does not tell.
   */
  async inspect(options: ConsumerOptions): Promise<readonly number[]> {
    const { control, heartbeat, subscribers } = options;
    const { keys, name } = this;
    const [numbers, others, names] = await control.script<
      [string[], string[], string[]]
    >(
      Session.#INSPECT,
      [keys.consumers, keys.processing, keys.subscribers],
      [
        name,
        heartbeat.key(keys),
        heartbeat.value,
        heartbeat.lifetime,
        keys.allHeartbeats,
      ],
      {
        isReply: (reply) =>
          Array.isArray(reply) && reply.length === 3 && reply.every(isTexts),
      },
    );
    subscribers.learn(names);
    for (let at = 0; at < others.length; at += 2) {
      heartbeat.watch(others[at]!, others[at + 1]!);
    }
    return numbers.map(Number);
  }
}
