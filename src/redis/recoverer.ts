import type { Logger } from "../logger.ts";
import type { Connection } from "./connection.ts";
import { type DeadLetterBox, KEEP_TEXT } from "./dead_letter_box.ts";
import { defineDueMove, DueMover, LATEST_LOOK } from "./due.ts";
import { HEARTBEAT_FUNCTIONS } from "./heartbeat.ts";
import { HISTORY_FUNCTIONS, LONGEST_PAUSE } from "./history.ts";
import { QueueKeys } from "./queue_keys.ts";
import { nameQueue, type RedisError } from "./redis_error.ts";
import { isNumber, isTexts } from "./reply_shape.ts";
import { defineMove } from "./script.ts";
import { sizeInRedis, tooLarge, tooLargeLetter } from "./taker.ts";
import { Trouble } from "./trouble.ts";
import { amount } from "../units.ts";
import { Alarm } from "../waiting.ts";

/** So long after a look has failed it is tried again, in seconds. */
const AGAIN = 2;

/** Names a queue, and what its recoverer works with. */
interface RecovererOptions {
  readonly queue: string;
  /** For commands that do not block. */
  readonly control: Connection;
  /** The logger to report to. */
  readonly logger: Logger;
  /** The limit for one message, in bytes. */
  readonly maxSize: number;
  /** The counts so far. */
  readonly stats: {
    reclaimed: number;
    deadLettered: number;
    deadLettersLost: number;
  };
}

/**
 * Puts messages back into the queue: those that dead consumers had in hand, and
 * failed ones whose pause is over.
 */
