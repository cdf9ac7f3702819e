import { Buffer } from "node:buffer";
import type { Logger } from "../logger.ts";
import type { Connection } from "./connection.ts";
import {
  type DeadLetter,
  encodeDeadLetter,
  encodeEnvelope,
} from "./dead_letter.ts";
import { queueKeys } from "./queue_keys.ts";
import { isNumber } from "./reply_shape.ts";
import { defineMove } from "./script.ts";

/** The part of a limit from which on it is warned of, and below which again. */
const NEAR = 0.8;
/** The time between two looks for dead letters that are too old, in milliseconds. */
const LOOK_INTERVAL = 600_000;
/** The time for which one report stands for all of its kind, in milliseconds. */
const REPORT_INTERVAL = 60_000;

/**
 * A Lua function that lets the oldest dead letters make room for the others.
 *
 * @see {@link DeadLetterBox.limits} for what it is given.
 */
export const MAKE_ROOM = `
-- Returns how many had to make room, how many are left, and their bytes. The
-- pattern finds the time of one in its text.
local function makeRoom(dead, maxCount, maxBytes, oldest, pattern)
  local before = redis.call('LLEN', dead)
  local count = math.min(before, tonumber(maxCount))
  if count < before then redis.call('LTRIM', dead, before - count, -1) end
  local function size()
    return redis.call('MEMORY', 'USAGE', dead, 'SAMPLES', 0) or 0
  end
  local bytes = size()
  -- The newest one stays, though memory that is given out in steps may be more.
  while count > 1 and bytes > tonumber(maxBytes) do
    local excess = math.ceil(count * (bytes - maxBytes) / bytes / 2)
    excess = math.min(excess, count - 1)
    redis.call('LTRIM', dead, excess, -1)
    count, bytes = count - excess, size()
  end
  for _ = 1, math.min(count, 1000) do
    local first = redis.call('LRANGE', dead, 0, 0)[1]
    local time = tonumber(first:match(pattern or '"time":([%d.]+)'))
    if not time or time >= tonumber(oldest) then break end
    redis.call('LTRIM', dead, 1, -1)
    count = count - 1
  end
  return {before - count, count, bytes}
end
`;

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
export interface DeadLetterBoxOptions extends DeadLetterLimits {
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
  readonly #reports = new Map<string, { until: number; count: number }>();

  constructor(options: DeadLetterBoxOptions) {
    this.#options = options;
  }

  /** The largest number, the most bytes, and the time before which one is too old, for {@link MAKE_ROOM}. */
  get limits(): readonly string[] {
    const { maxDeadLetters, maxDeadLetterBytes, deadLetterAge } = this.#options;
    const oldest = Math.max(0, Date.now() / 1000 - deadLetterAge);
    return [String(maxDeadLetters), String(maxDeadLetterBytes), String(oldest)];
  }

  /**
   * Writes a dead letter as {@link encodeDeadLetter} does. Of one that alone takes
   * more than all may, only the size is left: it would push out all others, and
   * then go itself.
   */
  encode(letter: Parameters<typeof encodeDeadLetter>[0]): string {
    const text = encodeDeadLetter(letter);
    if (Buffer.byteLength(text) <= this.#options.maxDeadLetterBytes) {
      return text;
    }
    const { payload, ...rest } = letter;
    return encodeEnvelope(rest, payload.length);
  }

  /** Reports that messages have become dead letters. */
  onBuried(reason: DeadLetter["reason"], error: string, count = 1): void {
    const { logger, queue } = this.#options;
    const earlier = this.#reports.get(reason) ?? { until: 0, count: 0 };
    const sum = earlier.count + count;
    if (performance.now() < earlier.until) {
      this.#reports.set(reason, { ...earlier, count: sum });
      return;
    }
    const until = performance.now() + REPORT_INTERVAL;
    this.#reports.set(reason, { until, count: 0 });
    const what = sum === 1
      ? `A message of "${queue}" has become a dead letter`
      : `${sum} messages of "${queue}" have become dead letters`;
    logger.warn(`${what} (${reason}): ${error}.`);
  }

  /** Counts what had to make room, and warns where little of it is left. */
  onRoom([lost, count, bytes]: Room): void {
    const { logger, queue, stats, maxDeadLetters, maxDeadLetterBytes } =
      this.#options;
    if (lost > 0) {
      stats.deadLettersLost += lost;
      logger.warn(
        `${lost} of the oldest dead letters of "${queue}" had to make room.`,
      );
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

  /** Lets those go that are too old. */
  static readonly #LOOK = defineMove(
    ["list"],
    `
-- KEYS[1]  the list of the dead letters
-- ARGV[1…] what they may take, see makeRoom
-- Returns what makeRoom does.
${MAKE_ROOM}
return makeRoom(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
`,
  );

  /** Looks from time to time whether there are some that are too old. */
  async look(connection: Connection): Promise<void> {
    if (performance.now() < this.#lookAt) return;
    this.#lookAt = performance.now() + LOOK_INTERVAL;
    this.onRoom(
      await connection.script<Room>(
        DeadLetterBox.#LOOK,
        [queueKeys(this.#options.queue, "").dead],
        this.limits,
        { isReply: isRoom },
      ),
    );
  }
}
