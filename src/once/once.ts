import { TIME_LIMIT } from "../kinds.ts";
import { type Checked, row, type Rows } from "../options.ts";
import { sleep } from "../waiting.ts";

/** The shortest and the longest pause between two looks at another's work, in seconds. */
const FIRST_LOOK = 0.02;
const LONGEST_LOOK = 1;

/** For how long {@linkcode Once} remembers. */
export interface OnceOptions {
  /**
   * For how long an id is remembered after its work was done, in seconds. It
   * has to be longer than the time in which a message may come again, retries
   * and dead letters that are put back included. Default: 604,800, a week.
   */
  expiry?: number;
  /**
   * For how long an id stays with a process that is gone, in seconds; then
   * another one may do its work. While the work goes on the lease is renewed
   * three times in this period. Default: 30.
   */
  lease?: number;
}

/** Options that have the same default for everybody. */
export type FilledOnceOption = "expiry" | "lease";

/** The options of every memory. */
export const ONCE_OPTIONS: Rows<OnceOptions, FilledOnceOption> = {
  expiry: row(TIME_LIMIT, { default: 604_800 }),
  lease: row(TIME_LIMIT, { default: 30 }),
};

/** For how long ids are remembered and claimed, once that was checked. */
export type CheckedOnceOptions = Checked<OnceOptions, FilledOnceOption>;

/**
 * Does work once, though its message may come again: remembers the ids whose
 * work is done, see {@linkcode RedisOnce} and {@linkcode FileOnce}.
 *
 * ```text
 * claim the id --> work --> remember that it is done
 *      |             +-- failed: give the id back, and another call does it again
 *      +-- done before: nothing to do
 *      +-- somebody is at it: wait until it is done, or may be claimed
 * ```
 *
 * | what happens                              | the work is done                     |
 * | ----------------------------------------- | ------------------------------------ |
 * | nothing breaks, or the work throws        | once, when it has succeeded          |
 * | the process dies before or in the work    | again, after `lease`                 |
 * | it dies between the work and the memory   | again: nobody knows that it was done |
 * | the process stands still for over `lease` | perhaps by two at a time             |
 *
 * Only where the work itself is in the same file as the memory can the third row
 * be ruled out: {@linkcode FileOnce.transact}.
 *
 * @example
 * ```ts
 * import { FileOnce, type Once } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * async function light(once: Once, id: string): Promise<boolean> {
 *   return await once.run(`lights:${id}`, () => console.log("lit"));
 * }
 * using once = new FileOnce(":memory:");
 * assert.equal(await light(once, "a"), true);
 * assert.equal(await light(once, "a"), false);
 * ```
 */
export interface Once {
  /**
   * Does the work of an id, unless it is done.
   *
   * @param id The text by which the work is known, such as `message.id`, with
   * the name of the work where a message has several: `lights:${message.id}`.
   * @param work The work. When it throws or rejects, it counts as not done, and
   * another call does it again.
   * @param options A signal that ends the wait for somebody else.
   * @returns Whether the work was done by this call.
   * @throws {TypeError} When the id is no text, or empty.
   */
  run(
    id: string,
    work: () => unknown,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<boolean>;
}

/** A claim was granted, the work is done already, or somebody is at it. */
export type Claim = "granted" | "done" | "held";

/** Remembers who is at which work, and what is done. */
export interface Memory {
  /** For how long a claim lasts that is not renewed, in seconds. */
  readonly lease: number;
  /** Claims an id for a token, also if this token has it already. */
  claim(id: string, token: string): Promise<Claim>;
  /** Makes the claim of a token, which is at work, last for another lease; it may have got lost. */
  renew(id: string, token: string): Promise<void>;
  /** Gives up the claim of a token. */
  release(id: string, token: string): Promise<void>;
  /** Remembers that the work of an id is done, whoever has claimed it meanwhile. */
  remember(id: string): Promise<void>;
}

/** Does the work of {@linkcode Once.run}. */
export async function runOnce(
  memory: Memory,
  id: string,
  work: () => unknown,
  { signal }: { signal?: AbortSignal | undefined } = {},
): Promise<boolean> {
  checkId(id);
  const token = crypto.randomUUID();
  let claim = await memory.claim(id, token);
  for (let pause = FIRST_LOOK; claim === "held"; pause *= 2) {
    await sleep(Math.min(pause, LONGEST_LOOK), { signal });
    signal?.throwIfAborted();
    claim = await memory.claim(id, token);
  }
  if (claim === "done") return false;
  const renewing = setInterval(
    () => memory.renew(id, token).catch(() => {}),
    memory.lease * 1000 / 3,
  );
  Deno.unrefTimer(renewing);
  try {
    await work();
  } catch (error) {
    // Renewed after it was given back, it would be claimed again.
    clearInterval(renewing);
    // Where it cannot be given back, the lease runs out.
    await memory.release(id, token).catch(() => {});
    throw error;
  }
  clearInterval(renewing);
  await memory.remember(id);
  return true;
}

/**
 * Refuses an id by which nothing can be remembered.
 *
 * @throws {TypeError} If it is no text, or empty.
 */
export function checkId(id: unknown): void {
  if (typeof id === "string" && id !== "") return;
  throw new TypeError(
    "Cannot do the work once: the id has to be a text that is not empty, such as `message.id`",
  );
}
