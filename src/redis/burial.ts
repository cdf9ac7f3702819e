import { retry } from "../waiting.ts";
import type { BatchFailure } from "./batch.ts";
import type { ConsumerOptions } from "./consumer.ts";
import {
  type DeadLetterBox,
  isRoom,
  KEEP_TEXT,
  MAKE_ROOM,
  type Room,
} from "./dead_letter_box.ts";
import type { DeadLetter } from "./dead_letter.ts";
import { FIND_LETTERS } from "./dead_letter_front.ts";
import { QueueKeys } from "./queue_keys.ts";
import { isLoss, type RedisError, restate } from "./redis_error.ts";
import { defineMove } from "./script.ts";
import { Trouble } from "./trouble.ts";
import { amount } from "../units.ts";

/** The number of dead letters that travel at once. */
const CHUNK = 100;
/** The pauses between two attempts, in seconds. */
const FIRST_PAUSE = 0.2;
const LONGEST_PAUSE = 60;

/** A dead letter that is not on the server yet. */
interface Unburied {
  readonly id: string;
  readonly reason: DeadLetter["reason"];
  readonly error: string;
  /** The element of the list. */
  readonly text: string;
  /** The message, where it is kept apart from the list and no newer one is. */
  payload: Uint8Array | undefined;
}

/**
 * Buries what was taken at most once: it is nowhere but here. What the server
 * refuses is kept, within the limits that it would have there, and tried again
 * at growing pauses.
 */
export class Burial {
  readonly #options: ConsumerOptions;
  readonly #box: DeadLetterBox;
  readonly #trouble: Trouble;
  readonly #ending = new AbortController();
  #waiting: Unburied[] = [];
  /** Resolves when nothing waits any more, or in the end; none while nothing was refused. */
  #retrying: Promise<void> | undefined;
  /** An answer was lost, so that they may be there already. */
  #isDoubtful = false;
  #lost = 0;
  /** The number of lost ones from which on it is told again. */
  #tellAt = 1;

