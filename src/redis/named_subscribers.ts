import type { Logger } from "../logger.ts";
import { MinuteReport, othersBefore } from "../minute_report.ts";
import { amount } from "../units.ts";
import type { Connection } from "./connection.ts";
import { HEARTBEAT_FUNCTIONS } from "./heartbeat.ts";
import { QueueKeys } from "./queue_keys.ts";
import type { RedisError } from "./redis_error.ts";
import { isTexts } from "./reply_shape.ts";
import { defineMove } from "./script.ts";
import { Trouble } from "./trouble.ts";
import { Alarm } from "../waiting.ts";

/** So long after a message was missed it is looked who is there, in seconds. */
const SOON = 0.02;
/** The same where its subscriber misses one after the other, in seconds. */
const LATER = 2;
/** The time between two looks for what was missed where the server does not tell, in seconds. */
const UNTOLD_INTERVAL = 5;
/** The longest time for which a list is kept, in seconds. */
const LONGEST_EXPIRY = 1e9;
/** Room is looked for when this part of the bytes has come that may wait. */
const ROOM_PARTS = 256;
/** The longest time for which messages come without a look for room, in seconds. */
const LONGEST_ROOM = 60;
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
interface NamedSubscribersOptions extends MissedLimits {
  readonly queue: string;
  /** For commands that do not block. */
  readonly control: Connection;
  /** The logger to report to. */
  readonly logger: Logger;
  /** The counts so far. */
  readonly stats: { missedLost: number };
}

/** The consumer that takes what was missed, for those who are in its process. */
interface MissedTaker {
  /** True while it can take nothing. */
  readonly isBusy: boolean;
  /** Resolves when that may have changed. */
  change(): Promise<void>;
  /**
   * Takes from a list of what was missed, and hands that out.
   *
   * @returns How many messages are left on the list; -1 where it may take none.
   */
  takeMissed(list: string): Promise<number>;
}

/**
 * Keeps what the named subscribers of a queue have missed, in whatever process
 * they are. It lies on a list for each. As soon as a subscriber is there, and its
 * process can take something, that takes it straight from the list: in the queue,
 * others would take it, and put it aside again.
 */
export class NamedSubscribers {
  /** The names that are known on the server. */
  names: readonly string[] = NOBODY;
  readonly #options: NamedSubscribersOptions;
  readonly #taker: MissedTaker;
  #present: ReadonlySet<string> = NONE;
  /** Who was there since the server was told. */
  #arrived: ReadonlySet<string> = NONE;
  readonly #since = performance.now();
  readonly #alarm = new Alarm(() => this.look());
  /** Those of whose lists the server has told. */
  readonly #news = new Set<string>();
  readonly #newsAlarm = new Alarm(() => this.#takeNews());
  readonly #untoldAlarm = new Alarm(() => void this.#lookUntold());
  #isWaiting = false;
  readonly #lost = new MinuteReport();
  readonly #tooLarge = new MinuteReport();
  /** When somebody who is here last missed something here. */
  #missedAt = -Infinity;
  /** When room was looked for last, and how many bytes came since then. */
  #roomAt = -Infinity;
  #bytes = 0;
  #isEnding = false;
  #looking = Promise.resolve();
  #taking = Promise.resolve();

  constructor(options: NamedSubscribersOptions, taker: MissedTaker) {
    this.#options = options;
    this.#taker = taker;
  }