export class Recoverer {
  readonly #options: RecovererOptions;
  /** The dead letters of the queue. */
  readonly #box: DeadLetterBox;
  /** The messages that failed and pause. */
  readonly #pausing: DueMover;
  readonly #alarm = new Alarm(() => {
    this.#redelivering = this.#redelivering
      .then(() => this.#redeliver())
      .then(
        () => Trouble.onQueueSuccess(this, this.#options),
        (error: RedisError) => {
          this.#alarm.advance(AGAIN);
          Trouble.onQueueFailure(this, error, this.#options);
        },
      );
  });
  #redelivering = Promise.resolve();

  constructor(options: RecovererOptions, box: DeadLetterBox) {
    this.#options = options;
    this.#box = box;
    const { queue, retry, deliveries } = this.#keys;
    const keys = [queue, retry, deliveries];
    this.#pausing = new DueMover(Recoverer.#REDELIVER, keys, LONGEST_PAUSE);
  }

  get #keys(): QueueKeys {
    return new QueueKeys(this.#options.queue);
  }

  /**
   * Puts back all that is to go back now.
   *
   * @param stale Heartbeats that beat no more, as `key value`.
   */
  async run(stale: readonly string[]): Promise<void> {
    const { stats, logger, queue } = this.#options;
    let count = 0;
    const owners: string[] = [];
    try {
      for await (const [moved, names] of this.#reclaim("", stale)) {
        count += moved;
        owners.push(...names);
      }
    } finally {
      if (count > 0) {
        stats.reclaimed += count;
        logger.info(
          `Put ${amount(count, "message")} back to "${queue}" that ${
            owners.join(", ")
          } had in hand.`,
        );
      }
    }
    await this.#redeliver();
  }

  /** Looks in so many milliseconds for messages whose pause is over. */
  redeliverIn(milliseconds: number): void {
    this.#alarm.advance(Math.min((milliseconds + 1) / 1000, LATEST_LOOK));
  }

  /** Looks no more; resolves when the last look is over. */
  async stop(): Promise<void> {
    this.#alarm[Symbol.dispose]();
    await this.#redelivering;
    Trouble.onQueueSuccess(this, this.#options);
  }

  /** Puts back what a consumer had in hand that leaves, and forgets it. */
  async putBack(consumer: string): Promise<void> {
    await Array.fromAsync(this.#reclaim(consumer, []));
  }

  /**
   * Enters consumers into the index again that somebody has removed from it, so
   * that what they have in hand is found when they die. A batch that no living
   * consumer knows is announced again.
   */
  static readonly #ENTER = defineMove(
    ["hash"],
    `
-- KEYS[1]  the hash of the queue's consumers
-- ARGV[1]  the start of the keys of the heartbeats
-- ARGV[2]  the start of the keys of the consumers' batches
-- ARGV[3...] in turns: a consumer, and the number of one of its batches or ''
-- It also touches the heartbeats, hashes and batches of the consumers, whose
-- keys are made from ARGV and lie in the same slot.
-- Returns how many consumers were missing.
${HEARTBEAT_FUNCTIONS}
local missing = 0
for at = 3, #ARGV, 2 do
  local consumer, number = ARGV[at], ARGV[at + 1]
  local hash = ARGV[2] .. consumer
  local list = hash .. ':' .. number
  local _, beat = heartOf(own('string', ARGV[1] .. consumer))
  if number ~= '' and not beat
    and redis.call('EXISTS', list) == 1 then
    redis.call('HSETNX', own('hash', hash), number, '?')
  end
  if redis.call('EXISTS', hash) == 1 then
    missing = missing + redis.call('HSETNX', KEYS[1], consumer, 'alive')
  end
end
return missing
`,
  );

  /** Enters consumers into the index that are missing there. */
  async reenter(found: readonly string[]): Promise<void> {
    const { control, logger, queue } = this.#options;
    const { consumers, allHeartbeats, allProcessing } = this.#keys;
    const missing = await control.script<number>(
      Recoverer.#ENTER,
      [consumers],
      [allHeartbeats, allProcessing, ...found],
      { isReply: isNumber },
    ).catch((error) => {
      throw nameQueue(error, queue);
    });
    if (missing > 0) {
      logger.warn(
        `Somebody has removed ${missing} consumers of "${queue}" from ${consumers}, though they had messages in hand: these are looked after again.`,
      );
    }
  }

  /**
   * Puts what a consumer without a heartbeat had in hand back at the head of the
   * queue, in its order: as much as one may have in hand, and no more at a time.
   *
   * A consumer that died stays in the list for an hour: a BLMOVE that it sent
   * before it died, or an LMOVE behind it, can still arrive, and what that moves must
   * be found.
   */
  static readonly #RECLAIM = defineMove(
    ["list", "hash", "hash", "list", "string"],
    `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the hash of the histories
-- KEYS[4]  the list of the dead letters
-- KEYS[5]  the dead letter whose text is kept apart, see keepText
-- ARGV[1]  the start of the keys of the heartbeats
-- ARGV[2]  the start of the keys of the consumers' batches
-- ARGV[3]  the consumer that leaves and has nothing on its way, or ''
-- ARGV[4]  the size from which on a message is too large
-- ARGV[5]  what a message that is too large has in front as a dead letter, but for
--          its id
-- ARGV[6...] what the dead letters may take, see makeRoom and keepText
-- ARGV[10...] heartbeats that beat no more, as 'key value'
-- It also touches the heartbeats, hashes and batches of the consumers, whose
-- keys are made from ARGV and lie in the same slot.
-- Returns how many messages went back, the consumers whose they were, how many
-- were too large, of which that many had to make room, and 1 where there may be more.
${HISTORY_FUNCTIONS}
${HEARTBEAT_FUNCTIONS}
${KEEP_TEXT}
local stale = {}
for at = 10, #ARGV do stale[ARGV[at]] = true end
-- Who was taken for dead stays so, though the process may live on.
local function isAlive(consumer, state)
  if state ~= 'alive' or consumer == ARGV[3] then return false end
  local key, beat = heartOf(own('string', ARGV[1] .. consumer))
  if not beat or not stale[key .. ' ' .. beat] then return beat end
  -- The server's clock was set: without its key it learns of this if it lives on.
  redis.pcall('DEL', key)
  return false
end
local TOMBSTONE_SECONDS = 3600
local now = tonumber(redis.call('TIME')[1])
local total, owners, buried, lost, rest = 0, {}, 0, 0, 0
-- What BLMOVE has moved may be of any size, and nobody has looked at it yet. Back
-- in the queue it would be found too large and become a dead letter, and only a
-- script that reads it could put it there. So it becomes one at once.
local function buryTooLarge(list, prefix)
  if redis.call('LLEN', list) ~= 1 then return false end
  local bytes = redis.call('MEMORY', 'USAGE', list, 'SAMPLES', 0)
  local isLarge = bytes > tonumber(ARGV[4]) and bytes > tonumber(ARGV[7])
  if not isLarge then return false end
  local letter = ARGV[5]:gsub('"id":""', '"id":"' .. prefix .. '0000000000"', 1)
    :gsub('"size":0', string.format('"size":%d', bytes), 1)
  lost = lost + buryApart(list, KEYS[4], KEYS[5], letter, ARGV[6], ARGV[9])
  buried = buried + 1
  return true
end
local consumers = redis.call('HGETALL', KEYS[2])

begin(KEYS[2])
for position = 1, #consumers, 2 do
  local consumer, state = consumers[position], consumers[position + 1]
  if not isAlive(consumer, state) then
    if total > 0 then
      rest = 1
      break
    end
    local hash = ARGV[2] .. consumer
    local batches, numbers = {}, {}
    local fields = redis.call('HGETALL', own('hash', hash))
    for at = 1, #fields, 2 do
      local number = tonumber(fields[at])
      if number then
        batches[number] = fields[at + 1]
        numbers[#numbers + 1] = number
      end
    end
    table.sort(numbers)
    -- Who leaves in an orderly way has not died of what it had in hand.
    local died = consumer == ARGV[3] and 0 or 1
    local moved = 0
    for at = #numbers, 1, -1 do
      local number = string.format('%d', numbers[at])
      local histories = batches[numbers[at]]
      local list = own('list', hash .. ':' .. number)
      local prefix = string.format('%s%014x', consumer:sub(-8), numbers[at])
      -- What came after its death was not handed out any more.
      local delivered = state == 'alive' and 1 or 0
      -- To most lists of the dead nothing comes.
      local isOpen = histories == '?'
      local isEmpty = isOpen and redis.call('EXISTS', list) == 0
      if not isEmpty and not (isOpen and buryTooLarge(list, prefix)) then
        moved = moved +
          restore(KEYS[1], KEYS[3], list, histories, delivered, died * delivered, prefix)
      end
      -- More may come to an announced list, by a BLMOVE or an LMOVE that is late.
      if not isOpen then redis.call('HDEL', hash, number) end
    end
    if moved > 0 then
      total = total + moved
      owners[#owners + 1] = consumer
    end
    local isOver = consumer == ARGV[3] or
      (state ~= 'alive' and now - (tonumber(state) or 0) > TOMBSTONE_SECONDS)
    if isOver then
      redis.call('DEL', hash)
      redis.call('HDEL', KEYS[2], consumer)
      if (redis.call('GET', ARGV[1] .. consumer) or ''):sub(1, 1) == '=' then
        redis.call('DEL', ARGV[1] .. consumer)
      end
    elseif state == 'alive' then
      redis.call('HSET', KEYS[2], consumer, now)
    end
  end
end
-- The others look after what waits for another try from now on.
if ARGV[3] ~= '' then poke(KEYS[2], ARGV[1], ARGV[3]) end
return {total, owners, buried, lost, rest}
`,
  );

  async *#reclaim(
    leaving: string,
    stale: readonly string[],
  ): AsyncGenerator<readonly [count: number, owners: string[]]> {
    let rest = 1;
    while (rest > 0) {
      const [count, owners, left] = await this.#reclaimOne(leaving, stale);
      yield [count, owners];
      rest = left;
    }
  }

