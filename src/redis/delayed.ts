import { type Kind, row, type Rows } from "../options.ts";
import { NAME, SECONDS } from "../kinds.ts";
import type { Connection } from "./connection.ts";
import { HEARTBEAT_FUNCTIONS } from "./heartbeat.ts";
import { CLOCK, defineDueMove, DueMover } from "./due.ts";
import { escapePattern, QueueKeys } from "./queue_keys.ts";
import { isNumber, isPayloads } from "./reply_shape.ts";
import { defineMove } from "./script.ts";

/** The longest time that a message may be delayed, in seconds: a year. */
export const LONGEST_DELAY: number = 365 * 86_400;
/** The number of delayed messages that a server looks through at once for an id. */
const PAGE = 500;

/**
 * Says when messages are to be in their queue, and what keeps them out of it.
 *
 * @example
 * ```ts
 * import { RedisBackend, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using backend = new RedisBackend({ redisArgs: server.redisArgs });
 * const bell = { args: { type: "custom.Bell" } };
 * const options = { deduplicate: "bell", deduplicateFor: 30, delay: 5 };
 * const first = await backend.sendEvent(bell, options);
 * const second = await backend.sendEvent(bell, options);
 * console.assert(first !== undefined && second === undefined);
 * console.assert(await backend.cancelMessage(first!.id));
 * ```
 */
export interface ScheduleOptions {
  /**
   * In how many seconds they are in the queue, by the server's clock; up to a
   * year. Default: 0.
   */
  delay?: number | undefined;
  /**
   * The time at which they are in the queue, by the server's clock; at once where
   * that is over.
   */
  at?: Date | undefined;
  /**
   * Names their kind: of messages with the same key, none but the first is sent
   * for `deduplicateFor` seconds after that is due.
   */
  deduplicate?: string | undefined;
  /** The time for which others with the key are not sent, in seconds. Default: 60. */
  deduplicateFor?: number | undefined;
}

const DELAY: Kind = {
  expected: `a number of seconds from 0 to ${LONGEST_DELAY}, a year`,
  accepts: (value) => SECONDS.accepts(value) && Number(value) <= LONGEST_DELAY,
  isRange: true,
};
const DATE: Kind = {
  expected: "a Date that is valid",
  accepts: (value) => value instanceof Date && !Number.isNaN(value.getTime()),
};

/** Every option of sending later, or only once. */
export const SCHEDULE_OPTIONS: Rows<ScheduleOptions, "deduplicateFor"> = {
  delay: row(DELAY, {
    description: "In how many seconds it is in the queue, up to a year",
    defaultText: "at once",
  }),
  at: row(DATE, {
    description: "The `Date` at which it is in the queue",
    defaultText: "at once",
  }),
  deduplicate: row(NAME, {
    description: "A key: others with it are not sent for a time",
    defaultText: "none",
  }),
  deduplicateFor: row(DELAY, {
    description: "That time, in seconds",
    default: 60,
    belongsTo: "deduplicate",
  }),
};

/** Tells whether anything is asked for that is not just to push. */
export function isScheduled(options: ScheduleOptions): boolean {
  const { delay, at, deduplicate } = options;
  return delay !== undefined || at !== undefined || deduplicate !== undefined;
}

/** Tells in how many seconds something is due, by the clock here. */
export function secondsUntilDue({ delay = 0, at }: ScheduleOptions): number {
  return Math.max(
    0,
    at === undefined ? delay : at.getTime() / 1000 - Date.now() / 1000,
  );
}

/** A message for {@linkcode Outbox.schedule}, with the id by which {@linkcode Outbox.cancel} finds it. */
export interface ScheduledMessage {
  /** The id. */
  readonly id: string;
  /** The message, as it is on the wire. */
  readonly payload: string | Uint8Array;
}

const DUPLICATE = -1;
const TOO_FAR = -2;

/** Pushes messages, or keeps them until they are due, unless their like was sent. */
const SCHEDULE = defineMove(
  ["list", "zset", "string", "hash"],
  `
-- KEYS[1]  the queue
-- KEYS[2]  the sorted set of the messages that are delayed
-- KEYS[3]  says for how long no other message is sent with this key
-- KEYS[4]  the hash of the queue's consumers
-- ARGV[1]  the start of the keys of the heartbeats
-- ARGV[2]  'in' so many milliseconds, or 'at' a time in milliseconds
-- ARGV[3]  these milliseconds
-- ARGV[4]  the longest delay, in milliseconds
-- ARGV[5]  for how many milliseconds no other message is sent with the key; 0
--          for none
-- ARGV[6...] in turns: a unique name, and a message
-- It also touches the heartbeats of the consumers, whose keys are made from ARGV
-- and lie in the same slot.
-- Returns 0, -1 where another message was sent with the key, or -2 where the time
-- is too far away.
${CLOCK}
${HEARTBEAT_FUNCTIONS}
local now, longest = clock(), tonumber(ARGV[4])
local isTime = ARGV[2] == 'at'
local delay = math.max(0, math.ceil(isTime and ARGV[3] - now or ARGV[3]))
if delay > longest then return -2 end

local period = tonumber(ARGV[5])
if period > 0 then
  local known = redis.call('GET', KEYS[3]) or ''
  local till, whole = known:match('^(%d+)@(%d+)$')
  -- It is over, too, where the clock has gone back and it would take longer.
  local left = till and till - now
  if left and left > 0 and left <= tonumber(whole) then return -1 end
  period = period + delay
  add({'DEL', KEYS[3]}, 'SET', KEYS[3],
    string.format('%.0f@%.0f', now + period, period), 'PX', string.format('%.0f', period))
end

if delay == 0 then
  for at = 7, #ARGV, 2 do
    add({'LTRIM', KEYS[1], 0, -2}, 'RPUSH', KEYS[1], ARGV[at])
  end
  return 0
end
local due = now + delay
-- Consumers whom the server does not tell look with their next beat.
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')[2]
if not first or tonumber(first) > due then poke(KEYS[4], ARGV[1], '') end
-- A time is meant by the clock, however that was set meanwhile.
local wait = string.format('%.0f', isTime and longest or delay)
for at = 6, #ARGV, 2 do
  local member = ARGV[at] .. '@' .. wait .. ' ' .. ARGV[at + 1]
  add({'ZREM', KEYS[2], member}, 'ZADD', KEYS[2], due, member)
end
return 0
`,
);

