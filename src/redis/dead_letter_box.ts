import { Buffer } from "node:buffer";
import type { Logger } from "../logger.ts";
import type { Connection } from "./connection.ts";
import {
  type DeadLetter,
  encodeDeadLetter,
  encodeEnvelope,
} from "./dead_letter.ts";
import { FIND_LETTERS, partDeadLetters } from "./dead_letter_front.ts";
import { QueueKeys } from "./queue_keys.ts";
import { isNumber } from "./reply_shape.ts";
import { defineMove } from "./script.ts";
import { amount, shorten } from "../units.ts";
import { MinuteReport } from "../minute_report.ts";

/** The part of a limit from which on it is warned of, and below which again. */
const NEAR = 0.8;
/** The characters that are kept of an error, which may quote a whole page. */
const MAX_ERROR = 4096;
/** The time between two looks for dead letters that are too old, in milliseconds. */
const LOOK_INTERVAL = 600_000;

/**
 * A Lua function that lets the oldest dead letters make room for the others. Needs
 * {@link KEEP_TEXT} in front of it.
 *
 * @see {@link DeadLetterBox.limits} for what it is given.
 */
export const MAKE_ROOM = `
-- Returns how many had to make room, how many are left, and their bytes. The
-- pattern finds the time of one in its text. None is too old where the user may not
-- ask for the time.
local function makeRoom(dead, maxCount, maxBytes, maxAge, pattern)
  -- The oldest dead letters may be in a list of their own, see RANGE.
  local lists = {dead}
  if not pattern then
    local front = dead .. ':front'
    local inFront = redis.pcall('LLEN', front)
    if type(inFront) == 'number' and inFront > 0 then lists = {front, dead} end
  end
  local before, count = 0, 0
  for _, list in ipairs(lists) do before = before + redis.call('LLEN', list) end
  count = before
  local function size()
    local bytes = 0
    for _, list in ipairs(lists) do
      bytes = bytes + (redis.call('MEMORY', 'USAGE', list, 'SAMPLES', 0) or 0)
    end
    return bytes
  end
  local function removeOldest(excess)
    count = count - excess
    for _, list in ipairs(lists) do
      local some = math.min(excess, redis.call('LLEN', list))
      if some > 0 then redis.call('LTRIM', list, some, -1) end
      excess = excess - some
    end
  end
  local function first()
    for _, list in ipairs(lists) do
      local letter = redis.call('LRANGE', list, 0, 0)[1]
      if letter then return letter end
    end
  end
  if before > tonumber(maxCount) then removeOldest(before - maxCount) end
  local bytes = size()
  -- The newest one stays, though memory that is given out in steps may be more.
  while count > 1 and bytes > tonumber(maxBytes) do
    local excess = math.ceil(count * (bytes - maxBytes) / bytes / 2)
    removeOldest(math.min(excess, count - 1))
    bytes = size()
  end
  local now = secondsNow()
  for _ = 1, now and math.min(count, 1000) or 0 do
    local time = tonumber(first():match(pattern or '"time":([%d.]+)'))
    if not time or time >= now - maxAge then break end
    removeOldest(1)
  end
  return {before - count, count, bytes}
end
`;

/**
 * Lua functions that keep a text which is too large for the list of dead letters
 * at a key of its own. It gets there by a command that moves or copies it inside
 * of Redis: through a script it would take seven times as much memory.
 *
 * There is one such text of a queue at a time, and the newest wins. It needs
 * `add` and `commit` of `defineMove`.
 */
export const KEEP_TEXT = `
-- The time by the server's clock, since those of the hosts differ; nil where the user
-- may not know it.
local seconds
local function secondsNow()
  local time = seconds == nil and redis.pcall('TIME')
  if time then seconds = time[1] and time[1] + time[2] / 1000000 or false end
  return seconds or nil
end
-- Writes that time into a letter.
local function stamp(letter)
  local now = secondsNow()
  if not now then return letter end
  return (letter:gsub('"time":[%d.]+', string.format('"time":%.3f', now), 1))
end
local function textKey(text, letter)
  return text .. ':' .. (letter:match('^{"id":"([^"]*)"') or '')
end
-- Notes that the text of a letter is at its key. Returns how many had to go.
local function keepText(text, letter, maxCount, seconds)
  local key = textKey(text, letter)
  if tonumber(maxCount) == 0 then return redis.call('DEL', key) end
  redis.call('EXPIRE', key, seconds)
  local before = redis.call('GET', text)
  redis.call('SET', text, letter, 'EX', seconds)
  if not before or before == letter then return 0 end
  return redis.call('DEL', textKey(text, before))
end
-- Buries the one message of a batch: its list becomes the key of its text.
local function buryApart(batch, dead, text, letter, maxCount, seconds)
  letter = stamp(letter)
  add({'LTRIM', dead, 0, -2}, 'RPUSH', dead, letter)
  redis.call('RENAME', batch, textKey(text, letter))
  commit()
  return keepText(text, letter, maxCount, seconds)
end
`;

