import { backoff, sleep } from "../waiting.ts";
import type { Failure } from "./batch.ts";
import type { Life } from "./life.ts";
import type { ReaderOptions } from "./queue_reader.ts";
import type { RedisError } from "./redis_error.ts";
import { settle } from "./scripts/settle.ts";
import {
  FIRST_TIME,
  formatHistory,
  type History,
  planSettlement,
} from "./settlement.ts";
import type { Upkeep } from "./upkeep.ts";

/** A batch in hand, and who has it. */
export interface HeldBatch {
  readonly life: Life;
  readonly number: number;
  readonly payloads: readonly Uint8Array[];
  readonly histories: Map<number, History>;
}

/** What became of the messages of a batch that were not handled. */
export interface Outcome {
  readonly failures: readonly Failure[];
  readonly returned: readonly Failure[];
}

/**
 * Tells the server what became of a batch, again and again until it knows.
 * Never rejects.
 *
 * @param batch The batch.
 * @param outcome What was not handled; all the rest was.
 * @param options See {@link ReaderOptions}.
 * @param upkeep Looks after the messages that are tried again.
 * @param signal Ends the attempts.
 */
export async function settleBatch(
  { life, number, payloads, histories }: HeldBatch,
  { failures, returned }: Outcome,
  options: ReaderOptions,
  upkeep: Upkeep,
  signal: AbortSignal,
): Promise<void> {
  const { stats, logger, queue, maxDeadLetters, control } = options;
  const plan = planSettlement(
    failures,
    payloads,
    histories,
    (index) => life.nameMessage(number, index),
    options,
  );
  const inOrder = returned.toSorted((a, b) => a.index - b.index);
  const kept = inOrder.flatMap(({ index }) => {
    const before = histories.get(index) ?? FIRST_TIME;
    return ["keep", String(index), formatHistory(before)];
  });
  const { keys } = life;
  const list = life.list(number);
  for (let attempt = 0, isDoubtful = false;; attempt++) {
    try {
      await control.ready();
      const lost = await control.script<number>(
        settle,
        [keys.processing, list, keys.retry, keys.dead],
        [
          String(number),
          String(maxDeadLetters),
          String(payloads.length),
          ...plan.args,
          ...kept,
        ],
      );
      // What is kept is none of the batches whose way was interrupted.
      if (kept.length === 0) life.known.delete(number);
      if (lost < 0 && !isDoubtful) {
        stats.taken += payloads.length;
        return logger.warn(
          `${payloads.length} messages of "${queue}" were settled too late: another consumer has put them back, or the server has lost them.`,
        );
      }
      stats.acknowledged += payloads.length - failures.length -
        returned.length;
      stats.retried += plan.retried;
      stats.deadLettered += plan.buried;
      stats.dropped += failures.length - plan.retried - plan.buried;
      if (lost > 0) {
        stats.deadLettersLost += lost;
        logger.warn(
          `${lost} of the oldest dead letters of "${queue}" had to make room.`,
        );
      }
      if (plan.retried > 0) upkeep.promoteIn(plan.shortestPause);
      return;
    } catch (error) {
      const { code, mayHaveRun, isTransient, message } = error as RedisError;
      isDoubtful ||= mayHaveRun;
      if (!isTransient || signal.aborted) {
        return logger.warn(
          `${message}. ${payloads.length} messages of "${queue}" were handled, but will be delivered again.`,
        );
      }
      if (code !== "connection") {
        await sleep(backoff(attempt), { signal });
      }
    }
  }
}
