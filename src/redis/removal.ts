import type { Rows } from "../options.ts";
import { FUNCTION, TEXT_OR_BYTES } from "../kinds.ts";
import type { DeadLetterFilter } from "./dead_letter.ts";
import type { IdCounts } from "./id_counts.ts";
import { RedisError, restate } from "./redis_error.ts";

/** Says what {@linkcode DeadLetters.requeue} and {@linkcode DeadLetters.purge} tell. */
interface RemoveOptions {
  /** Called with the number that is done, and the part that was looked at, up to 1. */
  onProgress?: (count: number, part: number) => void;
}

/** Says what {@linkcode DeadLetters.requeue} tells, and what it puts into the queue. */
export interface RequeueOptions extends RemoveOptions {
  /** Put into the queue in place of the message of each dead letter. */
  payload?: string | Uint8Array;
}

export const REMOVE_OPTIONS: Rows<RemoveOptions> = { onProgress: FUNCTION };
export const REQUEUE_OPTIONS: Rows<RequeueOptions> = {
  ...REMOVE_OPTIONS,
  payload: TEXT_OR_BYTES,
};

/** Tells how far requeueing or purging is. */
export interface Removal {
  readonly action: "requeue" | "purge";
  readonly filter: DeadLetterFilter;
  /** Put into the queue in place of the messages. */
  readonly payload: Uint8Array | undefined;
  /** The ids that are still looked for, each as often as it was named; `undefined` where none was. */
  readonly named: IdCounts | undefined;
  /** The number of those that are gone. */
  count: number;
  /** Those of which only a lost answer could tell that they are gone. */
  readonly doubtful: IdCounts;
}

/** Counts those that are gone, or may be. */
export function countRemoved({ count, doubtful }: Removal): number {
  return count + doubtful.total;
}

/** Tells of how many dead letters had been dealt with before an error. */
export function tellExtent(error: unknown, count: number): unknown {
  if (count === 0 || !(error instanceof RedisError)) return error;
  const extent = error.mayHaveRun ? `at least ${count}` : `${count}`;
  return restate(error, { note: `It was done for ${extent} of them before` });
}
