import type { Consumer } from "./consumer.ts";
import { encodeEnvelope } from "./dead_letter.ts";
import { isRoom, KEEP_TEXT, MAKE_ROOM, type Room } from "./dead_letter_box.ts";
import { HISTORY_FUNCTIONS, identify } from "./history.ts";
import { isNumber, isPayloads, isText } from "./reply_shape.ts";
import { defineMove } from "./script.ts";
import type { Session } from "./session.ts";

/**
 * From so many bytes a message on, the script that takes costs the server more than
 * moving one by one: what is moved comes with the same answer, and need not be read
 * from its list.
 */
export const LARGE: number = 2 ** 16;
/** Makes the script that takes read what BLMOVE has just moved. */
export const READ_MOVED: number = 0;
/** Makes it read what a lost answer left behind. */
export const READ_LOST: number = -1;
/** Comes in place of how many were left, and says that the batch has its new number now. */
export const RENUMBERED: number = -1;

/** The histories of a batch, its messages, and how many were left in the queue, or {@link RENUMBERED}. */
export type Taken = readonly [
  histories: string,
  payloads: readonly Uint8Array[],
  left: number,
];
export const NOTHING: Taken = ["", [], 0];
/** In place of how many were left: the queue is paused. */
const PAUSED = -1;

/** A batch that was asked for. */
export interface Asked {
  readonly session: Session;
  readonly number: number;
  /** The largest number of messages; 0 where it waits for some. */
  readonly limit: number;
  readonly reply: Promise<Taken>;
}

/** Reads the messages of a batch. */
const PAYLOADS = { bytes: true, isReply: isPayloads };

function isTaken(reply: unknown): boolean {
  return Array.isArray(reply) && isText(reply[0]) && isNumber(reply[1]) &&
    isNumber(reply[2]) &&
    (reply.length === 3 || reply.length === 4 && isRoom(reply[3]));
}

/** Gives the largest number of bytes that a message of a size takes in a list. */
export function sizeInRedis(size: number): number {
  // Memory is given out in steps of up to a quarter.
  return Math.ceil(size * 1.25) + 1024;
}

export function tooLarge(maxSize: number): string {
  return `The message has more than the ${maxSize} bytes that are allowed; send less, or raise maxSize`;
}

/** Takes batches out of a queue, for a consumer that keeps them in Redis until they are settled. */
export class Taker {
  readonly #consumer: Consumer;

  constructor(consumer: Consumer) {
    this.#consumer = consumer;
  }

