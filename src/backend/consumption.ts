import { postBatch } from "../bus/bus.ts";
import { toError } from "../bus/errors.ts";
import type { FrameOptions } from "../bus/frame.ts";
import type { Bus, Receipt } from "../bus/mod.ts";
import type { Logger } from "../logger.ts";
import type { Request } from "../message/mod.ts";
import type { OnBatch, TakenBatch } from "../redis/consumer.ts";
import type { Batch, BatchFailure } from "../redis/mod.ts";
import { isTracing } from "../telemetry/mod.ts";
import { isForNamed, retryFor } from "../bus/receipt.ts";
import type { MissedMessage } from "../redis/named_subscribers.ts";
import { settledWithin } from "../waiting.ts";
import { refusedRequest } from "./message_forms.ts";

/**
 * Counts of a backend since it was made, and how it stands, as
 * {@linkcode RedisBackend.stats} gives them.
 */
export type BackendStats = {
  /** Messages that came from Redis; a message that comes again counts again. */
  readonly received: number;
  /** Messages that every subscriber has handled. */
  readonly delivered: number;
  /** Messages for another device. */
  readonly foreign: number;
  /** Messages that could not be built, or were too large. */
  readonly malformed: number;
  /** Messages that were put into the dead letters. */
  readonly deadLettered: number;
  /** Messages that had been delivered before. */
  readonly redelivered: number;
  /** The number of times that the connection was lost and found again. */
  readonly reconnects: number;
  /** Messages that subscribers are busy with at the moment. */
  readonly inFlight: number;
  /** Threads that subscribe to the bus at the moment. */
  readonly subscribers: number;
  /** Requests that registered actions, or errors, have answered. */
  readonly answered: number;
  /** Registered actions that are being executed at the moment. */
  readonly actionsRunning: number;
  /** Requests that wait until one of these has finished. */
  readonly actionsWaiting: number;
};

/** From so many bytes a message on, memory is given back without the garbage collector. */
const LARGE = 2 ** 11;

type HandledCounts = Record<"delivered" | "foreign" | "malformed", number>;

/** Counts what becomes of the messages of each queue. */
export class Counters {
  readonly #queues = new Map<string, HandledCounts>();

  /**
   * Counts a batch.
   *
   * @param failures Its messages that were not handled, each once.
   */
  add({ queue, payloads }: Batch, failures: readonly BatchFailure[]): void {
    const handled = this.#queues.get(queue) ?? nothing();
    this.#queues.set(queue, handled);
    handled.delivered += payloads.length - failures.length;
    for (const { reason } of failures) {
      if (reason === "foreign") handled.foreign++;
      else if (isBad(reason)) handled.malformed++;
    }
  }

  /** Sums up what became of the messages of a queue, or of all of them. */
  of(queue?: string): Readonly<HandledCounts> {
    const sum = nothing();
    for (const [name, handled] of this.#queues) {
      if (queue !== undefined && name !== queue) continue;
      sum.delivered += handled.delivered;
      sum.foreign += handled.foreign;
      sum.malformed += handled.malformed;
    }
    return sum;
  }
}

/** Says where a {@linkcode Consumption} posts batches, and which. */
interface ConsumptionOptions {
  /** The bus that they are posted on. */
  readonly bus: Bus;
  /** Counts what becomes of them. */
  readonly counters: Counters;
  /** The device whose messages are that do not say so. */
  readonly deviceId: string;
  /** The only target that is taken; `undefined` takes all. */
  readonly target: string | undefined;
  /** The limit for one message in bytes, where there is a special one. */
  readonly maxSize: number | undefined;
  /** For how many seconds a message is valid, in all queues or in some. */
  readonly maxAge: number | Readonly<Record<string, number>> | undefined;
  /** Gives whole numbers beyond 2^53 as big integers. */
  readonly bigint: boolean;
  /** Aborted when the backend is to stop. */
  readonly signal: AbortSignal;
  /** Answers a request that cannot be executed. */
  readonly refuse: (request: Request, error: Error) => Promise<unknown>;
  /** The logger to report to. */
  readonly logger: Logger;
}

/** Posts batches to the bus, and settles each when it was handled. */
export class Consumption {
  readonly #options: ConsumptionOptions;
  /** Holds for every batch. */
  readonly #building: FrameOptions;
  /** True where somebody collects spans: who does says so before the start. */
  readonly #isTracing: boolean = isTracing();
  /**
   * The number of batches in hand. There is no map of them: when entries come and
   * go, V8 makes it anew, and what it was before refers to what it is now. Once
   * one of these is old, each of them stays with its batches until all of the
   * memory is looked through, which costs as much as the messages.
   */
  #inHand = 0;
  #settled = Promise.withResolvers<void>();
  readonly #failure = Promise.withResolvers<never>();

