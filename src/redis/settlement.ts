import type { Failure } from "./batch.ts";
import { encodeDeadLetter } from "./dead_letter.ts";
import type { ReaderOptions } from "./queue_reader.ts";

/** How a message was delivered before. */
export interface History {
  /** How often. */
  readonly deliveries: number;
  /** How often its handling failed. */
  readonly failures: number;
  /** How often its consumer died while it was in hand. */
  readonly deaths: number;
  /** How often it did so while it had nothing else in hand. */
  readonly crashes: number;
}

/** What becomes of the messages of a batch that failed. */
export interface Settlement {
  /** The same in the words of the script `settle`. */
  readonly args: readonly string[];
  /** How many are tried again. */
  readonly retried: number;
  /** How many become dead letters. */
  readonly buried: number;
  /** When the first one is tried again, in milliseconds. */
  readonly shortestPause: number;
}

/** The longest pause before a message is tried again, in seconds. */
const LONGEST_PAUSE = 300;
/** The history of a message that was never delivered. */
export const FIRST_TIME: History = {
  deliveries: 0,
  failures: 0,
  deaths: 0,
  crashes: 0,
};

/** Once may be chance: consumers are also ended while they handle something harmless. */
const CRASHES = 2;

/**
 * Whether a message may be what its consumers die of. Many others were in hand
 * with it, so from now on it is handed out alone.
 */
export function isSuspect(history: History, maxDeliveries: number): boolean {
  return history.deaths >= Math.max(1, maxDeliveries - 1);
}

/** Whether it is what its consumers die of. */
export function isConvicted(history: History): boolean {
  return history.crashes >= CRASHES;
}

/** Writes `deliveries.failures.deaths.crashes`. */
export function formatHistory(history: History): string {
  const { deliveries, failures, deaths, crashes } = history;
  return `${deliveries}.${failures}.${deaths}.${crashes}`;
}

/** Reads `index:deliveries.failures.deaths.crashes …`, with or without a mark. */
export function parseHistories(text: string): Map<number, History> {
  const histories = new Map<number, History>();
  if (text === "") return histories;
  for (const item of text.replace(/!$/, "").split(" ")) {
    const [index, deliveries, failures, deaths, crashes] = item.split(/[:.]/)
      .map(Number) as [number, number, number, number, number];
    histories.set(index, { deliveries, failures, deaths, crashes });
  }
  return histories;
}

/**
 * Decides what becomes of messages that failed.
 *
 * @param failures The messages that failed.
 * @param payloads All messages of the batch.
 * @param histories How some of them were delivered before.
 * @param name Names a message by its index.
 * @param options The rules.
 */
export function planSettlement(
  failures: readonly Failure[],
  payloads: readonly Uint8Array[],
  histories: ReadonlyMap<number, History>,
  name: (index: number) => string,
  options: Pick<
    ReaderOptions,
    "queue" | "maxDeliveries" | "retryPause" | "foreign"
  >,
): Settlement {
  const { queue, maxDeliveries, retryPause, foreign } = options;
  const args: string[] = [];
  let retried = 0;
  let buried = 0;
  let shortestPause = Infinity;
  for (const { index, reason, error } of failures) {
    const before = histories.get(index) ?? FIRST_TIME;
    // What consumers die of is not delivered once more.
    const deliveries = before.deliveries + (reason === "crashed" ? 0 : 1);
    const failed = before.failures + 1;
    const mayRecover = reason === "failed" || reason === "dropped";
    if (mayRecover && failed < maxDeliveries) {
      const seconds = Math.min(
        retryPause * 2 ** before.failures,
        LONGEST_PAUSE,
      );
      const pause = Math.ceil(seconds * 1000);
      shortestPause = Math.min(shortestPause, pause);
      const history = formatHistory({
        deliveries,
        failures: failed,
        deaths: before.deaths,
        crashes: before.crashes,
      });
      args.push("retry", String(index), history);
      args.push(String(pause), name(index));
      retried++;
    } else if (reason !== "foreign" || foreign === "dead-letter") {
      const letter = {
        id: name(index),
        queue,
        reason,
        error: error.message,
        time: Date.now() / 1000,
        deliveries,
        payload: payloads[index]!,
      };
      args.push("bury", encodeDeadLetter(letter));
      buried++;
    }
  }
  return { args, retried, buried, shortestPause };
}