/**
 * Pushes messages when they are due, unless a like one was sent.
 *
 * @returns Whether they were sent; `false` where they are duplicates.
 * @throws {TypeError} Both `delay` and `at` are given.
 * @throws {RangeError} The time is too far away.
 * @throws {RedisError} The server cannot be reached, or refuses.
 */
export async function schedule(
  connection: Connection,
  queue: string,
  messages: readonly ScheduledMessage[],
  options: ScheduleOptions,
): Promise<boolean> {
  const { delay, at, deduplicate } = options;
  if (delay !== undefined && at !== undefined) {
    throw new TypeError(
      `Cannot send to "${queue}": \`delay\` and \`at\` say both when it is due; give one of them`,
    );
  }
  const { deduplicateFor = SCHEDULE_OPTIONS.deduplicateFor.default } = options;
  const keys = new QueueKeys(queue);
  const period = deduplicate === undefined ? 0 : deduplicateFor * 1000;
  const result = await connection.script<number>(
    SCHEDULE,
    [
      queue,
      keys.delayed,
      `${keys.duplicates}${deduplicate ?? ""}`,
      keys.consumers,
    ],
    [
      keys.allHeartbeats,
      at === undefined ? "in" : "at",
      String(at?.getTime() ?? Math.ceil((delay ?? 0) * 1000)),
      String(LONGEST_DELAY * 1000),
      String(Math.ceil(period)),
      ...messages.flatMap(({ id, payload }) => [
        `${encodeURIComponent(id)}:${crypto.randomUUID().slice(0, 8)}`,
        payload,
      ]),
    ],
    { isReply: isNumber },
  );
  if (result === TOO_FAR) {
    throw new RangeError(
      `Cannot send to "${queue}": it would be due in more than ${LONGEST_DELAY} s, a year, by the server's clock`,
    );
  }
  return result !== DUPLICATE;
}

/** Moves delayed messages that are due to the end of the queue. */
const DELIVER = defineDueMove(
  `
function(due)
  for _, member in ipairs(due) do
    -- What somebody has laid there by hand is nothing but the message.
    local payload = member:match('^[^%s{]+@%d+ (.*)$') or member
    add({'LTRIM', KEYS[1], 0, -2}, 'RPUSH', KEYS[1], payload)
  end
end`,
);

/** Makes what moves the delayed messages of a queue into it when they are due. */
export function deliverDelayed(
  { queue, delayed, deliveries }: QueueKeys,
): DueMover {
  const keys = [queue, delayed, deliveries];
  return new DueMover(DELIVER, keys, LONGEST_DELAY);
}

/** Reads delayed messages with their times; the members are as they were sent. */
const MEMBERS = {
  bytes: true,
  isReply: (reply: unknown): boolean =>
    Array.isArray(reply) && reply.length === 2 &&
    reply[0] instanceof Uint8Array && isPayloads(reply[1]),
};

/**
 * Removes delayed messages with an id. The server looks through some at a time, and
 * passes over none of them, whatever is added and removed meanwhile.
 *
 * @param onRemoved Called for each: what was removed has to be known also when
 * the server refuses afterwards.
 * @throws {RedisError} The server cannot be reached, or refuses.
 */
export async function cancelDelayed(
  connection: Connection,
  queue: string,
  id: string,
  onRemoved: () => void,
): Promise<void> {
  const { delayed } = new QueueKeys(queue);
  const match = `${escapePattern(encodeURIComponent(id))}:*`;
  const decoder = new TextDecoder();
  let cursor = "0";
  do {
    const [next, found] = await connection.command<
      [next: Uint8Array, found: Uint8Array[]]
    >(["ZSCAN", delayed, cursor, "MATCH", match, "COUNT", `${PAGE}`], MEMBERS);
    for (let at = 0; at < found.length; at += 2) {
      const isThere = await connection.command(["ZREM", delayed, found[at]!]);
      if (isThere === 1) onRemoved();
    }
    cursor = decoder.decode(next);
  } while (cursor !== "0");
}