  constructor(options: ConsumptionOptions) {
    this.#options = options;
    const { deviceId, target, maxSize, bigint } = options;
    this.#building = {
      deviceId,
      ...(target !== undefined && { target }),
      ...(maxSize !== undefined && { maxSize }),
      ...(bigint && { bigint }),
    };
    this.#failure.promise.catch(() => {});
  }

  /** Rejects when the bus takes no messages any more. */
  get failed(): Promise<never> {
    return this.#failure.promise;
  }

  /**
   * Posts a batch, and settles it in the background when it was handled.
   *
   * @returns `true` when the next one may come, or `false` where the bus takes
   * none.
   */
  readonly post: OnBatch = async (batch) => {
    const { bus, maxAge: ages } = this.#options;
    const maxAge = typeof ages === "object" ? ages[batch.queue] : ages;
    const posted = postBatch(bus, batch.payloads, {
      ...this.#building,
      redelivered: batch.deliveries,
      identities: { ...batch.identities, first: 0 },
      retries: batch.retries,
      ...(maxAge !== undefined && { maxAge }),
      ...(this.#isTracing && {
        reception: { queue: batch.queue, time: Date.now() / 1000 },
      }),
    }, batch.subscribers);
    this.#inHand++;
    void this.#settle(batch, posted);
    try {
      await posted;
      return true;
    } catch (error) {
      this.#failure.reject(error);
      return false;
    }
  };

  /**
   * Waits until nothing is in hand any more.
   *
   * @param timeout How long to wait at most, in seconds.
   * @returns Whether nothing is.
   */
  async settled(timeout: number): Promise<boolean> {
    if (this.#inHand === 0) return true;
    return await settledWithin(this.#settled.promise, timeout);
  }

  /** Settles a batch when its messages are handled. Never rejects. */
  async #settle(batch: TakenBatch, posted: Promise<Receipt>): Promise<void> {
    let receipt: Receipt | undefined;
    try {
      receipt = await posted;
      const handled = await receipt.handled;
      if (handled.length + receipt.missed.length > 0) {
        return await this.#settleInParts(batch, receipt, handled);
      }
      this.#options.counters.add(batch, []);
      await batch.settle();
      if (batch.bytes >= LARGE * batch.payloads.length) batch.free();
    } catch (error) {
      // What was not posted goes back to the queue, and `failed` says why.
      if (receipt !== undefined) {
        this.#options.logger.error(
          `A batch of "${batch.queue}" could not be settled, and comes again after the end: ${
            toError(error).message
          }.`,
        );
      }
    } finally {
      if (--this.#inHand === 0) {
        this.#settled.resolve();
        this.#settled = Promise.withResolvers();
      }
    }
  }

  /** Settles a batch of which somebody has not handled everything. */
  async #settleInParts(
    batch: TakenBatch,
    receipt: Receipt,
    handled: Awaited<Receipt["handled"]>,
  ): Promise<void> {
    const { counters, signal } = this.#options;
    const answered = await this.#refuse(batch, handled);
    const failures = onePerMessage(handled, receipt)
      .filter(({ index }) => !answered.has(index));
    counters.add(batch, failures);
    // What is given up because the backend stops has not failed.
    const isReturned = ({ reason }: BatchFailure): boolean =>
      (reason === "dropped" || reason === "left") && signal.aborted;
    // Next time this process may be another one.
    const returned = failures.filter(isReturned).map((failure) => ({
      ...failure,
      retry: isForNamed(failure.retry ?? "") ? failure.retry : undefined,
    }));
    await batch.settle(
      failures.filter((failure) => !isReturned(failure)),
      returned,
      missedIn(receipt, handled, returned),
    );
  }

  /**
   * Tells those who wait for a response to what is no message, or has expired.
   *
   * @returns The requests that have expired: an answer is all they can get.
   */
  async #refuse(
    { payloads }: TakenBatch,
    failures: Awaited<Receipt["handled"]>,
  ): Promise<ReadonlySet<number>> {
    const { deviceId, target, refuse, logger } = this.#options;
    // What a subscriber has found to be wrong is the subscriber's to answer.
    const errors = new Map(
      failures
        .filter(({ reason, subscriber }) =>
          (isBad(reason) || reason === "expired") && !subscriber
        )
        .map((failure) => [failure.index, failure]),
    );
    const answered = new Set<number>();
    await Promise.all([...errors].map(async ([index, { reason, error }]) => {
      const request = refusedRequest(payloads[index]!, deviceId);
      const isOurs = target === undefined || request?.target === target;
      if (request === undefined || !isOurs) return;
      try {
        await refuse(request, error);
        if (reason === "expired") answered.add(index);
      } catch (error) {
        logger.warn(
          `A request that is none could not be answered: ${
            toError(error).message
          }.`,
        );
      }
    }));
    return answered;
  }
}

/**
 * Picks one failure for each message, since it comes back once: one that counts,
 * where there is one. It says which subscribers still have to get the message.
 */
function onePerMessage(
  failures: Awaited<Receipt["handled"]>,
  receipt: Receipt,
): readonly BatchFailure[] {
  const picked = new Map<number, BatchFailure>();
  for (const { index, reason, error } of failures) {
    const before = picked.get(index)?.reason;
    if (before !== undefined && before !== "left") continue;
    picked.set(index, { index, reason, error, retry: receipt.retry(index) });
  }
  return [...picked.values()];
}

/**
 * Picks what waits for a named subscriber: neither what is wrong with a message
 * itself, nor what goes back for everybody.
 */
function missedIn(
  { missed }: Receipt,
  handled: Awaited<Receipt["handled"]>,
  returned: readonly BatchFailure[],
): readonly MissedMessage[] {
  if (missed.length === 0) return [];
  const others = new Set([
    ...handled.filter(({ subscriber }) => subscriber === undefined),
    ...returned.filter(({ retry }) => retry === undefined),
  ].map(({ index }) => index));
  return missed.filter(({ index }) => !others.has(index))
    .map((one) => ({ ...one, retry: retryFor(one.subscriber) }));
}

/** Tells whether a message was none, or too large to be one. */
function isBad(reason: BatchFailure["reason"]): boolean {
  return reason === "malformed" || reason === "too-large";
}

function nothing(): HandledCounts {
  return { delivered: 0, foreign: 0, malformed: 0 };
}
