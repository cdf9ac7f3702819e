/**
 * Waiting: for a time, for something that may take too long, and before trying
 * again. Times are seconds. Every wait can be ended by a signal.
 *
 * @module
 */

import { setImmediate } from "node:timers/promises";

/** The longest time that a timer takes, in milliseconds; one beyond it is over at once. */
export const LONGEST_TIMER: number = 2 ** 31 - 1;

/** Gives the milliseconds for a timer; Deno warns of what is over before it begins. */
function timerOf(seconds: number): number {
  return Math.max(0, Math.min(seconds * 1000, LONGEST_TIMER));
}

/** Says what ends a wait early, and whether it keeps the process alive. */
export interface WaitOptions {
  /** Ends the wait before its time. */
  readonly signal?: AbortSignal | undefined;
  /** True if the process may end meanwhile. Default: `false`. */
  readonly daemon?: boolean | undefined;
}

/**
 * Waits.
 *
 * @param duration How long, in seconds; `undefined` and everything beyond 24
 * days mean until the signal.
 * @param options The signal, and whether the process is kept alive.
 * @returns Whether the signal ended the wait.
 */
export function sleep(
  duration: number | undefined,
  { signal, daemon = false }: WaitOptions = {},
): Promise<boolean> {
  if (signal?.aborted) return Promise.resolve(true);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const milliseconds = timerOf(duration ?? Infinity);
  const finish = (end?: globalThis.Event): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", finish);
    resolve(end !== undefined);
  };
  const timer = milliseconds < LONGEST_TIMER
    ? setTimeout(finish, milliseconds)
    // A wait without an end has a timer too: it keeps the process alive.
    : setInterval(() => {}, LONGEST_TIMER);
  if (daemon) Deno.unrefTimer(timer);
  signal?.addEventListener("abort", finish);
  return promise;
}

/**
 * Calls a function at a time that may be set anew until then. The process may end
 * before.
 */
export class Alarm implements Disposable {
  /** When it goes off, by `performance.now()`; `Infinity` while it is not set. */
  at: number = Infinity;
  readonly #ring: (due: number) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  /**
   * @param ring Called each time that it goes off, with the time at which it
   * was to do so.
   */
  constructor(ring: (due: number) => void) {
    this.#ring = ring;
  }

