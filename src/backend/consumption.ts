import type { Bus, Receipt } from "../bus/mod.ts";
import type { Logger } from "../logger.ts";
import type { Batch, Failure, Inbox } from "../redis/mod.ts";
import { isTracing } from "../telemetry/mod.ts";
import type { Audience } from "./audience.ts";
import { sleep } from "../waiting.ts";
import { isBad, type Tally } from "./tally.ts";

/** So many bytes may be in hand before no more are taken. */
const MAX_BYTES = 64 * 2 ** 20;

/** What a {@linkcode Consumption} works with. */
export interface ConsumptionOptions {
  /** Where batches come from. */
  readonly inbox: Inbox;
  /** Where they are posted. */
  readonly bus: Bus;
  /** Whether anybody is there to consume for. */
  readonly audience: Audience;
  /** Counts what becomes of them. */
  readonly tally: Tally;
  /** The only target that is taken; `undefined` takes all. */
  readonly target: string | undefined;
  /** The limit for one message in bytes, where there is a special one. */
  readonly maxSize: number | undefined;
  /** Whether a batch that nobody is there for any more may be left to come again. */
  readonly isRedelivered: boolean;
  /** Aborted when the backend is to stop. */
  readonly signal: AbortSignal;
  /** Where to report. */
  readonly logger: Logger;
}

/** Posts the batches of an inbox to the bus, and settles each when it was handled. */
export class Consumption {
  readonly #options: ConsumptionOptions;
  readonly #inHand = new Set<Promise<void>>();
  #bytesInHand = 0;

  /** @param options What it works with. */
  constructor(options: ConsumptionOptions) {
    this.#options = options;
  }

  /** Works until the inbox is stopped. */
  async run(): Promise<void> {
    const { inbox, bus, audience, target, maxSize, signal } = this.#options;
    const stopping = sleep(undefined, { signal, unref: true });
    for (;;) {
      await audience.present();
      const batch = await inbox.next();
      if (batch === undefined) return;
      // The last subscriber may have left while the batch was on its way.
      await audience.present();
      if (!audience.isPresent && this.#options.isRedelivered) continue;
      const posted = bus.post(batch.payloads, {
        redelivered: batch.deliveries,
        ...(target !== undefined && { target }),
        ...(maxSize !== undefined && { maxSize }),
        ...(isTracing() && {
          reception: { queue: batch.queue, time: Date.now() / 1000 },
        }),
      });
      this.#hold(batch, posted.then((receipt) => this.#settle(batch, receipt)));
      await posted;
      while (this.#bytesInHand > MAX_BYTES && !signal.aborted) {
        await Promise.race([...this.#inHand, stopping]);
      }
    }
  }

  /**
   * Waits until nothing is in hand any more.
   *
   * @param timeout How long to wait at most, in seconds.
   * @returns Whether nothing is.
   */
  async settled(timeout: number): Promise<boolean> {
    const end = new AbortController();
    Promise.allSettled(this.#inHand).then(() => end.abort());
    return await sleep(timeout, { signal: end.signal });
  }

  /** Remembers a batch until the work on it is done. */
  #hold(batch: Batch, work: Promise<void>): void {
    const bytes = batch.payloads.reduce((sum, { length }) => sum + length, 0);
    this.#bytesInHand += bytes;
    this.#inHand.add(work);
    work.catch(() => {}).finally(() => {
      this.#bytesInHand -= bytes;
      this.#inHand.delete(work);
    });
  }

  async #settle(batch: Batch, receipt: Receipt): Promise<void> {
    const { tally, logger, signal } = this.#options;
    const failures = onePerMessage(await receipt.handled);
    tally.add(batch, failures);
    const bad = failures.filter(({ reason }) => isBad(reason));
    if (bad.length > 0) {
      logger.warn(
        `${bad.length} of ${batch.payloads.length} messages from "${batch.queue}" were not taken: ${
          bad[0]!.error.message
        }.`,
      );
    }
    // What is given up because the backend stops has not failed.
    const isReturned = ({ reason }: Failure): boolean =>
      reason === "dropped" && signal.aborted;
    await batch.settle(
      failures.filter((failure) => !isReturned(failure)),
      failures.filter(isReturned),
    );
  }
}

/** Several subscribers may have failed with one message; it comes back once. */
function onePerMessage(
  failures: Awaited<Receipt["handled"]>,
): readonly Failure[] {
  const first = new Map<number, Failure>();
  for (const { index, reason, error } of failures) {
    if (first.has(index)) continue;
    // Until it is put back without being counted, it is as good as dropped.
    first.set(index, {
      index,
      reason: reason === "left" ? "dropped" : reason,
      error,
    });
  }
  return [...first.values()];
}
