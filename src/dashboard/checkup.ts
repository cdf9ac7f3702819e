import { diagnose, type Finding } from "../doctor/mod.ts";
import type { RedisArgs } from "../redis/mod.ts";

/** The time that findings stay true, in seconds. */
const FRESH = 60;

/** Looks for what `doctor` finds, while somebody wants to know. */
export class Checkup implements AsyncDisposable {
  readonly #redisArgs: RedisArgs;
  readonly #queues: readonly string[];
  readonly #onChange: () => void;
  readonly #closed = new AbortController();
  #lookedAt = -Infinity;
  #looking: Promise<void> | undefined;
  /** The last findings; `undefined` before the first look is through. */
  findings: readonly Finding[] | undefined;

  constructor(
    redisArgs: RedisArgs,
    queues: readonly string[],
    onChange: () => void,
  ) {
    this.#redisArgs = redisArgs;
    this.#queues = queues;
    this.#onChange = onChange;
  }

  /** Looks, unless that was done within the last minute. */
  look(): void {
    const isFresh = performance.now() / 1000 - this.#lookedAt < FRESH;
    if (isFresh || this.#looking || this.#closed.signal.aborted) return;
    this.#looking = this.#look().finally(() => {
      this.#lookedAt = performance.now() / 1000;
      this.#looking = undefined;
    });
  }

  async #look(): Promise<void> {
    const { signal } = this.#closed;
    const findings: Finding[] = [];
    try {
      const found = diagnose({
        redisArgs: this.#redisArgs,
        queue: this.#queues,
        // The page for peers asks the network, and says what is wrong there.
        multicast: false,
        signal,
      });
      for await (const finding of found) findings.push(finding);
    } catch {
      // Closed meanwhile; everything else is a finding.
      return;
    }
    this.findings = findings;
    this.#onChange();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await this.#looking;
  }
}
