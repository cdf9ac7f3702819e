import type { ConsumerOptions } from "./consumer.ts";
import { HEARTBEAT_FUNCTIONS, LATE } from "./heartbeat.ts";
import { HISTORY_FUNCTIONS } from "./history.ts";
import type { OtherConsumer } from "./other_heartbeats.ts";
import { KEY_TYPES, QueueKeys } from "./queue_keys.ts";
import { nameQueue } from "./redis_error.ts";
import { isNumber, isPayload, isTexts } from "./reply_shape.ts";
import { defineMove, defineScript } from "./script.ts";
import { UnreadLists } from "./unread_lists.ts";

/** So many lists of a session stay announced that are empty. */
export const MAX_SLOTS: number = 64;
/** From so many of them on that are of no use, lists are announced several at a time. */
const USELESS = 4;
/** So many are announced at a time then. */
const AHEAD = 16;

/** Shared by all sessions that have not asked for anything yet: most queues are quiet. */
const NOTHING_KNOWN = new Set<number>();

/** One life of a consumer: from joining until it leaves or is taken for dead. */
export class Session {
  /** The part of its name that no other session has. */
  readonly token: string = crypto.randomUUID().slice(0, 8);
  /** The consumer's name during this session. */
  readonly name: string;
  /** The keys of the queue, and of this session. */
  readonly keys: QueueKeys;
  /** The numbers of the batches that are on their way or not settled. */
  known: Set<number> = NOTHING_KNOWN;
  /** Of these, the ones whose lists are announced and empty: BLMOVE moves messages there. */
  readonly slots: number[] = [];
  /** When lists were first found empty whose way was interrupted, in milliseconds. */
  #empty: Map<number, number> | undefined;
  /** Its lists that could not be read. */
  readonly unread: UnreadLists = new UnreadLists();
  /** The number of batches that are handled, and just being removed from the server. */
  leaving = 0;
  /** The number that was given to a batch last: none that is in hand has a larger one. */
  given = 0;
  /** The last number of all; tokens of eight digits may be drawn twice, but not within one second. */
  last: number = Math.floor(Date.now() / 1000);

  /**
   * @param consumer The start of the name.
   */
  constructor(queue: string, consumer: string) {
    this.name = `${consumer}.${this.token}`;
    this.keys = new QueueKeys(queue, this.name);
  }

  /** Makes a number that no other batch of this session ever has. */
  next(): number {
    if (this.known === NOTHING_KNOWN) this.known = new Set();
    this.known.add(++this.last);
    return this.given = this.last;
  }

  /**
   * Makes the numbers of lists that are to be announced, when all slots have smaller
   * numbers than what is in hand. Where that happens again and again, as with
   * handlers that take their time, there are several: those behind the first one are
   * slots from now on.
   */
  makeLists(options: Pick<ConsumerOptions, "control">): readonly number[] {
    const { slots } = this;
    const count = slots.length < USELESS ? 1 : AHEAD;
    if (slots.length >= MAX_SLOTS / 2) {
      this.forget(slots.splice(0), options).catch(() => {});
    }
    const lists = [this.next()];
    while (lists.length < count) {
      this.known.add(++this.last);
      lists.push(this.last);
    }
    // The smallest is the last, and the first to be used.
    slots.push(...lists.slice(1).reverse());
    return lists;
  }

  /**
   * Uses no list again that was empty before the connection was lost: a server that
   * has lost its last writes may have put something back.
   */
  doubtSlots(): void {
    for (const number of this.slots.splice(0)) this.known.delete(number);
  }

