import { retry } from "../waiting.ts";
import { type Acknowledger, goBack } from "./acknowledger.ts";
import type { AtLeastOnce } from "./at_least_once.ts";
import type { BatchFailure } from "./batch.ts";
import { TakenBatch } from "./consumer.ts";
import type { DeadLetter } from "./dead_letter.ts";
import { isRoom, KEEP_TEXT, MAKE_ROOM, type Room } from "./dead_letter_box.ts";
import {
  type BatchIdentities,
  FIRST_TIME,
  formatHistory,
  type History,
  HISTORY_FUNCTIONS,
  identify,
  isSuspected,
  LONGEST_PAUSE,
  type MessageIdentity,
} from "./history.ts";
import { type LateMessage, settleLate } from "./settle_late.ts";
import { KEEP_MISSED, type MissedMessage } from "./named_subscribers.ts";
import type { RedisError } from "./redis_error.ts";
import { isNumber } from "./reply_shape.ts";
import { defineMove } from "./script.ts";
import { MAX_SLOTS, type Session } from "./session.ts";

/** Says where a batch is on the server. */
interface HeldPlace {
  readonly session: Session;
  readonly number: number;
  /** When it was delivered, in seconds since the epoch. */
  readonly time: number;
  /** The histories of some of its messages, by index. */
  readonly histories: ReadonlyMap<number, History>;
  /** The same as the server has it; empty where the list is used again. */
  readonly notes: string;
}

/** Says what becomes of the messages of a batch that failed. */
interface Plan {
  /** The same in the words of the script that settles. */
  readonly args: readonly string[];
  /** The number of those that are tried again. */
  readonly retried: number;
  /** Why some become dead letters. */
  readonly buried: readonly { reason: DeadLetter["reason"]; message: string }[];
  /** The number of those that go back at once. */
  readonly left: number;
  /** When the first one is tried again, in milliseconds. */
  readonly shortestPause: number;
}

/** A batch that stays on the server, on a list of its consumer, until it is settled. */
export class HeldBatch extends TakenBatch {
  readonly deliveries: readonly number[];
  readonly retries: readonly (string | undefined)[];
  readonly identities: BatchIdentities;
  /** Its place in Redis. */
  readonly place: HeldPlace;
  declare protected readonly consumer: AtLeastOnce;
  readonly #acknowledger: Acknowledger;
  /** True once the server may have settled it, but the answer was lost. */
  #isDoubtful = false;

  /**
   * @param consumer The consumer that has taken it.
   * @param acknowledger Acknowledges batches that were handled as a whole.
   */
  constructor(
    consumer: AtLeastOnce,
    payloads: readonly Uint8Array[],
    place: HeldPlace,
    acknowledger: Acknowledger,
  ) {
    super(consumer, payloads);
    const deliveries = new Array<number>(payloads.length).fill(0);
    const retries = new Array<string | undefined>(payloads.length)
      .fill(undefined);
    const known: Record<number, MessageIdentity> = {};
    for (const [index, history] of place.histories) {
      deliveries[index] = history.deliveries;
      retries[index] = history.retry;
      if (history.identity !== undefined) known[index] = history.identity;
    }
    const { session, number, time } = place;
    this.identities = { prefix: session.prefix(number), time, known };
    this.deliveries = deliveries;
    this.retries = retries;
    this.place = place;
    this.#acknowledger = acknowledger;
  }

