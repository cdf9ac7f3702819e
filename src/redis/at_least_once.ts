import { sleep } from "../waiting.ts";
import {
  BLOCK_SECONDS,
  Consumer,
  type ConsumerOptions,
  written,
} from "./consumer.ts";
import { Heartbeat } from "./heartbeat.ts";
import { HeldBatch } from "./held_batch.ts";
import {
  HISTORY_FUNCTIONS,
  isPoison,
  isStamped,
  isSuspected,
  parseNotes,
} from "./history.ts";
import { Recoverer } from "./recoverer.ts";
import { RedisError } from "./redis_error.ts";
import { isNumber, isPayload, isPayloads, isText } from "./reply_shape.ts";
import { checkRights } from "./rights.ts";
import { defineMove } from "./script.ts";
import type { Session } from "./session.ts";

/** Makes the script that takes read what BLMOVE has just moved. */
const READ_MOVED = 0;
/** Makes it read what a lost answer left behind. */
const READ_LOST = -1;

/** The histories of a batch, and its messages. */
type Reply = readonly [histories: string, payloads: readonly Uint8Array[]];
const NOTHING: Reply = ["", []];

function isTaken(reply: unknown): boolean {
  return Array.isArray(reply) && reply.length === 2 && isText(reply[0]) &&
    isPayloads(reply[1]);
}

/** A batch that was asked for. */
interface Request {
  readonly session: Session;
  readonly number: number;
  readonly reply: Promise<Reply>;
}

/**
 * Consumes a queue so that every message is handled at least once: it stays on a
 * list of this consumer until it is settled, and whoever finds that a consumer
 * has died puts its messages back.
 */
export class AtLeastOnce extends Consumer {
  readonly #heartbeat: Heartbeat;
  readonly #recoverer: Recoverer;
  /** Batches that were asked for before the one in hand was handed out. */
  readonly #prefetched: Request[] = [];
  /** True while messages are handed out one by one, because one may be poison. */
  #isIsolating = false;
  readonly #ending = new AbortController();