  /** Looks for what lost answers have left, and puts back what is too much for the way. */
  static readonly #FIND_LOST = defineMove(
    ["list", "hash", "hash"],
    `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of this consumer's batches
-- KEYS[3]  the hash of the histories
-- KEYS[4...] the lists of the batches
-- ARGV[1]  the number of bytes that are not too much
-- ARGV[2...] the numbers of the batches, in their order
-- Returns the numbers of those that have messages yet.
${HISTORY_FUNCTIONS}
local found, first = {}, nil
local function isTooMuch(list)
  return redis.call('MEMORY', 'USAGE', list, 'SAMPLES', 0) > tonumber(ARGV[1])
end
for at = 2, #ARGV do
  local count = redis.call('LLEN', KEYS[at + 2])
  if count > 0 then found[#found + 1] = at end
  if count > 1 and not first and isTooMuch(KEYS[at + 2]) then first = at end
end
if first then begin(KEYS[2]) end
local left = {}
-- The last one first: so they keep their order, as all do that are behind one that
-- is too much. Only a large message that is alone stays.
for place = #found, 1, -1 do
  local number, list = ARGV[found[place]], KEYS[found[place] + 2]
  local isAlone = redis.call('LLEN', list) == 1
  if first and found[place] >= first and not (isAlone and isTooMuch(list)) then
    local histories = redis.call('HGET', KEYS[2], number) or '?'
    restore(KEYS[1], KEYS[3], list, histories, 0, 0)
    -- More may come there.
    redis.call('HSET', KEYS[2], number, '?')
  else
    table.insert(left, 1, number)
  end
end
return left
`,
  );

  /**
   * Looks into the lists whose way to us was interrupted: many, where connections
   * break often, and mostly empty. What came together and is too much for the way
   * goes back to the queue, from where it comes in smaller parts.
   *
   * @param maxBytes The number of bytes that are not too much.
   * @returns Their numbers, in their order, if there is something: of those that
   * could not be read before, one at a time, and ever more rarely.
   */
  async findLost(
    numbers: readonly number[],
    maxBytes: number,
    options: Pick<ConsumerOptions, "control">,
  ): Promise<readonly number[]> {
    this.unread.keep(numbers);
    const lost = numbers.filter((number) => !this.known.has(number))
      .sort((a, b) => a - b);
    if (lost.length === 0) return [];
    const { queue, processing, deliveries } = this.keys;
    const lists = lost.map((number) => this.keys.batch(number));
    const { control } = options;
    const count = await control.command<number>(["EXISTS", ...lists], {
      isReply: isNumber,
    });
    const left = count === 0 ? [] : await control.script<string[]>(
      Session.#FIND_LOST,
      [queue, processing, deliveries, ...lists],
      [String(maxBytes), ...lost.map(String)],
      { isReply: isTexts },
    );
    const found = new Set(left.map(Number));
    for (const number of lost) {
      if (found.has(number)) continue;
      this.unread.delete(number);
      if (this.#isOver(number)) await this.forget([number], options);
    }
    return this.unread.due([...found]);
  }

  /** Notes that a list was found empty; tells whether nothing comes there any more. */
  #isOver(number: number): boolean {
    const now = performance.now();
    this.#empty ??= new Map();
    const since = this.#empty.get(number) ?? now;
    const isOver = now - since > LATE * 1000;
    if (isOver) this.#empty.delete(number);
    else this.#empty.set(number, since);
    return isOver;
  }

  /** Announces lists no more to which nothing comes. */
  async forget(
    numbers: readonly number[],
    { control }: Pick<ConsumerOptions, "control">,
  ): Promise<void> {
    for (const number of numbers) this.known.delete(number);
    await control.command(
      ["HDEL", this.keys.processing, ...numbers.map(String)],
    );
  }

  /** Writes what is known of a batch, also where the server is out of memory. */
  static readonly #NOTE = defineMove(
    ["hash"],
    `
-- KEYS[1]  the hash of this consumer's batches
-- ARGV[1]  the number of the batch
-- ARGV[2]  what is known of it
begin(KEYS[1])
return redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
`,
  );

  async note(
    number: number,
    notes: string,
    { control }: ConsumerOptions,
  ): Promise<void> {
    await control.script(
      Session.#NOTE,
      [this.keys.processing],
      [String(number), notes],
      { isReply: isNumber },
    );
  }

  /**
   * Makes the places of messages and the time of now their own. That is to be
   * known also after we have died, so that the list is not used again.
   *
   * @returns The notes; where the server does not take them, they stay here.
   */
  async noteTime(
    number: number,
    { control }: ConsumerOptions,
  ): Promise<string> {
    const notes = `@${Date.now()} `;
    await control.command(
      ["HSET", this.keys.processing, String(number), notes],
      { isReply: isNumber },
    ).catch(() => {});
    return notes;
  }

  /** Puts a batch that nobody has seen back at the head of the queue. */
  static readonly #RELEASE = defineMove(
    ["list", "hash", "list", "hash"],
    `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of this consumer's batches
-- KEYS[3]  the list of the batch
-- KEYS[4]  the hash of the histories
-- ARGV[1]  the number of the batch
-- Returns how many messages went back.
${HISTORY_FUNCTIONS}
local histories = redis.call('HGET', KEYS[2], ARGV[1]) or '?'
begin(KEYS[2])
local count = restore(KEYS[1], KEYS[4], KEYS[3], histories, 0, 0)
redis.call('HDEL', KEYS[2], ARGV[1])
return count
`,
  );

  async release(number: number, { control }: ConsumerOptions): Promise<void> {
    const { queue, processing, deliveries } = this.keys;
    await control.script(
      Session.#RELEASE,
      [queue, processing, this.keys.batch(number), deliveries],
      [String(number)],
      { isReply: isNumber },
    );
  }

  /**
   * Moves messages from the head of the queue to a list one by one, as far as there
   * are some.
   *
   * @param most How many to ask for; one at least.
   * @param block For how many seconds to wait for the first one; `undefined` where
   * it is not waited for.
   */
  move(
    number: number,
    most: number,
    block: number | undefined,
    { blocking, queue }: ConsumerOptions,
  ): Promise<Uint8Array | null>[] {
    const way = [queue, this.keys.batch(number), "LEFT", "RIGHT"];
    const options = { bytes: true, isReply: isPayload };
    const moving = [
      block === undefined
        ? blocking.command<Uint8Array | null>(["LMOVE", ...way], options)
        : blocking.command<Uint8Array | null>(
          ["BLMOVE", ...way, String(block)],
          { ...options, block },
        ),
    ];
    while (moving.length + 1 <= most) {
      moving.push(blocking.command(["LMOVE", ...way], options));
    }
    return moving;
  }

  /**
   * Begins the ids of a batch's messages. The script that puts back what a dead
   * consumer had in hand makes the same (`HISTORY_FUNCTIONS`).
   */
  prefix(number: number): string {
    return `${this.token}${number.toString(16).padStart(14, "0")}`;
  }

  /** Enters sessions into the hashes of their queues' consumers. */
  static readonly #JOIN = defineScript(`