  async #reclaimOne(
    leaving: string,
    stale: readonly string[],
  ): Promise<readonly [count: number, owners: string[], rest: number]> {
    const keys = this.#keys;
    const box = this.#box;
    const { queue, maxSize, control, stats } = this.#options;
    const [count, owners, buried, lost, rest] = await control.script<
      [
        count: number,
        owners: string[],
        buried: number,
        lost: number,
        rest: number,
      ]
    >(
      Recoverer.#RECLAIM,
      [keys.queue, keys.consumers, keys.deliveries, keys.dead, keys.text],
      [
        keys.allHeartbeats,
        keys.allProcessing,
        leaving,
        String(sizeInRedis(maxSize)),
        tooLargeLetter(queue, maxSize, ""),
        ...box.limits,
        ...stale,
      ],
      {
        isReply: (reply) =>
          Array.isArray(reply) && isNumber(reply[0]) && isTexts(reply[1]) &&
          reply.slice(2).every(isNumber),
      },
    ).catch((error) => {
      throw nameQueue(error, queue);
    });
    stats.deadLettered += buried;
    stats.deadLettersLost += lost;
    if (buried > 0) box.onBuried("too-large", tooLarge(maxSize), buried);
    return [count, owners, rest];
  }

  /** Puts failed messages whose pause is over back at the head of the queue. */
  static readonly #REDELIVER = defineDueMove(
    `
function(due)
  ${HISTORY_FUNCTIONS}
  local payloads, histories = {}, {}
  for position, member in ipairs(due) do
    local history, payload = member:match('^%S+ (%d+%.%d+%.%d+%.%d+%S*) (.*)$')
    -- What somebody has laid there by hand is nothing but the message.
    histories[position], payloads[position] = history or '', payload or member
  end
  putBack(KEYS[1], KEYS[3], payloads, histories)
end`,
  );

  async #redeliver(): Promise<void> {
    this.#alarm.advance(await this.#pausing.move(this.#options.control));
  }
}