  /**
   * Says what the lists may take to which messages come.
   *
   * @param bytes How many bytes come at most to one of them.
   * @returns The number of messages, the bytes, and for how many seconds one waits,
   * for `makeMissedRoom`; for how many seconds a list is kept that nobody comes for;
   * and `1` where that is looked after now: it is after a small part of the bytes,
   * and after a while.
   */
  limits(bytes: number): readonly string[] {
    const { maxMissed, maxMissedBytes, missedAge } = this.#options;
    const age = Math.min(missedAge, LONGEST_EXPIRY);
    this.#bytes += bytes;
    const now = performance.now();
    const isDue = this.#bytes > maxMissedBytes / ROOM_PARTS ||
      now - this.#roomAt > Math.min(age / 8, LONGEST_ROOM) * 1000;
    if (isDue) {
      this.#bytes = 0;
      this.#roomAt = now;
    }
    return [maxMissed, maxMissedBytes, age, Math.ceil(2 * age), isDue ? 1 : 0]
      .map(String);
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
    this.#tooLarge.add((sum) => {
      logger.warn(
        `A message of ${length} bytes of "${queue}" is lost for "${subscriber}", which has missed it: all that waits for one may take ${maxMissedBytes} (maxMissedBytes)${
          othersBefore(sum!)
        }.`,
      );
    }, 1);
    return false;
  }

  /** Takes note of what was missed; who is there by now gets it at once. */
  onMissed(names: Iterable<string>, lost: number): void {
    this.#onLost(lost);
    if (![...names].some((name) => this.#present.has(name))) return;
    this.#alarm.advance(this.#pace);
    this.#missedAt = performance.now();
  }

  /** Learns who is named by now: another process has changed that. */
  learnSoon(): void {
    const { queue, control } = this.#options;
    this.#looking = this.#after(this.#looking, this, async () => {
      const { subscribers } = new QueueKeys(queue);
      this.learn(
        await control.command<string[]>(["HKEYS", subscribers], {
          isReply: isTexts,
        }),
      );
    });
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
    if (key === undefined) return this.#alarm.advance(SOON);
    const start = this.list("");
    const name = key.slice(start.length);
    if (!key.startsWith(start) || !this.#present.has(name)) return;
    this.#news.add(name);
    this.#newsAlarm.advance(this.#pace);
  }

  /** Looks who is there, and who was not for too long. */
  async look(): Promise<void> {
    if (this.names.length === 0) return;
    await (this.#looking = this.#after(
      this.#looking,
      this,
      () => this.#look(),
    ));
  }

  /** Takes what the server has told of. What is handed out may have to wait, looks do not. */
  #takeNews(): void {
    this.#taking = this.#after(this.#taking, this.#news, async () => {
      const names = [...this.#news];
      this.#news.clear();
      for (const name of names) await this.#take(name);
    });
  }

  /** Looks where others may have put something aside of which the server does not tell. */
  async #lookUntold(): Promise<void> {
    const { control } = this.#options;
    if (this.#present.size === 0 || control.isTracking) return;
    const lists = [...this.#present].map((name) => this.list(name));
    const found = await control.command<number>(["EXISTS", ...lists])
      .catch(() => 1);
    if (found > 0) await this.look();
    else this.#untoldAlarm.advance(UNTOLD_INTERVAL);
  }

  /** Does something after what was begun before. Never rejects. */
  async #after(
    before: Promise<void>,
    kind: object,
    work: () => Promise<void>,
  ): Promise<void> {
    await before;
    if (this.#isEnding) return;
    try {
      await work();
      Trouble.onQueueSuccess(kind, this.#options);
    } catch (error) {
      this.#alarm.advance(LATER);
      Trouble.onQueueFailure(kind, error as RedisError, this.#options);
    }
  }

  /** Looks no more; resolves when the last look is over. */
  async stop(): Promise<void> {
    this.#isEnding = true;
    this.#alarm[Symbol.dispose]();
    this.#newsAlarm[Symbol.dispose]();
    this.#untoldAlarm[Symbol.dispose]();
    await Promise.all([this.#looking, this.#taking]);
    this.#lost.stop();
    this.#tooLarge.stop();
    Trouble.onQueueSuccess(this, this.#options);
    Trouble.onQueueSuccess(this.#news, this.#options);
  }

  /** After how many seconds something is taken: what is missed here again and again takes its time. */
  get #pace(): number {
    return performance.now() - this.#missedAt < LATER * 1000 ? LATER : SOON;
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
    ["hash", "hash", "list"],
    `
-- KEYS[1]  the hash of the named subscribers
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3...] the lists of what those have missed who are here: the server tells when
--          they change, since this looks
-- ARGV[1]  the start of the keys of what named subscribers have missed
-- ARGV[2]  after how many milliseconds one that is away is forgotten, or 'inf'
-- ARGV[3]  the start of the keys of the heartbeats
-- ARGV[4]  after how many milliseconds it is noted again that somebody is here: the
--          server tells the others of each time
-- ARGV[5...] the named subscribers that are here
-- It also touches the lists of what was missed and the heartbeats, whose keys are
-- made from ARGV and lie in the same slot.
-- Returns the names that are known, those of who is here and has missed something,
-- and in turns: a name that was forgotten, and how many messages with it.
${HEARTBEAT_FUNCTIONS}
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local isHere, isNew = {}, false
begin(KEYS[1])
for at = 5, #ARGV do
  isHere[ARGV[at]] = true
  local seen = redis.call('HGET', KEYS[1], ARGV[at])
  isNew = isNew or not seen
  if math.abs(now - (tonumber(seen) or 0)) >= tonumber(ARGV[4]) then
    redis.call('HSET', KEYS[1], ARGV[at], string.format('%d', now))
  end
end
local names, waiting, forgotten = {}, {}, {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local name, seen = all[at], tonumber(all[at + 1]) or 0
  if isHere[name] or ARGV[2] == 'inf' or now - seen <= tonumber(ARGV[2]) then
    names[#names + 1] = name
    local length = redis.call('LLEN', own('list', ARGV[1] .. name))
    if length > 0 and isHere[name] then waiting[#waiting + 1] = name end
  else
    forgotten[#forgotten + 1] = name
    forgotten[#forgotten + 1] = redis.call('LLEN', own('list', ARGV[1] .. name))
    redis.call('DEL', ARGV[1] .. name)
    redis.call('HDEL', KEYS[1], name)
  end
end
-- Where the server does not tell them, the others learn the name as they look.
if isNew then poke(KEYS[2], ARGV[3], '') end
return {names, waiting, forgotten}
`,
  );

  async #look(): Promise<void> {
    const { queue, control, logger, missedAge } = this.#options;
    const keys = new QueueKeys(queue);
    // Whoever has just started gives the others time to start, too.
    const mayForget = performance.now() - this.#since >=
      this.#interval * 1000;
    const arrived = this.#arrived;
    const here = new Set([...arrived, ...this.#present]);
    const [names, waiting, forgotten] = await control.script<
      [names: string[], waiting: string[], forgotten: (string | number)[]]
    >(
      NamedSubscribers.#LOOK,
      [
        keys.subscribers,
        keys.consumers,
        ...[...here].map((name) => this.list(name)),
      ],
      [
        keys.allMissed,
        mayForget ? String(Math.ceil(missedAge * 1000)) : "inf",
        keys.allHeartbeats,
        String(Math.ceil(this.#interval * 1000 / 8)),
        ...here,
      ],
      {
        isReply: (reply) =>
          Array.isArray(reply) && isTexts(reply[0]) && isTexts(reply[1]) &&
          Array.isArray(reply[2]),
      },
    );
    if (arrived === this.#arrived) this.#arrived = NONE;
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
    if (!control.isTracking) this.#untoldAlarm.advance(UNTOLD_INTERVAL);
    for (const name of waiting) this.#news.add(name);
    if (waiting.length > 0) this.#newsAlarm.advance(0);
  }

  /** Takes all that somebody has missed, as far as it is here and there is room. */
  async #take(name: string): Promise<void> {
    let left = 1;
    while (left !== 0 && this.#present.has(name) && !this.#isEnding) {
      if (this.#taker.isBusy) return void this.#lookWithRoom();
      left = await this.#taker.takeMissed(this.list(name));
    }
  }

  /** Looks as soon as this process can take something. */
  async #lookWithRoom(): Promise<void> {
    if (this.#isWaiting) return;
    this.#isWaiting = true;
    while (this.#taker.isBusy) await this.#taker.change();
    this.#isWaiting = false;
    await this.look();
  }

  #onLost(lost: number): void {
    if (lost === 0) return;
    const { queue, logger, stats } = this.#options;
    stats.missedLost += lost;
    this.#lost.add((sum) => {
      logger.warn(
        `${
          amount(sum!, "message")
        } that a named subscriber of "${queue}" has missed had to go (maxMissed, maxMissedBytes, missedAge).`,
      );
    }, lost);
  }
}