-- KEYS     all that is named below of one session; none where several join, since
--          a server that tells of changes notes all of them with each look
-- ARGV[1]  the key of the process' heartbeat
-- ARGV[2]  what that holds
-- ARGV[3]  after how many milliseconds without a heartbeat it is dead
-- ARGV[4...] of each session: the consumer, its queue, and the start of other keys
-- It also touches the heartbeats of the other consumers, whose keys are made from
-- ARGV and lie in the same slot.
-- Returns the names of the named subscribers of each queue.
${HEARTBEAT_FUNCTIONS}
for at = 4, #ARGV, 3 do
  local consumer, queue, start = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local types = {
    [queue] = 'list', [start .. 'consumer:' .. consumer] = 'string',
    ${
    Object.entries(KEY_TYPES)
      .map(([end, type]) => `[start .. '${end}'] = '${type}'`).join(", ")
  }
  }
  for key, expected in pairs(types) do
    local kind = redis.call('TYPE', key).ok
    if kind ~= 'none' and kind ~= expected then
      return {err = 'WRONGTYPE the key "' .. key .. '" is a ' .. kind ..
        ', but has to be a ' .. expected}
    end
  end
  -- Whoever may not change the queue is to learn it before anything is taken.
  redis.call('LTRIM', queue, 0, -1)
