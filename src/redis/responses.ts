import { settledWithin, sleep } from "../waiting.ts";
import type { Connection } from "./connection.ts";
import { RedisError } from "./redis_error.ts";
import type { Router } from "./router.ts";

/**
 * For a server that does not tell: the first pause between two looks, the longest
 * one, in seconds, and a pause as a part of the time that the response has taken.
 */
const FIRST_PAUSE = 0.001;
const LONGEST_PAUSE = 0.1;
const LATENESS = 0.2;
/** For one that tells: the time before the end at which there is one more look, in seconds. */
const LAST_LOOK = 0.05;
/** The time that responses which have arrived stay, to be removed together, in seconds. */
const REMOVAL_PAUSE = 0.1;
/** The longest time to wait for their removal at the end, in seconds. */
const REMOVAL_TIMEOUT = 1;
/** The end of a key whose id is one that this module makes. */
const RANDOM = /[0-9a-f]{32}$/;
/** The last place at which an answer is looked for, behind what is none. */
const LAST = "99";
/** The time to wait for a connection before saying so, in seconds. */
const CONNECTION_TIMEOUT = 1;

/** Says which response is waited for, and how long. */
interface ResponseWait {
  /** The id of the request. */
  readonly id: string;
  /** The list on which the response arrives. */
  readonly key: string;
  /** The longest time to wait, in seconds. */
  readonly timeout: number;
  /** Ends the wait with its reason. */
  readonly signal: AbortSignal | undefined;
  /** When the time began, by `performance.now()`. Default: now. */
  readonly start: number | undefined;
  /** Tells why something is no answer, and is passed over. */
  readonly refuse: ((payload: Uint8Array) => string | undefined) | undefined;
}

/** Tells what a look has found. */
interface LookResult {
  readonly payloads: readonly Uint8Array[];
  /** The server will tell of more. */
  readonly isTold: boolean;
  /** Why nothing could be looked at. */
  readonly problem?: string;
}

/** Says whether waiting for {@link Responses} keeps the process alive. */
interface ResponsesOptions {
  /** Waiting does not keep the process alive. */
  readonly daemon: boolean;
}

/**
 * Waits for responses, any number of them at once, on the connections that
 * send.
 *
 * `BLPOP` would take a response out of Redis before it is here, and a connection
 * that is lost just then would lose the response with it. So a response is read
 * where it lies, and removed when it has arrived. The server tells when there is
 * something to read (`CLIENT TRACKING`), on the one connection, for all who wait.
 * Where it does not, they look more than once: ever more rarely the longer it
 * takes.
 */
export class Responses {
  #router: Router;
  #options: ResponsesOptions;
  #closing = new AbortController();
  readonly #waiting: Set<Promise<unknown>>;
  /** Those who wait, by the key of their response. */
  readonly #wakers = new Map<string, Set<AbortController>>();
  /** The number of elements that have arrived, and are still to be removed, by their keys. */
  readonly #arrived = new Map<string, number>();
  #removing: Promise<void> | undefined;
  /** The connections that were asked to tell of changed keys. */
  readonly #tracked = new Map<Connection, Promise<boolean>>();

  /**
   * Asks nothing of the server before somebody waits.
   *
   * @param waiting Has those who wait in it.
   */
  constructor(
    router: Router,
    waiting: Set<Promise<unknown>>,
    options: ResponsesOptions,
  ) {
    this.#router = router;
    this.#waiting = waiting;
    this.#options = options;
  }

  /** Waits for one response. */
  wait(wanted: ResponseWait): Promise<Uint8Array> {
    const waiting = this.#wait(wanted);
    const done = waiting.catch(() => {}).finally(() =>
      this.#waiting.delete(done)
    );
    this.#waiting.add(done);
    return waiting;
  }

