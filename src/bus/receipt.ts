import type { Chunk } from "./frame.ts";

/**
 * A message that was not handled, or not by everybody, as the receipt of
 * {@linkcode Bus.post} tells.
 */
export interface Failure {
  /** The message's place in the post, from 0. */
  readonly index: number;
  /**
   * The kind of the failure:
   *
   * - `malformed`: it is not a message.
   * - `too-large`: it is larger than the limit.
   * - `foreign`: it is meant for another device.
   * - `expired`: it is older than it may be.
   * - `failed`: a handler threw, rejected, or took longer than its time limit.
   * - `dropped`: a subscriber was terminated, or gave no sign of life, while it
   *   was at work on the message.
   * - `left`: a subscriber left in order, or was lost before it had begun:
   *   nobody is to blame.
   */
  readonly reason:
    | "malformed"
    | "too-large"
    | "foreign"
    | "expired"
    | "failed"
    | "dropped"
    | "left";
  /** The error that says what happened. */
  readonly error: Error;
  /** The label of the subscriber that failed, where it was one. */
  readonly subscriber?: string;
  /** Tells which of the bus's subscriptions has failed, or who was in a thread that was lost; {@linkcode Receipt.retry} reads it. */
  readonly subscription?: string;
}

/** A message that a named subscriber has missed, because it was not there. */
interface Missed {
  /** The message's place in the post, from 0. */
  readonly index: number;
  /** The subscriber's name. */
  readonly subscriber: string;
}

/** Takes note of what a thread is at work on, so that it is known should it be lost. */
export interface Work {
  /**
   * Notes that a handler is about to be called with a message.
   *
   * @returns Whether whoever has sent it still waits for it.
   */
  hand(index: number): boolean;
  /**
   * Notes that a handler goes on with a message after it has returned.
   *
   * @returns What {@linkcode Work.end} takes.
   */
  begin(index: number): number;
  /** Notes that such a handler is done. */
  end(token: number): void;
  /**
   * Notes that a message has failed, until the report is out.
   *
   * @param isLeft Whether it was only given back.
   */
  fail(index: number, isLeft: boolean): void;
}

