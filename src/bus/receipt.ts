/** Why a message was not handled, as the receipt of {@linkcode Bus.post} tells. */
export type FailureReason =
  /** It is not a message. */
  | "malformed"
  /** It is larger than the limit. */
  | "too-large"
  /** It is meant for another device. */
  | "foreign"
  /** A handler threw, rejected, or took longer than its time limit. */
  | "failed"
  /** A subscriber went away before it had handled the message. */
  | "dropped";

/**
 * A message that was not handled, or not by everybody, as the receipt of
 * {@linkcode Bus.post} tells.
 */
export interface Failure {
  /** The message's place in the post, from 0. */
  readonly index: number;
  /** What kind of failure it is. */
  readonly reason: FailureReason;
  /** What happened. */
  readonly error: Error;
  /** The label of the subscriber that failed, where it was one. */
  readonly subscriber?: string;
}

/**
 * What {@linkcode Bus.post} resolves with: a promise of what becomes of the
 * messages.
 *
 * @example
 * ```ts
 * import { Bus } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/receipt", deviceId: "livingroom" });
 * bus.registerHandler("custom.Motion", () => {});
 * const receipt = await bus.post({ type: "event", args: { type: "custom.Motion" } });
 * assert.deepEqual(await receipt.handled, []); // nothing has failed
 * ```
 */
export class Receipt {
  #open = 1;
  readonly #failures: Failure[] = [];
  readonly #known = new Set<string>();
  readonly #handled = Promise.withResolvers<readonly Failure[]>();

  /**
   * Resolves, and never rejects, when every subscriber is done with all
   * messages of the post: with an empty list when all were handled, otherwise
   * with the failures, of which a message may have several.
   */
  get handled(): Promise<readonly Failure[]> {
    return this.#handled.promise;
  }

  /** Announces one more part, for which {@linkcode Receipt.settle} will be called. */
  expect(): void {
    this.#open++;
  }

  /**
   * Takes the failures of one part, and resolves when it was the last.
   *
   * @param failures The failures; none where all was handled.
   */
  settle(failures: readonly Failure[]): void {
    for (const failure of failures) {
      if (failure.subscriber === undefined) {
        // What is wrong with the message itself, every subscriber finds out.
        const key = `${failure.index} ${failure.reason}`;
        if (this.#known.has(key)) continue;
        this.#known.add(key);
      }
      this.#failures.push(failure);
    }
    if (--this.#open === 0) this.#handled.resolve(this.#failures);
  }
}
