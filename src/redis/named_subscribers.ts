import type { Logger } from "../logger.ts";
import { amount } from "../units.ts";
import type { Connection } from "./connection.ts";
import { HEARTBEAT_FUNCTIONS } from "./heartbeat.ts";
import { HISTORY_FUNCTIONS } from "./history.ts";
import { nameQueue, QueueKeys } from "./queue_keys.ts";
import { isLoss, type RedisError } from "./redis_error.ts";
import { isNumber, isTexts } from "./reply_shape.ts";
import { defineMove } from "./script.ts";
import { Trouble } from "./trouble.ts";
import { Alarm } from "../waiting.ts";

/** So long after a message was missed it is looked who is there, in seconds. */
const SOON = 0.02;
/** The same where its subscriber is away from this process, or may not get it. */
const LATER = 2;
/** The longest time for which a list is kept, in seconds. */
const LONGEST_EXPIRY = 1e9;
/** The longest time until it is told again who is there, in seconds. */
const LONGEST_DELAY = 3600;
/** Shared by all queues for which nobody is named. */
export const NOBODY: readonly string[] = [];
const NONE: ReadonlySet<string> = new Set();

/** A message of a batch that a named subscriber has missed. */
export interface MissedMessage {
  /** Which message of the batch, from 0. */
  readonly index: number;
  /** The subscriber's name. */
  readonly subscriber: string;
  /** Says that only this subscriber still has to get it, as `retry` of a failure. */
  readonly retry: string;
}

/**
 * A Lua function that keeps what a named subscriber has missed, within the limits.
 * Needs `makeRoom` of `src/redis/dead_letter_box.ts`.
 *
 * @see {@link NamedSubscribers.limits} for what it is given.
 */
export const KEEP_MISSED = `
-- An element is the time by the server's clock in seconds, since those of the
-- consumers may differ, the history and the message, with blanks between them.
local function missedNow(history, payload)
  return redis.call('TIME')[1] .. ' ' .. history .. ' ' .. payload
end

-- Returns what makeRoom does.
local function makeMissedRoom(list, maxCount, maxBytes, maxAge)
  return makeRoom(list, maxCount, maxBytes, maxAge, '^([%d.]+) ')
end
`;

/** Says what the subscribers of a queue may miss. */
export interface MissedLimits {
  /** The largest number of messages that wait for one. */
  readonly maxMissed: number;
  /** The number of bytes that they may take in Redis. */
  readonly maxMissedBytes: number;
  /** For how many seconds they wait, and a subscriber is remembered. */
  readonly missedAge: number;
}

/** Names a queue, and what its named subscribers may miss. */
export interface NamedSubscribersOptions extends MissedLimits {
  readonly queue: string;
  /** For commands that do not block. */
  readonly control: Connection;
  /** The logger to report to. */
  readonly logger: Logger;
  /** The counts so far. */
  readonly stats: { missedLost: number };
}

/** Tells whether a process can take something from the queue. */
export interface Load {
  /** True while it cannot. */
  readonly isBusy: boolean;
  /** Resolves when that may have changed. */
  change(): Promise<void>;
}

/**
 * Keeps what the named subscribers of a queue have missed, in whatever process
 * they are. It lies on a list for each, and goes back to the head of the queue,
 * for this subscriber alone, as soon as it is there and its process can take it:
 * else others would take it, and put it aside again.
 */
export class NamedSubscribers {
  /** The names that are known on the server. */
  names: readonly string[] = NOBODY;
  readonly #options: NamedSubscribersOptions;
  readonly #load: Load;
  #present: ReadonlySet<string> = NONE;
  /** Who was there since the server was told. */
  #arrived: ReadonlySet<string> = NONE;
  readonly #since = performance.now();
  readonly #alarm = new Alarm(() => this.look(true));
  #mayAsk = false;
  #isWaiting = false;
  /** When something went back to the queue last: others may put it aside again. */
  #movedAt = -Infinity;
  #isEnding = false;
  #looking = Promise.resolve();
  /** The reason why looks fail although the server is there. */
  #trouble: Trouble | undefined;

  constructor(options: NamedSubscribersOptions, load: Load) {
    this.#options = options;
    this.#load = load;
  }

  /**
   * The number of messages, the bytes, and for how many seconds one waits, for
   * `makeMissedRoom`; and for how many seconds a list is kept that nobody comes
   * for.
   */
  get limits(): readonly string[] {
    const { maxMissed, maxMissedBytes, missedAge } = this.#options;
    const age = Math.min(missedAge, LONGEST_EXPIRY);
    return [maxMissed, maxMissedBytes, age, Math.ceil(2 * age)].map(String);
  }

  /** Names the key of the list with what a subscriber has missed. */
  list(name: string): string {
    return `${new QueueKeys(this.#options.queue).allMissed}${name}`;
  }