  constructor(options: ConsumerOptions, box: DeadLetterBox) {
    this.#options = options;
    this.#box = box;
    this.#trouble = Trouble.with(
      `the dead letters of "${options.queue}"`,
      options.logger,
    );
  }

  /** Buries messages, or keeps them where the server refuses. Never rejects. */
  async bury(
    failures: readonly BatchFailure[],
    payloads: readonly Uint8Array[],
    idOf: (index: number) => string,
  ): Promise<void> {
    const box = this.#box;
    const { queue } = this.#options;
    for (const { index, reason: why, error } of failures) {
      const reason = why === "left" ? "dropped" : why;
      const payload = payloads[index]!;
      const id = idOf(index);
      const { text, isApart } = box.encode({
        id,
        queue,
        reason,
        error: error.message,
        time: Date.now() / 1000,
        deliveries: 1,
        payload,
      });
      this.#waiting.push({
        id,
        reason,
        error: error.message,
        text,
        payload: isApart ? payload : undefined,
      });
    }
    if (this.#retrying !== undefined) return this.#makeRoom();
    try {
      while (this.#waiting.length > 0) await this.#buryChunk();
    } catch (error) {
      this.#makeRoom();
      this.#retrying ??= this.#insist(error as RedisError);
    }
  }

  /** Makes a last attempt, and says what is lost. Never rejects. */
  async stop(): Promise<void> {
    this.#ending.abort();
    await this.#retrying;
    try {
      while (this.#waiting.length > 0) await this.#buryChunk();
    } catch (error) {
      this.#tellAt = 1;
      this.#lose(this.#waiting.splice(0).length, (error as Error).message);
    }
    this.#trouble.forget(this);
  }

  /** Tries it until nothing waits any more. */
  async #insist(refusal: RedisError): Promise<void> {
    const { control, queue, logger } = this.#options;
    const { signal } = this.#ending;
    let count = 0;
    try {
      await retry(async (attempt) => {
        if (attempt === 0) throw refusal;
        await control.ready(signal);
        while (this.#waiting.length > 0) count += await this.#buryChunk();
        this.#retrying = undefined;
      }, {
        signal,
        daemon: true,
        first: FIRST_PAUSE,
        longest: LONGEST_PAUSE,
        mayHelp: (error) => {
          // The connection has already reported its own loss.
          if (!isLoss(error as RedisError)) {
            this.#trouble.onFailure(this, error as RedisError);
          }
          return true;
        },
      });
      this.#trouble.forget(this);
      logger.info(
        `Buried ${
          amount(count, "message")
        } of "${queue}" that had to wait for it.`,
      );
    } catch {
      // It is over: a last attempt is made by whoever has ended it.
    }
  }

  /**
   * Gives up the oldest ones where they are more than the server would keep. As
   * there, the newest of the texts that are kept apart stays beside all others.
   */
  #makeRoom(): void {
    const { maxDeadLetters, maxDeadLetterBytes } = this.#box;
    const waiting = this.#waiting;
    let bytes = 0;
    for (const { text } of waiting) bytes += text.length;
    let count = 0;
    while (
      count < waiting.length - 1 &&
      (waiting.length - count > maxDeadLetters || bytes > maxDeadLetterBytes)
    ) {
      bytes -= waiting[count++]!.text.length;
    }
    waiting.splice(0, count);
    const apart = waiting.filter(({ payload }) => payload !== undefined);
    const older = apart.slice(0, -1);
    for (const one of older) one.payload = undefined;
    this.#lose(
      count + older.length,
      "More wait to be buried than may be dead letters (maxDeadLetters, maxDeadLetterBytes)",
    );
  }

  #lose(count: number, why: string): void {
    if (count === 0) return;
    const { logger, queue, stats } = this.#options;
    stats.deadLettersLost += count;
    this.#lost += count;
    // There may be a thousand a second.
    if (this.#lost < this.#tellAt) return;
    this.#tellAt = 4 * this.#lost;
    logger.error(
      `${why}. Lost ${
        amount(count, "message")
      } of "${queue}", which could not be handled (${this.#lost} in all).`,
    );
  }

  /** Appends dead letters, and lets the oldest make room for them. */
  static readonly #BURY = defineMove(
    ["list", "string", "list"],
    `
-- KEYS[1]  the list of the dead letters
-- KEYS[2]  the dead letter whose text is kept apart, see keepText
-- KEYS[3]  the front of that list
-- ARGV[1...] what the dead letters may take, see makeRoom and keepText
-- ARGV[5]  '1' where they may be there already
-- ARGV[6...] in turns: a dead letter, and '1' where its text is kept apart, or ''
-- Returns what makeRoom does.
${KEEP_TEXT}
${MAKE_ROOM}
${FIND_LETTERS}
local letters, given = {}, 0
for position = 6, #ARGV, 2 do letters[#letters + 1] = ARGV[position] end
local found = ARGV[5] == '' and {} or findLetters({KEYS[1], KEYS[3]}, letters)
for position = 6, #ARGV, 2 do
  local letter = ARGV[position]
  if not found[idOf(letter)] then
    letter = stamp(letter)
    add({'LREM', KEYS[1], -1, letter}, 'RPUSH', KEYS[1], letter)
    if ARGV[position + 1] == '1' then
      given = given + keepText(KEYS[2], letter, ARGV[1], ARGV[4])
    end
  end
end
local room = makeRoom(KEYS[1], ARGV[1], ARGV[2], ARGV[3])
room[1] = room[1] + given
return room
`,
  );

  /** Removes texts without a letter: one of each attempt would fill the server. */
  async #removeTexts(chunk: readonly Unburied[]): Promise<void> {
    const { control, queue } = this.#options;
    const { text } = new QueueKeys(queue);
    for (const { id, payload } of chunk) {
      if (payload === undefined) continue;
      await control.command(["DEL", `${text}:${id}`]).catch(() => {});
    }
  }

  /** Buries some of those that wait; returns how many. */
  async #buryChunk(): Promise<number> {
    const box = this.#box;
    const { control, queue, stats } = this.#options;
    const chunk = this.#waiting.splice(0, CHUNK);
    const { dead, text, front } = new QueueKeys(queue);
    try {
      for (const { id, payload } of chunk) {
        if (payload === undefined) continue;
        const key = `${text}:${id}`;
        await control.command(["DEL", key]);
        await control.command(["RPUSH", key, payload]);
        await control.command(["EXPIRE", key, box.limits[3]!]);
      }
      const room = await control.script<Room>(
        Burial.#BURY,
        [dead, text, front],
        [
          ...box.limits,
          this.#isDoubtful ? "1" : "",
          ...chunk.flatMap(({ text, payload }) => [
            text,
            payload === undefined ? "" : "1",
          ]),
        ],
        { isReply: isRoom },
      );
      this.#isDoubtful = false;
      stats.deadLettered += chunk.length;
      for (const { reason, error } of chunk) box.onBuried(reason, error);
      box.onRoom(room);
      return chunk.length;
    } catch (error) {
      this.#isDoubtful ||= (error as RedisError).mayHaveRun;
      this.#waiting.unshift(...chunk);
      if (!isLoss(error as RedisError)) await this.#removeTexts(chunk);
      throw restate(error as RedisError, {
        attempted: `bury what could not be handled of "${queue}"`,
      });
    }
  }
}