/**
 * Tells what becomes of posted messages: {@linkcode Bus.post} resolves with it.
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
  /**
   * Resolves, and never rejects, when every subscriber is done with all
   * messages of the post: with an empty list when all were handled, otherwise
   * with the failures, of which a message may have several.
   */
  readonly handled: Promise<readonly Failure[]>;
  /** The named subscribers that should get the messages, in this post or later. */
  expected: readonly string[] = [];
  /**
   * Messages that one of these has missed, because it was not there.
   *
   * @internal
   */
  readonly missed: Missed[] = [];
  /**
   * Tells when messages were handed out, so that a retry can tell who has
   * subscribed since: `end` is the place behind the last of them, and `stamp` names
   * the bus and the last subscription before.
   *
   * @internal
   */
  readonly handed: { readonly end: number; readonly stamp: string }[] = [];
  // The first one stands for handing the messages out.
  #busy = 1;
  readonly #work: Work | undefined;
  readonly #open: Set<Receipt> | undefined;
  readonly #failures: Failure[] = [];
  /** The same by the place of their message, once somebody has asked. */
  #byIndex: Map<number, Failure[]> | undefined;
  readonly #known = new Set<string>();
  readonly #resolve: (failures: readonly Failure[]) => void;

  /**
   * Begins to collect what becomes of some messages.
   *
   * @param work Takes note of what is going on, so that whoever has sent the
   * messages here knows it should this thread be lost; left out for messages of
   * this thread.
   * @param open Has this receipt in it until everybody is finished.
   */
  constructor(work?: Work, open?: Set<Receipt>) {
    this.#work = work;
    this.#open = open;
    open?.add(this);
    const handled = Promise.withResolvers<readonly Failure[]>();
    this.handled = handled.promise;
    this.#resolve = handled.resolve;
  }

  /**
   * Tells who still has to get a message that has failed, for the option
   * `retries` of {@linkcode Bus.post}: those who have failed with it, and who
   * has subscribed since. It holds for as long as the bus is open in this
   * process; where only named subscribers have failed, it holds for good.
   *
   * @param index The message's place in the post, from 0.
   * @returns A short text in ASCII; `undefined` where everybody has to.
   *
   * @example
   * ```ts
   * import { Bus } from "@platypush/redis/bus";
   * import assert from "node:assert/strict";
   *
   * await using bus = new Bus({ name: "example/retry", deviceId: "livingroom" });
   * const seen: string[] = [];
   * bus.registerHandler("custom.Motion", () => seen.push("well"));
   * bus.registerHandler("custom.Motion", () => {
   *   if (seen.push("badly") === 2) throw new Error("no light bulb");
   * });
   * const motion = { type: "event", args: { type: "custom.Motion" } };
   * const receipt = await bus.post(motion);
   * await receipt.handled;
   * await bus.post(motion, { retries: [receipt.retry(0)] });
   * assert.deepEqual(seen, ["well", "badly", "badly"]);
   * ```
   */
  retry(index: number): string | undefined {
    this.#byIndex ??= Map.groupBy(this.#failures, (failure) => failure.index);
    const failures = this.#byIndex.get(index) ?? [];
    const stamp = this.handed.find(({ end }) => index < end)?.stamp;
    // What is wrong with the message itself is for everybody to find out again.
    const isWhole = failures.some(({ subscription }) =>
      subscription === undefined
    );
    if (failures.length === 0 || isWhole || stamp === undefined) {
      return undefined;
    }
    const subscriptions = failures.map(({ subscription }) => subscription);
    return [stamp, ...new Set(subscriptions)].join(" ");
  }

  /**
   * Notes which of the subscribers that should get some messages are not there.
   *
   * @param chunk The messages, as they are posted together.
   * @param present The names of the subscribers that are there.
   * @param bus Names the bus, as long as anybody in the process has it open.
   *
   * @internal
   */
  noteMissed(
    { first, end, options }: Chunk,
    present: ReadonlySet<string>,
    bus: string | undefined,
  ): void {
    for (const subscriber of this.expected) {
      const name = `=${subscriber}`;
      if (present.has(name)) continue;
      for (let index = first; index < end; index++) {
        const text = options.retries?.[index - first];
        const retry = typeof text === "string"
          ? Retry.read(text, bus)
          : undefined;
        if (retry?.concerns(0, "", name) === false) continue;
        this.missed.push({ index, subscriber });
      }
    }
  }

  /**
   * Notes that handlers are about to be called with a message.
   *
   * @param index The message's place; one behind the last when all were called.
   * @returns Whether whoever has sent it still waits for it.
   */
  hand(index: number): boolean {
    return this.#work === undefined || this.#work.hand(index);
  }

  /**
   * Notes that somebody is busy until it {@linkcode Receipt.finish}es.
   *
   * @param index The message, where it is a handler that is busy with one.
   * @returns What `finish` takes.
   */
  begin(index?: number): number {
    this.#busy++;
    return index === undefined || this.#work === undefined
      ? -1
      : this.#work.begin(index);
  }

  /**
   * Notes a failure. One that is the message's own fault is kept once, although
   * every subscriber finds it out.
   *
   * @param failure The failure, with its place in the post.
   */
  fail(failure: Failure): void {
    if (failure.subscriber === undefined) {
      const key = `${failure.index} ${failure.reason}`;
      if (this.#known.has(key)) return;
      this.#known.add(key);
    }
    this.#failures.push(failure);
    this.#byIndex = undefined;
    this.#work?.fail(failure.index, failure.reason === "left");
  }

  /**
   * Notes that somebody is finished, or that all messages are handed out.
   *
   * @param token What `begin` has returned, if it was called.
   */
  finish(token = -1): void {
    if (token >= 0) this.#work!.end(token);
    if (--this.#busy > 0) return;
    this.#open?.delete(this);
    this.#resolve(this.#failures);
  }
}

/** Tells whether a text of {@linkcode Receipt.retry} names its subscribers, so that it holds for good. */
export function isForNamed(text: string): boolean {
  return text.split(" ").slice(2).every((name) => name.startsWith("="));
}

/** Addresses a message to one named subscriber, on whatever bus. */
export function retryFor(subscriber: string): string {
  return `- 0 =${subscriber}`;
}

/** Who gets a message that has failed once: those who have failed with it, and who has subscribed since. */
export class Retry {
  readonly #since: number;
  readonly #subscriptions: ReadonlySet<string>;

  private constructor(since: number, subscriptions: ReadonlySet<string>) {
    this.#since = since;
    this.#subscriptions = subscriptions;
  }

  /**
   * Reads what {@linkcode Receipt.retry} has written.
   *
   * @param bus Names the bus, as long as anybody in the process has it open.
   * @returns `undefined` when everybody gets the message: the text is another
   * bus's, such as that of a process that has ended, and not of named
   * subscribers alone.
   */
  static read(text: string, bus: string | undefined): Retry | undefined {
    const [name, since, ...subscriptions] = text.split(" ");
    if (name !== bus) {
      return isForNamed(text)
        ? new Retry(Infinity, new Set(subscriptions))
        : undefined;
    }
    if (!/^\d+$/.test(since ?? "")) return undefined;
    return new Retry(Number(since), new Set(subscriptions));
  }

  /**
   * Tells whether a subscription gets the message.
   *
   * @param thread The id of the thread that it is in.
   * @param name The name of its subscriber, see {@linkcode Member.names}.
   */
  concerns(serial: number, thread: string, name: string): boolean {
    return serial > this.#since || this.#subscriptions.has(String(serial)) ||
      this.#subscriptions.has(thread) || this.#subscriptions.has(name);
  }
}