  constructor(options: ConsumerOptions) {
    super(options);
    this.#recoverer = new Recoverer(options);
    this.#heartbeat = new Heartbeat(options, async (session, numbers) => {
      for (const number of numbers) {
        if (!session.known.has(number)) void this.#adopt(session, number);
      }
      await this.#recoverer.run();
    });
  }

  override onReconnect(): void {
    super.onReconnect();
    this.#heartbeat.beat();
  }

  protected override async checkRights(): Promise<void> {
    const { control, queue, user } = this.options;
    await checkRights(control, queue, "at-least-once", user);
  }

  protected override async enter(): Promise<void> {
    await this.#heartbeat.start();
  }

  protected override async leave(): Promise<void> {
    const { logger, queue, heartbeatTimeout } = this.options;
    this.#ending.abort();
    await this.#heartbeat.stop();
    await this.#recoverer.stop();
    try {
      await this.#heartbeat.leave();
      await this.#recoverer.putBack(this.#heartbeat.session.name);
    } catch (error) {
      const { message } = error as Error;
      logger.warn(
        `${message}. What was in hand goes back to "${queue}" after ${heartbeatTimeout} s.`,
      );
    }
  }

  protected override get maxInHand(): number {
    return this.#isIsolating ? 1 : this.options.maxInFlight;
  }

  protected override async takeOne(): Promise<void> {
    const { session, number, reply } = this.#prefetched.shift() ??
      this.#request();
    try {
      let taken = await reply;
      const isFull = taken[1].length >= this.options.batchSize;
      if (isFull && !this.#isIsolating) {
        // There is more: the server looks it up while this batch is dealt with,
        // provided that the request leaves before a handler keeps us busy.
        this.#prefetched.push(this.#request());
        await written();
      } else if (taken[1].length === 0) {
        taken = await this.#wait(session, number);
      }
      await this.#receive(session, number, taken);
    } catch (error) {
      // The answer may be all that was lost: the next heartbeat finds the batch.
      session.known.delete(number);
      if (!(error instanceof RedisError)) throw error;
      if (error.code === "permission") {
        // What BLMOVE has moved although the rest was refused is in no hash.
        await this.#release(session, number).catch(() => {});
      }
      if (error.code !== "taken") throw error;
      // What BLMOVE has just moved is in the hands of a session that is over.
      await this.options.control.command(
        ["HSETNX", session.keys.processing, String(number), "?"],
      );
      await this.#release(session, number);
      await this.#heartbeat.rejoin(session);
    }
  }

  protected override async drain(): Promise<void> {
    // The last batch first, so that the messages are in their order again.
    for (let request; (request = this.#prefetched.pop()) !== undefined;) {
      const { session, number, reply } = request;
      try {
        const [, payloads] = await reply;
        if (payloads.length > 0) await this.#release(session, number);
      } finally {
        session.known.delete(number);
      }
    }
  }

  /** Hands out a batch, but what may be poison only when it is alone in hand. */
  async #receive(
    session: Session,
    number: number,
    [text, payloads]: Reply,
  ): Promise<void> {
    if (payloads.length === 0) {
      session.known.delete(number);
      return;
    }
    const { maxDeliveries, logger, queue, control } = this.options;
    const { time = Date.now() / 1000, histories } = parseNotes(text);
    const batch = new HeldBatch(
      this,
      payloads,
      { session, number, time, histories },
      this.#recoverer,
      this.#ending.signal,
    );
    const suspected = histories.values().find((history) =>
      isSuspected(history, maxDeliveries)
    );
    this.#isIsolating = suspected !== undefined;
    if (suspected !== undefined) {
      if (payloads.length > 1 || this.inHand > 0) {
        return await this.#putBack(session, number);
      }
      if (isPoison(suspected)) {
        const error = new Error(
          `The consumer died ${suspected.crashes} times while it had this message, and nothing else, in hand`,
        );
        logger.error(
          `A message of "${queue}" becomes a dead letter: ${error.message}.`,
        );
        return await batch.tell([{ index: 0, reason: "crashed", error }], []);
      }
      // The mark by which this message is blamed if we die now.
      await control.command(
        ["HSET", session.keys.processing, String(number), `${text}!`],
      );
    }
    if (!await this.handOut(batch)) await this.#putBack(session, number);
  }

  /** Hands out a batch whose way to us was interrupted. */
  async #adopt(session: Session, number: number): Promise<void> {
    session.known.add(number);
    try {
      const taken = await this.#take(session, number, READ_LOST);
      await this.#receive(session, number, taken);
    } catch {
      session.known.delete(number);
    }
  }

  /** Asks for a batch. */
  #request(): Request {
    const { session } = this.#heartbeat;
    const number = session.next();
    const limit = this.#isIsolating ? 1 : this.options.batchSize;
    const reply = this.#take(session, number, limit);
    // It may be awaited late.
    reply.catch(() => {});
    return { session, number, reply };
  }

  /**
   * Moves messages from the head of the queue into a batch of this consumer, and
   * returns them. A number stands for one batch only, ever: whatever happened to
   * an answer on its way, the batch can be read again, or acknowledged again.
   */
  static readonly #TAKE = defineMove(
    ["list", "hash", "hash", "list", "hash"],
    `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the hash of this consumer's batches
-- KEYS[4]  the list of this batch
-- KEYS[5]  the hash of the histories
-- ARGV[1]  the consumer
-- ARGV[2]  the number of the batch
-- ARGV[3]  the largest number of messages; 0 reads what BLMOVE has just moved
--          there; -1 reads what a lost answer left there
-- ARGV[4]  the number of bytes after which the batch is full
-- ARGV[5]  the time, in milliseconds
-- Returns the time and the histories, as '@time index:history …', and the
-- messages.
${HISTORY_FUNCTIONS}
if redis.call('HGET', KEYS[2], ARGV[1]) ~= 'alive' then
  return {err = 'TAKEN another consumer has put the messages back'}
end

local limit, maxBytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local before = redis.call('HGET', KEYS[3], ARGV[2])
local histories, payloads = before, {}

if limit > 0 then
  -- Nobody knows how large messages are before they are read: ask for a few at
  -- a time, and stop when there are enough bytes.
  local chunk, bytes = 1, 0
  while #payloads < limit and bytes < maxBytes do
    local count = math.min(chunk, limit - #payloads)
    if bytes > 0 then
      local fitting = math.ceil((maxBytes - bytes) * #payloads / bytes)
      count = math.min(count, fitting)
    end
    local found = redis.call('LRANGE', KEYS[1], #payloads, #payloads + count - 1)
    for _, payload in ipairs(found) do
      payloads[#payloads + 1] = payload
      bytes = bytes + #payload
    end
    if #found < count then break end
    chunk = math.min(chunk * 2, 16)
  end
  if #payloads == 0 then return {'', payloads} end
  histories = '?'
else
  payloads = redis.call('LRANGE', KEYS[4], 0, -1)
  if #payloads == 0 then
    if limit == 0 then redis.call('HDEL', KEYS[3], ARGV[2]) end
    return {'', payloads}
  end
end

-- A batch that could not be announced, for want of memory, has none either.
if not histories or histories == '?' then
  begin(KEYS[3])
  histories = '@' .. ARGV[5] .. ' ' .. recall(KEYS[5], payloads)
  local undo = before and {'HSET', KEYS[3], ARGV[2], before}
    or {'HDEL', KEYS[3], ARGV[2]}
  add(undo, 'HSET', KEYS[3], ARGV[2], histories)
end
if limit > 0 then
  for first = 1, #payloads, CHUNK do
    local last = math.min(first + CHUNK - 1, #payloads)
    add({'DEL', KEYS[4]}, 'RPUSH', KEYS[4], unpack(payloads, first, last))
  end
  redis.call('LTRIM', KEYS[1], #payloads, -1)
end
return {histories, payloads}
`,
  );

  async #take(
    session: Session,
    number: number,
    limit: number,
  ): Promise<Reply> {
    const { keys } = session;
    const { blocking, control } = this.options;
    const connection = limit === READ_LOST ? control : blocking;
    const [histories, payloads] = await connection.script<Reply>(
      AtLeastOnce.#TAKE,
      [
        keys.queue,
        keys.consumers,
        keys.processing,
        session.list(number),
        keys.deliveries,
      ],
      [
        session.name,
        String(number),
        String(limit),
        String(this.maxBytes),
        String(Date.now()),
      ],
      { bytes: true, isReply: isTaken },
    );
    return [String(histories), payloads];
  }

  /**
   * Waits for a message in an empty queue. What has to be known about it travels
   * with it, so that the usual case takes no further round trip.
   */
  async #wait(session: Session, number: number): Promise<Reply> {
    const { blocking } = this.options;
    const { queue, processing, deliveries, consumers } = session.keys;
    const list = session.list(number);
    const block = String(BLOCK_SECONDS);
    while (this.isOpen) {
      const [announced, moved, returned, state] = await Promise.allSettled([
        blocking.command(
          ["HSET", processing, String(number), "?"],
          { isReply: isNumber },
        ),
        blocking.command<Uint8Array | null>(
          ["BLMOVE", queue, list, "LEFT", "RIGHT", block],
          { block: BLOCK_SECONDS, bytes: true, isReply: isPayload },
        ),
        blocking.command<number>(
          ["EXISTS", deliveries],
          { isReply: isNumber },
        ),
        blocking.command<string | null>(
          ["HGET", consumers, session.name],
          { isReply: (reply) => reply === null || isText(reply) },
        ),
      ]);
      if (moved.status === "rejected") {
        const { reason } = moved;
        // A server out of memory refuses BLMOVE; scripts that only move go on.
        const isFull = reason instanceof RedisError && reason.code === "memory";
        if (!isFull) throw reason;
        await sleep(BLOCK_SECONDS / 20, { signal: this.closing.signal });
        return NOTHING;
      }
      if (returned.status === "rejected") throw returned.reason;
      if (state.status === "rejected") throw state.reason;
      if (moved.value === null && announced.status === "fulfilled") continue;
      if (state.value !== "alive") {
        throw new RedisError({
          attempted: `read "${queue}"`,
          reason: "another consumer took this one for dead",
        }, "taken");
      }
      // Its history is known without asking only where there are none at all.
      if (announced.status === "rejected" || returned.value !== 0) {
        return await this.#take(session, number, READ_MOVED);
      }
      const payload = moved.value!;
      if (isStamped(payload)) return ["", [payload]];
      // When it was delivered is to be known also after we have died.
      const notes = `@${Date.now()} `;
      await this.options.control.command(
        ["HSET", processing, String(number), notes],
        { isReply: isNumber },
      ).catch(() => {});
      return [notes, [payload]];
    }
    await blocking.command(["HDEL", processing, String(number)]);
    return NOTHING;
  }

  /** Puts a batch back, and before it what was asked for after it. */
  async #putBack(session: Session, number: number): Promise<void> {
    try {
      await this.drain();
      await this.#release(session, number);
    } finally {
      session.known.delete(number);
    }
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

  async #release(session: Session, number: number): Promise<void> {
    const { keys } = session;
    await this.options.control.script(
      AtLeastOnce.#RELEASE,
      [keys.queue, keys.processing, session.list(number), keys.deliveries],
      [String(number)],
      { isReply: isNumber },
    );
  }
}
