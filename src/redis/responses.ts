import { sleep } from "../waiting.ts";
import { RedisError } from "./redis_error.ts";
import type { Router } from "./router.ts";

/** The first pause between two looks, and the longest one, in seconds. */
const FIRST_PAUSE = 0.001;
const LONGEST_PAUSE = 0.1;
/**
 * The delay with which a response may be found, as a part of the time that it
 * took.
 */
const LATENESS = 0.2;
/** The time to wait for a connection before saying so, in seconds. */
const CONNECTION_TIMEOUT = 1;

/** Tells {@link Responses} how to wait. */
export interface ResponsesOptions {
  /** Waiting does not keep the process alive. */
  readonly daemon: boolean;
}

/**
 * Waits for responses, any number of them at once, on the connections that
 * send.
 *
 * `BLPOP` would take a response out of Redis before it is here, and a connection
 * that is lost just then would lose the response with it. So a response is read
 * where it lies, and removed when it has arrived. The price is looking more
 * than once: ever more rarely the longer the response takes. Looks at the same
 * time travel together.
 */
export class Responses {
  #router: Router;
  #options: ResponsesOptions;
  #closing = new AbortController();
  #waiting = new Set<Promise<unknown>>();

  /** */
  constructor(router: Router, options: ResponsesOptions) {
    this.#router = router;
    this.#options = options;
  }

  /**
   * Waits for one response.
   *
   * @param key The list on which the response arrives.
   * @param timeout The longest time to wait, in seconds.
   * @param signal Ends the wait with its reason.
   */
  wait(
    id: string,
    key: string,
    timeout: number,
    signal?: AbortSignal,
  ): Promise<Uint8Array> {
    const waiting = this.#wait(id, key, timeout, signal);
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
  }

  async #wait(
    id: string,
    key: string,
    timeout: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const start = performance.now();
    const late = new AbortController();
    const { daemon } = this.#options;
    const end = AbortSignal.any([
      late.signal,
      this.#closing.signal,
      ...signal ? [signal] : [],
    ]);
    const over = sleep(timeout, { signal: end, unref: daemon }).then(() =>
      late.abort()
    );
    let problem = "";
    try {
      while (!end.aborted) {
        const look = this.#look(key).catch((error) => {
          if (!isPassing(error)) throw error;
          this.#router.forget();
          problem = `. ${error.message}`;
        });
        const payload = await Promise.race([look, over]);
        if (payload) return payload;
        const elapsed = (performance.now() - start) / 1000;
        const rest = Math.max(FIRST_PAUSE, elapsed * LATENESS);
        await sleep(Math.min(rest, LONGEST_PAUSE), {
          signal: end,
          unref: daemon,
        });
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

  /** Takes a response that is there. */
  async #look(key: string): Promise<Uint8Array | undefined> {
    const deadline = performance.now() + CONNECTION_TIMEOUT * 1000;
    const connection = await this.#router.connect(key, deadline);
    const [payload] = await connection.command<Uint8Array[]>(
      ["LRANGE", key, "0", "0"],
      { bytes: true },
    );
    if (payload === undefined) return undefined;
    // Where this fails the response expires by itself.
    await connection.command(["UNLINK", key]).catch(() => {});
    return payload;
  }
}

/** Tells whether looking again can help. */
function isPassing(error: unknown): error is RedisError {
  return error instanceof RedisError && error.isTransient;
}

function closed(): RedisError {
  const reason = "the outbox was closed";
  return new RedisError({ attempted: "wait for a response", reason }, "closed");
}