  /**
   * Moves messages from the head of the queue into a batch of this consumer. A
   * number stands for one batch at a time: whatever happened to an answer on its
   * way, the batch can be read again, or acknowledged again. What a lost connection
   * has moved outside of the script gets a number of its own when it is found.
   *
   * The messages do not pass through Lua, which would copy them several times:
   * they are read behind it. So a message that is too large gets no further than
   * to the dead letters.
   */
  static readonly #TAKE = defineMove(
    [
      "list",
      "hash",
      "hash",
      "list",
      "hash",
      "list",
      "string",
      "string",
      "list",
    ],
    `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the hash of this consumer's batches
-- KEYS[4]  the list of this batch
-- KEYS[5]  the hash of the histories
-- KEYS[6]  the list of the dead letters
-- KEYS[7]  exists while the queue is paused: then it is as good as empty
-- KEYS[8]  the dead letter whose text is kept apart, see keepText
-- KEYS[9]  the list with the new number, for what a lost answer left
-- ARGV[1]  the consumer
-- ARGV[2]  the number of the batch
-- ARGV[3]  the largest number of messages; 0 reads what was just moved by BLMOVE
--          there; -1 reads what a lost answer left there
-- ARGV[4]  the number of bytes after which the batch is full
-- ARGV[5]  the time, in milliseconds
-- ARGV[6]  the size from which on a message is too large
-- ARGV[7]  what a message that is too large has in front as a dead letter
-- ARGV[8...] what the dead letters may take, see makeRoom and keepText
-- ARGV[12] the new number
-- Returns the time and the histories, as '@time index:history ...', how many
-- messages there are, how many are left in the queue, or -1 where they have the
-- new number, and what makeRoom does where one was too large.
${HISTORY_FUNCTIONS}
${KEEP_TEXT}
${MAKE_ROOM}
if redis.call('HGET', KEYS[2], ARGV[1]) ~= 'alive' then
  return {err = 'TAKEN another consumer has put the messages back'}
end

local limit, maxBytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local before = redis.call('HGET', KEYS[3], ARGV[2])
local histories, count, bytes, left = before, 0, 0, 0
local list, number = KEYS[4], ARGV[2]

-- About as large as its messages: nobody can look at their sizes.
local function size(list, samples)
  return redis.call('MEMORY', 'USAGE', list, 'SAMPLES', samples) or 0
end
-- Puts the first messages of the queue at the end of the batch as well.
local function copy()
  if redis.REDIS_VERSION_NUM then
    add({'DEL', KEYS[4]}, 'SORT', KEYS[1], 'BY', 'nosort', 'LIMIT', 0, count,
      'STORE', KEYS[4])
  else
    -- Before Redis 7, SORT looks at all of the list.
    for _, payload in ipairs(redis.call('LRANGE', KEYS[1], 0, count - 1)) do
      add({'DEL', KEYS[4]}, 'RPUSH', KEYS[4], payload)
    end
  end
  bytes = size(KEYS[4], 0)
end

if limit > 0 then
  local length = redis.call('LLEN', KEYS[1])
  if length == 0 or redis.call('EXISTS', KEYS[7]) == 1 then
    return {'', 0, 0}
  end
  begin(KEYS[3])
  local fitting = math.floor(maxBytes / (size(KEYS[1], 1) / length))
  count = math.max(1, math.min(limit, length, fitting))
  copy()
  while count > 1 and bytes > 1.25 * maxBytes do
    count = math.max(1, math.floor(count * maxBytes / bytes))
    redis.call('LTRIM', KEYS[4], 0, count - 1)
    bytes = size(KEYS[4], 0)
  end
  histories = '?'
else
  count = redis.call('LLEN', KEYS[4])
  if count == 0 then
    if limit == 0 then redis.call('HDEL', KEYS[3], ARGV[2]) end
    return {'', 0, 0}
  end
  local isMoved = not before or before == '?'
  if isMoved then begin(KEYS[3]) end
  -- More of what a lost connection carried may still be moved to this list, when
  -- these are in hand: then nothing may remove it. So it stays announced, and is
  -- read again.
  if limit < 0 and isMoved then
    list, number, left = KEYS[9], ARGV[12], -1
    add({'HDEL', KEYS[3], number}, 'HSET', KEYS[3], number, '?')
    add({'RENAME', list, KEYS[4]}, 'RENAME', KEYS[4], list)
    before, histories = '?', '?'
  end
  if count == 1 or isMoved then bytes = size(list, 0) end
  -- Of what was moved unseen, one may be too large: that has to be alone. The
  -- others go back to where they were.
  while count > 1 and isMoved and bytes > tonumber(ARGV[6]) do
    redis.call('LMOVE', list, KEYS[1], 'RIGHT', 'LEFT')
    commit()
    count = count - 1
    bytes = size(list, 0)
  end
end

if count == 1 and bytes > tonumber(ARGV[6]) then
  local letter = ARGV[7]:gsub('"size":0', string.format('"size":%d', bytes), 1)
  if limit > 0 then
    -- From here on it is in hand, as any other batch.
    add({'HDEL', KEYS[3], number}, 'HSET', KEYS[3], number, '@' .. ARGV[5] .. ' ')
    redis.call('LTRIM', KEYS[1], 1, -1)
    commit()
  end
  local lost = 0
  if bytes <= tonumber(ARGV[9]) then
    letter = letter .. '\\n' .. redis.call('LRANGE', list, 0, 0)[1]
    add({'LTRIM', KEYS[6], 0, -2}, 'RPUSH', KEYS[6], letter)
    redis.call('DEL', list)
    commit()
  else
    lost = buryApart(list, KEYS[6], KEYS[8], letter, ARGV[8], ARGV[11])
  end
  redis.call('HDEL', KEYS[3], number)
  local room = makeRoom(KEYS[6], ARGV[8], ARGV[9], ARGV[10])
  room[1] = room[1] + lost
  return {'', 0, redis.call('LLEN', KEYS[1]), room}
end

-- A batch that could not be announced, for want of memory, has none either.
if not histories or histories == '?' then
  histories = '@' .. ARGV[5] .. ' '
  if redis.call('EXISTS', KEYS[5]) == 1 then
    histories = histories .. recall(KEYS[5], redis.call('LRANGE', list, 0, -1))
  end
  local undo = before and {'HSET', KEYS[3], number, before}
    or {'HDEL', KEYS[3], number}
  add(undo, 'HSET', KEYS[3], number, histories)
end
if limit > 0 then
  left = redis.call('LLEN', KEYS[1]) - count
  redis.call('LTRIM', KEYS[1], count, -1)
end
return {histories, count, left}
`,
  );

  /**
   * Takes a batch.
   *
   * @param limit The largest number of messages, {@link READ_MOVED} or
   * {@link READ_LOST}.
   * @param isExpected Whether there will be some.
   * @param fresh A new number, for what a lost answer left.
   * @param moved The messages, as far as they are here already.
   */
  async take(
    session: Session,
    number: number,
    limit: number,
    { isExpected = false, fresh = number, moved = [] }: {
      isExpected?: boolean;
      fresh?: number;
      moved?: readonly Uint8Array[];
    } = {},
  ): Promise<Taken> {
    const { keys } = session;
    const { box, maxBytes, options: { blocking, control, maxSize, stats } } =
      this.#consumer;
    const connection = limit === READ_LOST ? control : blocking;
    const taking = connection.script<
      [notes: string, count: number, left: number, room?: Room]
    >(
      Taker.#TAKE,
      [
        keys.queue,
        keys.consumers,
        keys.processing,
        keys.batch(number),
        keys.deliveries,
        keys.dead,
        keys.paused,
        keys.text,
        keys.batch(fresh),
      ],
      [
        session.name,
        String(number),
        String(limit),
        String(maxBytes),
        String(Date.now()),
        String(sizeInRedis(maxSize)),
        this.#envelope(session, fresh),
        ...box.limits,
        String(fresh),
      ],
      { isReply: isTaken },
    );
    const read = (place: number): Promise<Uint8Array[]> =>
      connection.command(["LRANGE", keys.batch(place), "0", "-1"], PAYLOADS);
    // Where there will be some, they come with the same answer.
    const reading = isExpected ? read(number) : undefined;
    reading?.catch(() => {});
    const [notes, count, left, room] = await taking;
    if (room !== undefined) {
      stats.deadLettered++;
      box.onBuried("too-large", tooLarge(maxSize));
      box.onRoom(room);
    }
    if (count === 0) return ["", [], left];
    let payloads = await reading ?? moved;
    // They were not there yet if the server had to be told the script first.
    if (payloads.length !== count) {
      payloads = await read(left === RENUMBERED ? fresh : number);
    }
    return [notes, payloads, left];
  }

  /**
   * Moves the first messages that a named subscriber has missed into a batch of this
   * consumer, which hands them to it. In the queue, another process might take them.
   */
  static readonly #TAKE_MISSED = defineMove(
    ["hash", "hash", "list", "hash", "string"],
    `
-- KEYS[1]  the hash of the queue's consumers
-- KEYS[2]  the hash of this consumer's batches
-- KEYS[3]  the list of this batch
-- KEYS[4]  the hash of the histories
-- KEYS[5]  exists while the queue is paused
-- ARGV[1]  the consumer
-- ARGV[2]  the number of the batch
-- ARGV[3]  the largest number of messages
-- ARGV[4]  the number of bytes after which the batch is full
-- ARGV[5]  the time, in milliseconds
-- ARGV[6]  the list of what the subscriber has missed. It is none of the keys, and no
--          command reads it that does nothing else: the server would tell us then
--          that this has changed it, and we would come again for nothing.
-- Returns the time and the histories, as '@time index:history ...', the messages, and
-- 1 where the queue is paused, or 0.
${HISTORY_FUNCTIONS}
if redis.call('HGET', KEYS[1], ARGV[1]) ~= 'alive' then
  return {err = 'TAKEN another consumer has put the messages back'}
end
if redis.call('EXISTS', KEYS[5]) == 1 then return {'', {}, 1} end
begin(KEYS[2])
local list, elements = own('list', ARGV[6]), nil
if redis.REDIS_VERSION_NUM then
  -- As it could, this counts as a command that writes.
  elements = redis.call('SORT', list, 'BY', 'nosort', 'LIMIT', 0, ARGV[3])
else
  -- Before Redis 7, SORT looks at all of the list.
  elements = redis.call('LRANGE', list, 0, ARGV[3] - 1)
end
if #elements == 0 then return {'', {}, 0} end
local judged = judge(KEYS[4])
local payloads, notes, bytes, count = {}, {'@' .. ARGV[5]}, 0, 0
for _, element in ipairs(elements) do
  bytes = bytes + #element
  if count > 0 and bytes > tonumber(ARGV[4]) then break end
  count = count + 1
  local history, payload = element:match('^%S+ (%d+%.%d+%.%d+%.%d+%S*) (.*)$')
  -- What somebody has laid there by hand is nothing but the message.
  history = judged(history or '')
  if history then
    notes[#notes + 1] = #payloads .. ':' .. history
    payloads[#payloads + 1] = payload or element
  end
end
for first = 1, #payloads, CHUNK do
  add({'DEL', KEYS[3]}, 'RPUSH', KEYS[3],
    unpack(payloads, first, math.min(first + CHUNK - 1, #payloads)))
end
if #payloads > 0 then
  add({'HDEL', KEYS[2], ARGV[2]},
    'HSET', KEYS[2], ARGV[2], table.concat(notes, ' '))
end
redis.call('LTRIM', list, count, -1)
commit()
return {table.concat(notes, ' '), payloads, 0}
`,
  );

  /**
   * Takes what a named subscriber has missed, so many messages of it at most. From
   * now on the server tells when there is something again.
   */
  async takeMissed(
    session: Session,
    number: number,
    list: string,
    limit: number,
  ): Promise<Taken> {
    const { keys } = session;
    const { maxBytes, options: { control } } = this.#consumer;
    const taking = control.script<
      [notes: Uint8Array, payloads: Uint8Array[], paused: number]
    >(
      Taker.#TAKE_MISSED,
      [
        keys.consumers,
        keys.processing,
        keys.batch(number),
        keys.deliveries,
        keys.paused,
      ],
      [
        session.name,
        String(number),
        String(limit),
        String(maxBytes),
        String(Date.now()),
        list,
      ],
      {
        bytes: true,
        isReply: (reply) =>
          Array.isArray(reply) && reply.length === 3 &&
          reply[0] instanceof Uint8Array && isPayloads(reply[1]) &&
          isNumber(reply[2]),
      },
    );
    const [[notes, payloads, paused], left] = await Promise.all([
      taking,
      control.command<number>(["LLEN", list]),
    ]);
    if (paused === 1) {
      this.#consumer.gate.suspect();
      return ["", [], PAUSED];
    }
    return [new TextDecoder().decode(notes), payloads, left];
  }

  /** Writes what the first message of a batch has in front if it is too large. */
  #envelope(session: Session, number: number): string {
    const { queue, maxSize } = this.#consumer.options;
    const time = Date.now() / 1000;
    const prefix = session.prefix(number);
    const { id } = identify({ prefix, time, known: {} }, 0);
    return tooLargeLetter(queue, maxSize, id);
  }
}

/** Writes what a message that is too large has in front as a dead letter. */
export function tooLargeLetter(
  queue: string,
  maxSize: number,
  id: string,
): string {
  const now = Date.now() / 1000;
  return encodeEnvelope({
    id,
    queue,
    reason: "too-large",
    error: tooLarge(maxSize),
    time: now,
    received: now,
    deliveries: 0,
  });
}