  /** Ends; whoever still waits is told. */
  async close(): Promise<void> {
    this.#closing.abort();
    await Promise.all(this.#waiting);
    await this.#removing;
  }

  async #wait(
    { id, key, timeout, signal, start = performance.now(), refuse }:
      ResponseWait,
  ): Promise<Uint8Array> {
    const late = new AbortController();
    const { daemon } = this.#options;
    const end = AbortSignal.any([
      late.signal,
      this.#closing.signal,
      ...signal ? [signal] : [],
    ]);
    const left = Math.max(0, timeout - (performance.now() - start) / 1000);
    const over = sleep(left, { signal: end, daemon }).then((): undefined => {
      late.abort();
      return undefined;
    });
    let problem = "";
    try {
      // Another wait for the same response must not find what has arrived.
      if (this.#arrived.has(key)) await this.#removing;
      while (!end.aborted) {
        using waker = this.#waker(key);
        const found = await Promise.race([this.#look(key), over]);
        problem = found?.problem ?? problem;
        for (const [at, payload] of found?.payloads.entries() ?? []) {
          const refusal = refuse?.(payload);
          if (refusal === undefined) {
            this.#remove(key, at + 1);
            return payload;
          }
          problem = `. What came is no answer to it: ${refusal}`;
        }
        const elapsed = (performance.now() - start) / 1000;
        const pause = found?.isTold
          ? Math.max(timeout - elapsed - LAST_LOOK, LAST_LOOK)
          : Math.min(Math.max(FIRST_PAUSE, elapsed * LATENESS), LONGEST_PAUSE);
        const wake = AbortSignal.any([end, waker.signal]);
        await sleep(pause, { signal: wake, daemon });
      }
    } finally {
      late.abort();
    }
    signal?.throwIfAborted();
    if (this.#closing.signal.aborted) throw closed();
    throw new DOMException(
      `No response to request ${id} within ${timeout} s${problem}`,
      "TimeoutError",
    );
  }

  /** Begins to hear whether the response at a key may have come. */
  #waker(key: string): Disposable & { readonly signal: AbortSignal } {
    const waker = new AbortController();
    const all = this.#wakers.get(key) ?? new Set();
    this.#wakers.set(key, all.add(waker));
    const end = (): void => {
      all.delete(waker);
      if (all.size === 0) this.#wakers.delete(key);
    };
    return { signal: waker.signal, [Symbol.dispose]: end };
  }

  /** Wakes those who wait for one response, or all. */
  #wake(key: string | undefined): void {
    const woken: Iterable<AbortController>[] = key === undefined
      ? [...this.#wakers.values()]
      : [this.#wakers.get(key) ?? []];
    for (const wakers of woken) for (const waker of wakers) waker.abort();
  }

  /** Reads what is there, or finds out why it cannot. */
  async #look(key: string): Promise<LookResult> {
    const deadline = performance.now() + CONNECTION_TIMEOUT * 1000;
    try {
      const connection = await this.#router.connect(key, deadline);
      await this.#track(connection);
      const payloads = await connection.command<Uint8Array[]>(
        ["LRANGE", key, "0", LAST],
        { bytes: true },
      );
      return { payloads, isTold: connection.isTracking };
    } catch (error) {
      if (!isPassing(error)) throw error;
      this.#router.forget();
      return { payloads: [], isTold: false, problem: `. ${error.message}` };
    }
  }

  /**
   * Asks the server to tell, once for each connection. In a cluster it is not
   * asked: a slot may move to another node, which knows nothing of the wish.
   */
  async #track(connection: Connection): Promise<void> {
    if (this.#router.isCluster) return;
    const asked = this.#tracked.get(connection) ??
      connection.trackKeys((key) => this.#wake(key));
    this.#tracked.set(connection, asked);
    try {
      await asked;
    } catch (error) {
      this.#tracked.delete(connection);
      throw error;
    }
  }

  /** Removes a response that has arrived, and what was in front of it, together with others. */
  #remove(key: string, count: number): void {
    this.#arrived.set(key, count);
    this.#removing ??= this.#removeAll().finally(() =>
      this.#removing = undefined
    );
  }

  async #removeAll(): Promise<void> {
    while (this.#arrived.size > 0) {
      const { signal } = this.#closing;
      await sleep(REMOVAL_PAUSE, { signal, daemon: true });
      const arrived = [...this.#arrived];
      this.#arrived.clear();
      const isCluster = this.#router.isCluster;
      // Nobody takes such an id again, so they can all go together.
      const alone = arrived.filter(([key, count]) =>
        isCluster || count > 1 || !RANDOM.test(key)
      );
      const groups = alone.map((one) => [one]);
      const others = arrived.filter((one) => !alone.includes(one));
      if (others.length > 0) groups.push(others);
      const removed = Promise.allSettled(groups.map(async (group) => {
        const [[key, count]] = group as [[string, number]];
        const deadline = performance.now() + REMOVAL_TIMEOUT * 1000;
        try {
          const connection = await this.#router.connect(key, deadline);
          await connection.command(
            group === others
              ? ["UNLINK", ...group.map(([key]) => key)]
              // Whoever takes the same id again may have an answer behind it.
              : ["LTRIM", key, String(count), "-1"],
          );
        } catch (error) {
          // What cannot be removed expires by itself.
          if (signal.aborted || !isPassing(error)) return;
          for (const [key, count] of group) this.#arrived.set(key, count);
        }
      }));
      await settledWithin(removed, REMOVAL_TIMEOUT, { daemon: true });
    }
  }
}

/** True where looking again can help, as without a connection; not where the user lacks a right. */
function isPassing(error: unknown): error is RedisError {
  return error instanceof RedisError && error.isTransient;
}

function closed(): RedisError {
  const reason = "the outbox was closed";
  return new RedisError({ attempted: "wait for a response", reason }, "closed");
}