  /**
   * Sets it anew.
   *
   * @param delay In how many seconds it goes off, 24 days at most; `Infinity` for
   * not at all.
   */
  set(delay: number): void {
    clearTimeout(this.#timer);
    this.at = Infinity;
    if (delay === Infinity || this.#isOver) return;
    const due = this.at = performance.now() + delay * 1000;
    this.#timer = setTimeout(() => {
      this.at = Infinity;
      this.#ring(due);
    }, Math.ceil(timerOf(delay)));
    Deno.unrefTimer(this.#timer);
  }

  /** Sets it anew, unless it goes off sooner than that anyway. */
  advance(delay: number): void {
    if (performance.now() + delay * 1000 < this.at) this.set(delay);
  }

  /** From then on it never goes off. */
  [Symbol.dispose](): void {
    this.set(Infinity);
    this.#isOver = true;
  }
}

/** Keeps the process alive until the end of the block, which promises alone do not. */
export function keepAwake(): Disposable {
  const timer = setInterval(() => {}, LONGEST_TIMER);
  return { [Symbol.dispose]: () => clearInterval(timer) };
}

/**
 * Calls a function when a signal is aborted, and at once where it was before.
 *
 * @param signal The signal; without one, nothing is called.
 * @param act Called without arguments, once at most.
 * @returns Ends it: from then on, nothing is called.
 */
export function whenAborted(
  signal: AbortSignal | undefined,
  act: () => unknown,
): Disposable {
  const listener = (): void => void act();
  if (signal?.aborted) act();
  else signal?.addEventListener("abort", listener, { once: true });
  return {
    [Symbol.dispose]: () => signal?.removeEventListener("abort", listener),
  };
}

/**
 * Waits for a promise, but not beyond a time limit.
 *
 * @param promise What to wait for. A rejection counts as settled.
 * @param timeout How long, in seconds; `undefined` waits until the signal.
 * @param options The signal, and whether the process is kept alive.
 * @returns Whether the promise was settled in time.
 */
export async function settledWithin(
  promise: Promise<unknown>,
  timeout: number | undefined,
  { signal, daemon }: WaitOptions = {},
): Promise<boolean> {
  const settled = new AbortController();
  promise.catch(() => {}).finally(() => settled.abort());
  const end = signal === undefined
    ? settled.signal
    : AbortSignal.any([signal, settled.signal]);
  await sleep(timeout, { signal: end, daemon });
  return settled.signal.aborted;
}

/**
 * Waits for a promise, unless a signal is aborted first. What becomes of the
 * promise afterwards is passed over.
 *
 * @returns The promise's value.
 * @throws What the promise rejects with, or the signal's reason.
 */
export async function unlessAborted<Value>(
  promise: Promise<Value>,
  signal: AbortSignal,
): Promise<Value> {
  const aborted = Promise.withResolvers<never>();
  using _watch = whenAborted(signal, () => aborted.reject(signal.reason));
  return await Promise.race([aborted.promise, promise]);
}

/**
 * Does something that may take a limited time.
 *
 * @param limit How long it may take, in seconds.
 * @param signal Ends it before that.
 * @param work Called with a signal that is aborted with the other one, and when
 * the time is over.
 * @returns What `work` returns.
 */
export async function withTimeLimit<Value>(
  limit: number,
  signal: AbortSignal | undefined,
  work: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  const end = new AbortController();
  const abort = (): void => end.abort();
  using _watch = whenAborted(signal, abort);
  const timer = setTimeout(abort, timerOf(limit));
  try {
    return await work(end.signal);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Lets the rest of this turn of the event loop go first: timers and sockets have
 * their turn, and the client of Redis writes the commands of this one.
 */
export const nextTurn: () => Promise<void> = setImmediate;

/** Says how the pauses between attempts grow, in seconds. */
interface Backoff {
  /** The first pause. Default: 0.05. */
  readonly first?: number;
  /** The longest pause. Default: 2. */
  readonly longest?: number;
}

/**
 * Tells how long to pause before the next attempt, in seconds: twice as long
 * each time, less up to a quarter of chance, so that clients do not return all
 * at once.
 *
 * @param attempt How many attempts came before, less one: 0 for the first
 * pause.
 * @param pauses The first pause and the longest one.
 * @returns The pause in seconds.
 */
export function backoff(
  attempt: number,
  { first = 0.05, longest = 2 }: Backoff = {},
): number {
  const pause = Math.min(first * 2 ** Math.min(attempt, 30), longest);
  return pause * (0.75 + Math.random() / 4);
}

/** Tells {@linkcode retry} when to go on, and how long. */
interface RetryOptions extends WaitOptions, Backoff {
  /**
   * Decides after a failure whether to try again, and is where to report it.
   *
   * @param attempt The number of the attempt, from 0.
   * @returns Whether another attempt may help; `"at once"` leaves out the pause.
   */
  mayHelp(error: unknown, attempt: number): boolean | "at once";
}

/**
 * Does something until it succeeds, with growing pauses between the attempts.
 *
 * @param work Called with the number of the attempt, from 0.
 * @param options Which failures are worth another attempt, the pauses, and the
 * signal, after which there is no further attempt.
 * @returns What the first attempt that succeeds returns.
 * @throws What the last attempt threw.
 */
export async function retry<Value>(
  work: (attempt: number) => Promise<Value>,
  { mayHelp, signal, daemon, ...pauses }: RetryOptions,
): Promise<Value> {
  for (let attempt = 0;; attempt++) {
    try {
      return await work(attempt);
    } catch (error) {
      if (signal?.aborted) throw error;
      const again = mayHelp(error, attempt);
      if (!again) throw error;
      const pause = again === "at once" ? 0 : backoff(attempt, pauses);
      if (pause > 0 && await sleep(pause, { signal, daemon })) throw error;
    }
  }
}