  /** Tells the server again and again until it knows. */
  override async tell(
    failures: readonly BatchFailure[],
    returned: readonly BatchFailure[],
    allMissed: readonly MissedMessage[] = [],
    isUrgent = false,
  ): Promise<void> {
    const { subscribers } = this.consumer;
    const missed = allMissed.filter(({ index, subscriber }) =>
      subscribers!.mayWait(subscriber, this.payloads[index]!)
    );
    const open = failures.length + returned.length + missed.length;
    if (open === 0) {
      return await this.#acknowledger.add(this, isUrgent);
    }
    const { box, options } = this.consumer;
    const { stats, logger, queue, control } = options;
    const { length } = this.payloads;
    const handled = length - failures.length - returned.length;
    const plan = this.#plan(failures);
    const kept = this.#keep(returned);
    const outcome = [...plan.args, ...kept, ...this.#miss(missed)];
    const { session, number, notes } = this.place;
    // As where it is acknowledged: a list that BLMOVE moves to can be used again.
    const mayStay = notes === "" && kept.length === 0 &&
      session.slots.length < MAX_SLOTS;
    if (mayStay) session.leaving++;
    const mayHelp = (error: unknown): boolean | "at once" => {
      const { code, mayHaveRun, isTransient } = error as RedisError;
      this.#isDoubtful ||= mayHaveRun;
      // The next attempt waits for the connection.
      return code === "connection" ? "at once" : isTransient;
    };
    try {
      const [room, lost] = await retry(async () => {
        await control.ready();
        return await this.#settle(mayStay, outcome);
      }, { mayHelp, signal: this.#acknowledger.signal });
      if (mayStay && room !== -1 && !this.#isDoubtful) {
        session.slots.push(number);
      } else if (mayStay) session.forget([number], options).catch(() => {});
      // What is kept is none of the batches whose way was interrupted.
      else if (kept.length === 0) session.known.delete(number);
      if (room === -1 && !this.#isDoubtful) {
        return await this.#settleLate([...failures, ...returned, ...missed]);
      }
      stats.acknowledged += handled;
      this.#onDone(plan, failures.length);
      if (typeof room !== "number") box.onRoom(room);
      if (missed.length === 0) return;
      stats.missed += missed.length;
      subscribers!.onMissed(
        missed.map(({ subscriber }) => subscriber),
        lost,
      );
    } catch (error) {
      if (!this.#acknowledger.signal.aborted) {
        const again = () => this.tell(failures, returned, missed);
        return this.#acknowledger.tellLater(this, error as RedisError, again);
      }
      const again = goBack(length, queue, handled);
      logger.warn(`${(error as RedisError).message}. ${again}`);
    } finally {
      if (mayStay) session.leaving--;
    }
  }

  /** Counts and reports what has become of so many messages that failed. */
  #onDone(
    { retried, buried, left, shortestPause }: Plan,
    failed: number,
  ): void {
    const { box, options: { stats } } = this.consumer;
    stats.retried += retried;
    stats.deadLettered += buried.length;
    stats.dropped += failed - retried - buried.length - left;
    for (const { reason, message } of buried) box.onBuried(reason, message);
    if (retried > 0) this.consumer.recoverer.redeliverIn(shortestPause);
  }

  /** Tells whoever has the messages now which of them were handled here. */
  async #settleLate(
    others: readonly { readonly index: number }[],
  ): Promise<void> {
    const { stats, maxDeliveries } = this.consumer.options;
    const { length } = this.payloads;
    const open = new Set(others.map(({ index }) => index));
    const messages = this.payloads.map((payload, index): LateMessage => {
      const { identity: { id }, ...history } = this.#history(index);
      const isAlone = isSuspected(history, maxDeliveries);
      const verdict = !open.has(index)
        ? "handled"
        : isAlone
        ? "not died, alone"
        : "not died";
      return { id, payload, verdict };
    });
    const cancelled = await settleLate(this.consumer.options, messages);
    // Where that was refused, it comes here again.
    stats.taken += length;
    this.#acknowledger.onLate(length, cancelled);
  }

  /** Decides what becomes of messages that failed. */
  #plan(failures: readonly BatchFailure[]): Plan {
    const { box } = this.consumer;
    const { queue, maxDeliveries, retryPause } = this.consumer.options;
    const args: string[] = [];
    let retried = 0;
    const buried: { reason: DeadLetter["reason"]; message: string }[] = [];
    let left = 0;
    let shortestPause = Infinity;
    for (const { index, reason, error, retry } of failures) {
      const before = this.#history(index);
      // What consumers die of is not delivered once more.
      const deliveries = before.deliveries + (reason === "crashed" ? 0 : 1);
      if (reason === "left") {
        const history = { ...before, deliveries, retry };
        args.push("back", String(index), formatHistory(history));
        left++;
        continue;
      }
      const failed = before.failures + 1;
      const mayRecover = reason === "failed" || reason === "dropped";
      if (mayRecover && failed < maxDeliveries) {
        const seconds = Math.min(
          retryPause * 2 ** before.failures,
          LONGEST_PAUSE,
        );
        const pause = Math.ceil(seconds * 1000);
        shortestPause = Math.min(shortestPause, pause);
        const history = { ...before, deliveries, failures: failed, retry };
        args.push("retry", String(index), formatHistory(history));
        args.push(String(pause), before.identity.id);
        retried++;
      } else if (this.consumer.keeps(reason)) {
        const letter = {
          id: before.identity.id,
          received: before.identity.timestamp,
          queue,
          reason,
          error: error.message,
          time: Date.now() / 1000,
          deliveries,
          payload: this.payloads[index]!,
        };
        const { text, isApart } = box.encode(letter);
        args.push(...(isApart ? ["apart", String(index)] : ["bury"]), text);
        buried.push({ reason, message: error.message });
      }
    }
    return { args, retried, buried, left, shortestPause };
  }