end
local names = {}
for at = 4, #ARGV, 3 do
  local consumer, start = ARGV[at], ARGV[at + 2]
  local consumers, own = start .. 'consumers', start .. 'consumer:' .. consumer
  -- A server that is out of memory refuses a script's first write if that needs
  -- memory, but not the later ones: so the first one frees some.
  redis.call('HDEL', consumers, consumer)
  redis.call('HSET', consumers, consumer, 'alive')
  if at == 4 then redis.call('SET', ARGV[1], ARGV[2], 'PX', ARGV[3]) end
  if own ~= ARGV[1] then redis.call('SET', own, '=' .. ARGV[1]) end
  poke(consumers, start .. 'consumer:', consumer)
  names[#names + 1] = redis.call('HKEYS', start .. 'subscribers')
end
return names
`);

  /**
   * Joins the consumers of the queue, as others may do in the same process.
   *
   * @param others The sessions of other queues on the same server, which join by
   * the same script: all of them or none where a queue is none.
   * @returns The named subscribers of each queue, its own first.
   */
  async join(
    { control, queue, heartbeat }: ConsumerOptions,
    others: readonly Session[] = [],
  ): Promise<readonly (readonly string[])[]> {
    const all = [this, ...others];
    const { keys } = this;
    const own = heartbeat.key(keys);
    // The heartbeat that this makes anew says nothing of other sessions.
    heartbeat.doubt({ now: false });
    try {
      return await control.script<string[][]>(
        Session.#JOIN,
        others.length > 0 ? [] : [
          keys.queue,
          keys.consumers,
          keys.heartbeat,
          keys.deliveries,
          keys.retry,
          keys.dead,
          keys.subscribers,
        ],
        [
          own,
          heartbeat.value,
          heartbeat.lifetime,
          ...all.flatMap(({ name, keys: { queue, start } }) => [
            name,
            queue,
            start,
          ]),
        ],
        {
          isReply: (reply) =>
            Array.isArray(reply) && reply.length === all.length &&
            reply.every(isTexts),
        },
      );
    } catch (error) {
      throw nameQueue(error, queue);
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
-- It also touches the heartbeats of all consumers, whose keys are made from ARGV
-- and lie in the same slot.
-- Returns the numbers of the batches, in turns the names of others, the keys of their
-- heartbeats and what these hold, the names of the named subscribers, and 1 where
-- others have asked for a heartbeat of its own, which it has now.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= 'alive' then
  return {err = 'TAKEN another consumer has put the messages back'}
end
${HEARTBEAT_FUNCTIONS}
local own, pointer = ARGV[5] .. ARGV[1], '=' .. ARGV[2]
local isThere = redis.call('EXISTS', ARGV[2]) == 1
local found = pointer
if own ~= ARGV[2] then found = redis.call('GET', own) end
local isAsked = found == pointer .. '!'
if not isThere or found ~= pointer then
  redis.call('HDEL', KEYS[1], '')
  -- Other sessions of this process may be over by now: the next beat tells them.
  if not isThere then redis.call('SET', ARGV[2], ARGV[3] .. '!', 'PX', ARGV[4]) end
  if isAsked then
    redis.call('SET', own, ARGV[3], 'PX', ARGV[4])
  elseif found ~= pointer then
    redis.call('SET', own, pointer)
  end
  -- Of a key that was read the server tells when others write into it.
  redis.call('GET', own)
end
local others = {}
local list = redis.call('HGETALL', KEYS[1])
for at = 1, #list, 2 do
  if list[at + 1] == 'alive' and list[at] ~= ARGV[1] then
    local theirs = ARGV[5] .. list[at]
    local key, beat = heartOf(theirs)
    if key == ARGV[2] then
      -- An earlier session of this process, which is over: it is not alive.
      if theirs ~= key then redis.call('DEL', theirs) end
    elseif beat then
      if beat:sub(1, 1) == '=' then ask(key, beat) end
      others[#others + 1] = list[at]
      others[#others + 1] = key
      others[#others + 1] = beat
    end
  end
end
return {redis.call('HKEYS', KEYS[2]), others, redis.call('HKEYS', KEYS[3]),
  isAsked and 1 or 0}
`);

  /**
   * Watches the heartbeats of others from now on.
   *
   * @returns The numbers of the batches that the session has on the server, and
   * the named subscribers of the queue.
   * @throws {RedisError} It is over (`taken`), or the server does not tell.
   */
  async inspect({ control, queue, heartbeat }: ConsumerOptions): Promise<
    readonly [numbers: readonly number[], names: readonly string[]]
  > {
    const { keys, name } = this;
    const [numbers, others, names, asked] = await control.script<
      [string[], string[], string[], number]
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
          Array.isArray(reply) && reply.length === 4 &&
          reply.slice(0, 3).every(isTexts) && isNumber(reply[3]),
      },
    ).catch((error) => {
      throw nameQueue(error, queue);
    });
    if (asked > 0) heartbeat.onAsked(keys);
    const consumers: OtherConsumer[] = [];
    for (let at = 0; at < others.length; at += 3) {
      const [name, key, beat] = others.slice(at, at + 3);
      consumers.push({ name: name!, key: key!, beat: beat! });
    }
    heartbeat.others.watch(keys, name, consumers);
    return [numbers.map(Number), names];
  }
}