/** The longest time for which a text is kept, in seconds. */
const LONGEST_EXPIRY = 1e9;

/** The reply of {@link MAKE_ROOM}. */
export type Room = readonly [lost: number, count: number, bytes: number];

export function isRoom(reply: unknown): reply is Room {
  return Array.isArray(reply) && reply.length === 3 && reply.every(isNumber);
}

/** Says what the dead letters of a queue may take. */
export interface DeadLetterLimits {
  /** The largest number of them. */
  readonly maxDeadLetters: number;
  /** The number of bytes that they may take in Redis. */
  readonly maxDeadLetterBytes: number;
  /** For how many seconds one is kept. */
  readonly deadLetterAge: number;
}

/** Names a queue, and what its dead letters may take. */
interface DeadLetterBoxOptions extends DeadLetterLimits {
  readonly queue: string;
  /** The logger to report to. */
  readonly logger: Logger;
  /** The counts so far. */
  readonly stats: { deadLettersLost: number };
}

/**
 * The dead letters of a queue as its consumer sees them: what they may take, and
 * what is reported of them.
 */
export class DeadLetterBox {
  readonly #options: DeadLetterBoxOptions;
  #isNear = false;
  #lookAt = 0;
  /** The number of dead letters that were in front at the last look. */
  #inFront = 0;
  #reports: Map<string, MinuteReport> | undefined;

  /** See {@link DeadLetterLimits}. */
  readonly maxDeadLetters: number;
  /** See {@link DeadLetterLimits}. */
  readonly maxDeadLetterBytes: number;

  constructor(options: DeadLetterBoxOptions) {
    this.#options = options;
    this.maxDeadLetters = options.maxDeadLetters;
    this.maxDeadLetterBytes = options.maxDeadLetterBytes;
  }

  /**
   * The largest number, the most bytes, and for how many seconds one is kept, for
   * {@link MAKE_ROOM}; and for how many seconds a text is, for {@link KEEP_TEXT}.
   */
  get limits(): readonly string[] {
    const { maxDeadLetters, maxDeadLetterBytes, deadLetterAge } = this.#options;
    const age = Math.min(deadLetterAge, LONGEST_EXPIRY);
    return [maxDeadLetters, maxDeadLetterBytes, age, Math.ceil(age)].map(
      String,
    );
  }

  /**
   * Writes a dead letter as {@link encodeDeadLetter} does. Of one that alone takes
   * more than all may, only the envelope comes into the list: it would push out all
   * others, and then go itself. Of a long error only the beginning is written.
   *
   * @returns The element of the list, and whether its text is to be kept apart.
   */
  encode(
    given: Parameters<typeof encodeDeadLetter>[0],
  ): { readonly text: string; readonly isApart: boolean } {
    const letter = { ...given, error: shorten(given.error, MAX_ERROR) };
    const { payload, ...rest } = letter;
    const { maxDeadLetterBytes } = this.#options;
    if (payload.length <= maxDeadLetterBytes) {
      const text = encodeDeadLetter(letter);
      if (Buffer.byteLength(text) <= maxDeadLetterBytes) {
        return { text, isApart: false };
      }
    }
    return { text: encodeEnvelope(rest, payload.length), isApart: true };
  }