  /** Lists the messages that stay in hand, in the words of the script that settles. */
  #keep(returned: readonly BatchFailure[]): readonly string[] {
    const inOrder = returned.toSorted((a, b) => a.index - b.index);
    return inOrder.flatMap(({ index, retry }) => {
      const before = this.#history(index);
      const history = { ...before, retry: retry ?? before.retry };
      return ["keep", String(index), formatHistory(history)];
    });
  }

  /** Gives the history of a message, with the identity that it has by now. */
  #history(index: number): History & { readonly identity: MessageIdentity } {
    const before = this.place.histories.get(index) ?? FIRST_TIME;
    return { ...before, identity: identify(this.identities, index) };
  }

  /**
   * Acknowledges a batch: its messages are gone, except those that are tried
   * again later, become dead letters, go back at once, or stay in hand until the
   * end. What a named subscriber has missed is put on its list.
   */
  static readonly #SETTLE = defineMove(
    [
      "hash",
      "list",
      "zset",
      "list",
      "list",
      "hash",
      "hash",
      "string",
    ],
    `
-- KEYS[1]  the hash of this consumer's batches
-- KEYS[2]  the list of the batch
-- KEYS[3]  the sorted set of the messages that pause
-- KEYS[4]  the list of the dead letters
-- KEYS[5]  the queue
-- KEYS[6]  the hash of the histories
-- KEYS[7]  the hash of the named subscribers
-- KEYS[8]  the dead letter whose text is kept apart, see keepText
-- ARGV[1]  the number of the batch
-- ARGV[2]  the number of messages in the batch
-- ARGV[3]  'stay' where the number stays, for a list that is used again; or ''
-- ARGV[4...] what the dead letters may take, see makeRoom and keepText
-- then for each message that was not handled, in the order of the batch, either
--   'retry', its index, its history, the pause in milliseconds, a unique name
-- or
--   'bury', the dead letter
-- or
--   'apart', its index, the dead letter without its text
-- or
--   'keep', its index, its history
-- or
--   'back', its index, its history
-- then, where named subscribers have missed some, what their lists may take:
--   'room', see makeMissedRoom, for how many seconds a list is kept, and '1' where
--   that is looked after in all of them
-- and for each that one of them has missed
--   'miss', its index, the subscriber, its list, its history
-- The lists lie in the slot of the queue, and are none of the keys: each command
-- that reads would make the server track all of them anew.
-- Returns first what makeRoom does, 0 where nothing was buried, or -1 where the
-- batch is not this consumer's (any more), or was settled before; then how many
-- missed messages had to make room.
${HISTORY_FUNCTIONS}
${KEEP_TEXT}
${MAKE_ROOM}
${KEEP_MISSED}
-- Also finds out whether numbers may be removed, before a list is.
begin(KEYS[1])
if #ARGV == 7 then
  -- The list goes first: without its number nobody would find it.
  local found = redis.call('DEL', KEYS[2])
  if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) end
  return {found - 1, 0}
end
local count = redis.call('LLEN', KEYS[2])
if count ~= tonumber(ARGV[2]) then return {-1, 0} end
-- Only what has to be read is: a script takes several times as much memory.
local lastIndex, lastPayload
local function payload(index)
  if index ~= lastIndex then
    lastIndex, lastPayload = index, redis.call('LRANGE', KEYS[2], index, index)[1]
  end
  return lastPayload
end
local known
local function isNamed(name)
  if not known then
    known = {}
    for _, one in ipairs(redis.call('HKEYS', KEYS[7])) do known[one] = true end
  end
  return known[name]
end

local now = redis.call('TIME')
local milliseconds = now[1] * 1000 + math.floor(now[2] / 1000)
local hasBuried, kept, apart, position = false, {}, {}, 8
local back, histories, room, lengths = {}, {}, nil, {}
while position <= #ARGV do
  if ARGV[position] == 'retry' then
    local index, history, pause, name = unpack(ARGV, position + 1, position + 4)
    local member = name .. '@' .. pause .. ' ' .. history .. ' ' .. payload(index)
    add({'ZREM', KEYS[3], member}, 'ZADD', KEYS[3], milliseconds + pause, member)
    position = position + 5
  elseif ARGV[position] == 'back' then
    local index, history = unpack(ARGV, position + 1, position + 2)
    back[#back + 1] = payload(index)
    histories[#back] = history
    position = position + 3
  elseif ARGV[position] == 'keep' then
    local index, history = unpack(ARGV, position + 1, position + 2)
    add({'LTRIM', KEYS[2], 0, -2}, 'RPUSH', KEYS[2], payload(index))
    kept[#kept + 1] = #kept .. ':' .. history
    position = position + 3
  elseif ARGV[position] == 'miss' then
    local index, name, key, history = unpack(ARGV, position + 1, position + 4)
    local list = own('list', key)
    local length = add({'LTRIM', list, 0, -2},
      'RPUSH', list, now[1] .. ' ' .. history .. ' ' .. payload(index))
    local isDue = ARGV[room + 5] == '1' or length > tonumber(ARGV[room + 1])
    if length == 1 or isDue or lengths[list] then lengths[list] = length end
    -- Somebody may have removed it from the hash, or forgotten it.
    if length == 1 and not isNamed(name) then
      add({'HDEL', KEYS[7], name},
        'HSET', KEYS[7], name, string.format('%d', milliseconds))
    end
    position = position + 5
  elseif ARGV[position] == 'room' then
    room, position = position, position + 6
  elseif ARGV[position] == 'apart' then
    local index, letter = ARGV[position + 1], stamp(ARGV[position + 2])
    add({'LTRIM', KEYS[4], 0, -2}, 'RPUSH', KEYS[4], letter)
    if count > 1 then
      local key = textKey(KEYS[8], letter)
      add({'DEL', key}, 'SORT', KEYS[2], 'BY', 'nosort', 'LIMIT', index, 1, 'STORE', key)
    end
    apart[#apart + 1] = letter
    hasBuried, position = true, position + 3
  else
    add({'LTRIM', KEYS[4], 0, -2}, 'RPUSH', KEYS[4], stamp(ARGV[position + 1]))
    hasBuried, position = true, position + 2
  end
end
if #back > 0 then putBack(KEYS[5], KEYS[6], back, histories) end
if #kept > 0 then
  local before = redis.call('HGET', KEYS[1], ARGV[1])
  add(before and {'HSET', KEYS[1], ARGV[1], before} or {'HDEL', KEYS[1], ARGV[1]},
    'HSET', KEYS[1], ARGV[1], table.concat(kept, ' '))
  redis.call('LTRIM', KEYS[2], -#kept, -1)
  commit()
else
  if count == 1 and apart[1] then
    redis.call('RENAME', KEYS[2], textKey(KEYS[8], apart[1]))
  else
    redis.call('DEL', KEYS[2])
  end
  commit()
  if ARGV[3] == '' then redis.call('HDEL', KEYS[1], ARGV[1]) end
end

local given = 0
for _, letter in ipairs(apart) do
  given = given + keepText(KEYS[8], letter, ARGV[4], ARGV[7])
end
local lost = 0
for list, length in pairs(lengths) do
  redis.call('EXPIRE', list, ARGV[room + 4])
  -- One alone has room, where any may wait.
  if length > 1 or ARGV[room + 1] == '0' then
    lost = lost + makeMissedRoom(list, unpack(ARGV, room + 1, room + 3))[1]
  end
end
if not hasBuried then return {0, lost} end
local made = makeRoom(KEYS[4], ARGV[4], ARGV[5], ARGV[6])
made[1] = made[1] + given
return {made, lost}
`,
  );

  #settle(
    mayStay: boolean,
    outcome: readonly string[],
  ): Promise<readonly [room: number | Room, lost: number]> {
    const { box, options: { control } } = this.consumer;
    const { session, number } = this.place;
    const { keys } = session;
    return control.script(
      HeldBatch.#SETTLE,
      [
        keys.processing,
        keys.batch(number),
        keys.retry,
        keys.dead,
        keys.queue,
        keys.deliveries,
        keys.subscribers,
        keys.text,
      ],
      [
        String(number),
        String(this.payloads.length),
        mayStay ? "stay" : "",
        ...box.limits,
        ...outcome,
      ],
      {
        isReply: (reply) =>
          Array.isArray(reply) && (isNumber(reply[0]) || isRoom(reply[0])) &&
          isNumber(reply[1]),
      },
    );
  }

  /** Puts messages aside for named subscribers, in the words of the script that settles. */
  #miss(missed: readonly MissedMessage[]): readonly string[] {
    if (missed.length === 0) return [];
    const { subscribers } = this.consumer;
    const words = ["room", ...subscribers!.limits(this.bytes)];
    for (const { index, subscriber, retry } of missed) {
      const before = this.#history(index);
      const history = { ...before, deliveries: before.deliveries + 1, retry };
      const list = subscribers!.list(subscriber);
      words.push(
        "miss",
        String(index),
        subscriber,
        list,
        formatHistory(history),
      );
    }
    return words;
  }
}