  /** Takes note of who is there in this process. */
  set present(present: ReadonlySet<string>) {
    if (present.size + this.#present.size === 0) return;
    const isNew = [...present].some((name) => !this.#present.has(name));
    this.#present = present;
    this.#arrived = new Set([...this.#arrived, ...present]);
    // Who has gone misses what is handed out from now on.
    this.names = [...new Set([...this.names, ...present])];
    if (isNew) this.#alarm.advance(0);
  }

  /** Takes note of the names that the server knows. */
  learn(names: readonly string[]): void {
    const all = new Set([...names, ...this.#present, ...this.#arrived]);
    this.names = all.size > 0 ? [...all] : NOBODY;
  }

  /**
   * Tells whether a message that a subscriber has missed may wait for it. One that
   * alone takes more than all may would push out all others, and is lost instead.
   */
  mayWait(subscriber: string, { length }: Uint8Array): boolean {
    const { maxMissedBytes, queue, logger, stats } = this.#options;
    if (length <= maxMissedBytes) return true;
    stats.missedLost++;
    logger.warn(
      `A message of ${length} bytes of "${queue}" is lost for "${subscriber}", which has missed it: all that waits for one may take ${maxMissedBytes} (maxMissedBytes).`,
    );
    return false;
  }

  /** Takes note of what was missed; who is there by now gets it at once. */
  onMissed(names: Iterable<string>, lost: number): void {
    this.#onLost(lost);
    const isHere = [...names].some((name) => this.#present.has(name));
    this.#alarm.advance(isHere ? SOON : LATER);
  }

  /**
   * Looks soon: another process may have put something aside for who is here.
   *
   * @param key The key that the server tells of, if it is known: it may be another
   * one.
   */
  lookSoon(key?: string): void {
    // Who waits for room looks then.
    if (this.#present.size === 0 || this.#isWaiting) return;
    if (key === undefined || key.startsWith(this.list(""))) {
      this.#alarm.advance(this.#isPaced ? LATER : SOON);
    }
  }

  /**
   * Looks who is there, and who was not for too long.
   *
   * @param mayAsk Lets other processes look, too, where something lies here for
   * somebody who is not in this one.
   */
  async look(mayAsk = false): Promise<void> {
    this.#mayAsk ||= mayAsk;
    if (this.names.length === 0 || this.#isEnding) return;
    this.#looking = this.#looking.then(() => this.#look()).then(
      () => void this.#trouble?.forget(this),
      (error: RedisError) => {
        this.#alarm.advance(LATER);
        if (isLoss(error)) return;
        const { queue, logger } = this.#options;
        this.#trouble ??= Trouble.ofQueue(queue, logger);
        this.#trouble.onFailure(this, nameQueue(error, queue));
      },
    );
    await this.#looking;
  }

  /** Looks no more; resolves when the last look is over. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    this.#alarm[Symbol.dispose]();
    await this.#looking;
    this.#trouble?.forget(this);
  }

  /** True for a while after something went back: else it could go round without a pause. */
  get #isPaced(): boolean {
    return performance.now() - this.#movedAt < LATER * 1000;
  }

  /** Says often enough who is there, in seconds. */
  get #interval(): number {
    return Math.min(this.#options.missedAge / 4, LONGEST_DELAY);
  }

  /** Enters subscribers into the index again whose lists are there. */
  static readonly #ENTER = defineMove(
    ["hash"],
    `
-- KEYS[1]  the hash of the named subscribers
-- ARGV[1]  the start of the keys of what they have missed
-- ARGV[2...] the names of those that were found
-- It also reads the lists of what was missed, whose keys are made from ARGV and lie
-- in the same slot.
-- Returns the names that were missing.
local time = redis.call('TIME')
local now = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
local missing = {}
begin(KEYS[1])
for at = 2, #ARGV do
  if redis.call('EXISTS', ARGV[1] .. ARGV[at]) == 1
    and redis.call('HSETNX', KEYS[1], ARGV[at], now) == 1 then
    missing[#missing + 1] = ARGV[at]
  end
end
return missing
`,
  );

  /** Enters named subscribers into the index that are missing there. */
  async reenter(found: readonly string[]): Promise<void> {
    const { queue, control, logger } = this.#options;
    const { subscribers, allMissed } = new QueueKeys(queue);
    const missing = await control.script<string[]>(
      NamedSubscribers.#ENTER,
      [subscribers],
      [allMissed, ...found],
      { isReply: isTexts },
    );
    if (missing.length === 0) return;
    logger.warn(
      `Somebody has removed ${
        amount(missing.length, "subscriber")
      } of "${queue}" from ${subscribers}, though messages wait for them: these are looked after again.`,
    );
    this.learn([...this.names, ...missing]);
    this.#alarm.advance(SOON);
  }

  static readonly #LOOK = defineMove(
    ["list", "hash", "hash", "hash"],
    `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the histories
-- KEYS[3]  the hash of the named subscribers
-- KEYS[4]  the hash of the queue's consumers
-- ARGV[1]  the start of the keys of what named subscribers have missed
-- ARGV[2]  after how many milliseconds one that is away is forgotten, or 'inf'
-- ARGV[3]  the start of the keys of the heartbeats, where other consumers are to
--          look if something lies here for somebody else, or ''
-- ARGV[4]  'busy' where nothing is to go back, since this consumer cannot take it
-- ARGV[5...] the named subscribers that are here
-- It also touches the lists of what was missed and the heartbeats, whose keys are
-- made from ARGV and lie in the same slot.
-- Returns the names that are known, how many messages went back to the queue, and
-- in turns: a name that was forgotten, and how many messages with it.
${HISTORY_FUNCTIONS}
${HEARTBEAT_FUNCTIONS}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local moved, isHere = 0, {}
begin(KEYS[3])
for at = 5, #ARGV do
  local name = ARGV[at]
  isHere[name] = true
  local before = redis.call('HGET', KEYS[3], name)
  add(before and {'HSET', KEYS[3], name, before} or {'HDEL', KEYS[3], name},
    'HSET', KEYS[3], name, string.format('%d', now))
  local list = ARGV[1] .. name
  local payloads, histories = {}, {}
  local elements = ARGV[4] == 'busy' and {} or redis.call('LRANGE', list, 0, -1)
  for position, element in ipairs(elements) do
    histories[position], payloads[position] = element:match('^%S+ (%S+) (.*)$')
  end
  if #payloads > 0 then
    putBack(KEYS[1], KEYS[2], payloads, histories)
    redis.call('DEL', list)
    commit()
    moved = moved + #payloads
  end
end
local names, forgotten, isWaiting = {}, {}, false
local all = redis.call('HGETALL', KEYS[3])
for at = 1, #all, 2 do
  local name, seen = all[at], tonumber(all[at + 1]) or 0
  if isHere[name] or ARGV[2] == 'inf' or now - seen <= tonumber(ARGV[2]) then
    names[#names + 1] = name
    isWaiting = isWaiting or
      not isHere[name] and redis.call('EXISTS', ARGV[1] .. name) == 1
  else
    forgotten[#forgotten + 1] = name
    forgotten[#forgotten + 1] = redis.call('LLEN', ARGV[1] .. name)
    redis.call('DEL', ARGV[1] .. name)
    redis.call('HDEL', KEYS[3], name)
  end
end
if isWaiting and ARGV[3] ~= '' then poke(KEYS[4], ARGV[3], '') end
return {names, moved, forgotten}
`,
  );

  async #look(): Promise<void> {
    const { queue, control, logger, missedAge } = this.#options;
    const keys = new QueueKeys(queue);
    const mayAsk = this.#mayAsk;
    this.#mayAsk = false;
    // Whoever has just started gives the others time to start, too.
    const mayForget = performance.now() - this.#since >=
      this.#interval * 1000;
    const arrived = this.#arrived;
    const here = new Set([...arrived, ...this.#present]);
    const { isBusy } = this.#load;
    const [names, moved, forgotten] = await control.script<
      [names: string[], moved: number, forgotten: (string | number)[]]
    >(
      NamedSubscribers.#LOOK,
      [keys.queue, keys.deliveries, keys.subscribers, keys.consumers],
      [
        keys.allMissed,
        mayForget ? String(Math.ceil(missedAge * 1000)) : "inf",
        mayAsk ? keys.allHeartbeats : "",
        isBusy ? "busy" : "",
        ...here,
      ],
      {
        isReply: (reply) =>
          Array.isArray(reply) && isTexts(reply[0]) && isNumber(reply[1]) &&
          Array.isArray(reply[2]),
      },
    );
    if (arrived === this.#arrived) this.#arrived = NONE;
    if (moved > 0) {
      this.#movedAt = performance.now();
      logger.debug(
        `Put ${
          amount(moved, "message")
        } back to "${queue}" for named subscribers that had missed them.`,
      );
    }
    for (let at = 0; at < forgotten.length; at += 2) {
      logger.warn(
        `The subscriber "${
          forgotten[at]
        }" of "${queue}" was away for more than ${missedAge} s (missedAge): it is forgotten.`,
      );
      this.#onLost(Number(forgotten[at + 1]));
    }
    this.learn(names);
    if (this.names.length > 0) this.#alarm.advance(this.#interval);
    if (isBusy) void this.#lookWithRoom();
    else await this.#follow();
  }

  /** Looks as soon as this process can take something. */
  async #lookWithRoom(): Promise<void> {
    if (this.#present.size === 0 || this.#isWaiting) return;
    this.#isWaiting = true;
    while (this.#load.isBusy) await this.#load.change();
    this.#isWaiting = false;
    if (this.#isPaced) this.#alarm.advance(LATER);
    else await this.look();
  }

  /** Has the server tell when something comes for who is here: once, after each look. */
  async #follow(): Promise<void> {
    const { control } = this.#options;
    if (this.#present.size === 0 || !control.isTracking) return;
    const lists = [...this.#present].map((name) => this.list(name));
    const found = await control.command<number>(["EXISTS", ...lists], {
      isReply: isNumber,
    });
    if (found > 0) this.lookSoon();
  }

  #onLost(lost: number): void {
    if (lost === 0) return;
    const { queue, logger, stats } = this.#options;
    stats.missedLost += lost;
    logger.warn(
      `${
        amount(lost, "message")
      } that a named subscriber of "${queue}" has missed had to go (maxMissed, maxMissedBytes, missedAge).`,
    );
  }
}