  /** Reports that messages have become dead letters. */
  onBuried(reason: DeadLetter["reason"], error: string, count = 1): void {
    const { logger, queue } = this.#options;
    this.#sum(reason, count, (sum) => {
      const what = sum === 1
        ? `A message of "${queue}" has become a dead letter`
        : `${sum} messages of "${queue}" have become dead letters`;
      logger.warn(
        `${what} (${reason}): ${
          shorten(error, MAX_ERROR)
        }. \`platypush-redis dead list\` shows it.`,
      );
    });
  }

  /** Counts what had to make room, and warns where little of it is left. */
  onRoom([lost, count, bytes]: Room): void {
    const { logger, queue, stats, maxDeadLetters, maxDeadLetterBytes } =
      this.#options;
    if (lost > 0) {
      stats.deadLettersLost += lost;
      this.#sum("room", lost, (sum) => {
        logger.warn(
          `${sum} of the oldest dead letters of "${queue}" had to make room.`,
        );
      });
    }
    const isNear = count > 0 &&
      (count >= NEAR * maxDeadLetters || bytes >= NEAR * maxDeadLetterBytes);
    if (isNear && !this.#isNear) {
      logger.warn(
        `The dead letters of "${queue}" take more than ${
          NEAR * 100
        } % of what they may: ${count} of ${maxDeadLetters} (maxDeadLetters), ${bytes} of ${maxDeadLetterBytes} bytes (maxDeadLetterBytes). Requeue or purge them; otherwise the oldest make room.`,
      );
    }
    this.#isNear = isNear;
  }

  /** Adds to what is reported. */
  #sum(
    what: DeadLetter["reason"] | "room",
    count: number,
    tell: (sum: number) => void,
  ): void {
    this.#reports ??= new Map();
    const report = this.#reports.get(what) ?? new MinuteReport();
    this.#reports.set(what, report);
    report.add(tell, count);
  }

  /** Reports what is left of the last minute. */
  stop(): void {
    for (const report of this.#reports?.values() ?? []) report.stop();
  }

  /** Lets those go that are too old, and enters the one again whose text is there. */
  static readonly #LOOK = defineMove(
    ["list", "string", "list"],
    `
-- KEYS[1]  the list of the dead letters
-- KEYS[2]  the letter whose text is kept apart; the key of the text is made of it
-- KEYS[3]  the front of that list
-- ARGV[1...] what they may take, see makeRoom
-- Returns what makeRoom does.
${KEEP_TEXT}
${MAKE_ROOM}
local letter = redis.call('GET', KEYS[2])
if letter then
  if redis.call('EXISTS', textKey(KEYS[2], letter)) == 0 then
    redis.call('DEL', KEYS[2])
  elseif not redis.call('LPOS', KEYS[1], letter)
    and not redis.call('LPOS', KEYS[3], letter) then
    -- Somebody has removed the list, or the letter had to make room.
    redis.call('RPUSH', KEYS[1], letter)
  end
end
return makeRoom(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
`,
  );

  /** Enters dead letters again of which only the text is there. */
  static readonly #ENTER = defineMove(
    ["list", "string", "list"],
    `
-- KEYS[1]  the list of the dead letters
-- KEYS[2]  the letter whose text is kept apart; the key of the text is made of it
-- KEYS[3]  the front of that list
-- ARGV[1]  for how many seconds a text is kept
-- ARGV[2...] a letter for each text, to be put into the list
-- Returns how many were missing.
${KEEP_TEXT}
${FIND_LETTERS}
local known = redis.call('GET', KEYS[2])
local letters, sizes = {}, {}
for at = 2, #ARGV do
  local key = textKey(KEYS[2], ARGV[at])
  local bytes = redis.call('MEMORY', 'USAGE', key, 'SAMPLES', 0)
  if bytes and not (known and textKey(KEYS[2], known) == key) then
    letters[#letters + 1], sizes[ARGV[at]] = ARGV[at], bytes
  end
end
local found, missing = findLetters({KEYS[1], KEYS[3]}, letters), 0
for _, letter in ipairs(letters) do
  if not found[idOf(letter)] then
    redis.call('EXPIRE', textKey(KEYS[2], letter), ARGV[1])
    redis.call('RPUSH', KEYS[1], (stamp(letter):gsub('"size":0', string.format('"size":%d', sizes[letter]), 1)))
    missing = missing + 1
  end
end
return missing
`,
  );

  /** Enters the dead letters of texts that are in no list any more. */
  async reenter(ids: readonly string[], connection: Connection): Promise<void> {
    const { queue, logger } = this.#options;
    const { dead, front, text } = new QueueKeys(queue);
    const missing = await connection.script<number>(
      DeadLetterBox.#ENTER,
      [dead, text, front],
      [
        this.limits[3]!,
        ...ids.map((id) =>
          encodeEnvelope({
            id,
            queue,
            reason: "too-large",
            error:
              "Somebody has removed this dead letter, so it is not known why the message could not be handled",
            time: Date.now() / 1000,
            deliveries: 0,
          })
        ),
      ],
      { isReply: isNumber },
    );
    if (missing === 0) return;
    logger.warn(
      `Somebody has removed ${
        amount(missing, "dead letter")
      } of "${queue}" from ${dead}, though their texts are there: they are listed again.`,
    );
  }

  /** Looks from time to time whether there are some that are too old. */
  async look(connection: Connection): Promise<void> {
    if (performance.now() < this.#lookAt) return;
    this.#lookAt = performance.now() + LOOK_INTERVAL;
    const { queue } = this.#options;
    const { dead, front, text } = new QueueKeys(queue);
    // As many as the last time: whoever has parted them does not go on any more.
    const inFront = await connection.command<number>(["LLEN", front]);
    if (inFront > 0 && inFront === this.#inFront) {
      await partDeadLetters(queue, 0, (work) => work(connection));
    }
    this.#inFront = inFront;
    this.onRoom(
      await connection.script<Room>(
        DeadLetterBox.#LOOK,
        [dead, text, front],
        this.limits,
        { isReply: isRoom },
      ),
    );
  }
}
