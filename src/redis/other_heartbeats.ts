import type { Connection } from "./connection.ts";
import type { QueueKeys } from "./queue_keys.ts";
import type { RedisError } from "./redis_error.ts";

/** So many of the others on a queue are watched: should one be kept from it, another is not. */
const WATCHED = 2;
/** The time between two looks for consumers that were removed from the index, in milliseconds. */
export const AUDIT_INTERVAL: number = 600_000;
/**
 * After how many seconds a process is dead that was asked for another heartbeat. It
 * answers with a look, and looks at least as often as it goes through all keys.
 */
export const ANSWER_TIMEOUT: number = 2 * AUDIT_INTERVAL / 1000;
/** Stands in the heartbeat of a process that lacks a right to look after some queue. */
export const NO_LOOK: string = "?";

function saysNoLook(beat: string): boolean {
  return beat.includes(NO_LOOK);
}

/** Another consumer of a queue, by its session's name. */
export interface OtherConsumer {
  readonly name: string;
  /** The key of its process' heartbeat, or what points there if that may not be read. */
  readonly key: string;
  /** The text that the key holds. */
  readonly beat: string;
}

/**
 * Gives a text by which processes are in an order that is the same for all of them,
 * and on all queues: what its heartbeat has at random. So machines that have numbers,
 * and die one after the other, are no neighbours.
 */
function placeOf({ name, beat }: OtherConsumer): string {
  return (/^\d+ (\w{8})/.exec(beat)?.[1] ?? name.slice(-8)) + name;
}

/**
 * Watches the heartbeats of others for one process. All consumers of a queue stand in
 * a circle, and each watches the next ones: so each is watched by two, however many
 * there are. Who finds that one of them has died puts back what all the dead had in
 * hand, and watches others.
 */
export class OtherHeartbeats {
  /** For commands that do not block. */
  readonly #control: Connection;
  /** The time that a beat of this process counts, in milliseconds. */
  readonly #lifetime: number;
  /** The text at random in the heartbeat of this process. */
  readonly #token: string;
  /** Lets this process look, with its next beat, who else is to be watched. */
  readonly #doubt: () => void;
  /** The keys of the heartbeats that are watched, by the start of a queue's keys. */
  readonly #watched = new Map<string, readonly string[]>();
  /** These heartbeats, when each was seen first. */
  readonly #others = new Map<string, { beat: string; since: number }>();

  constructor(
    { control, lifetime, token, doubt }: {
      control: Connection;
      lifetime: number;
      token: string;
      doubt: () => void;
    },
  ) {
    this.#control = control;
    this.#lifetime = lifetime;
    this.#token = token;
    this.#doubt = doubt;
  }

  /**
   * Watches the next ones up to the second one that can look in time: that beats as
   * often as this process, or more often, and has the rights.
   *
   * @param name The name of this process' session of the queue.
   */
  watch(
    { start }: QueueKeys,
    name: string,
    others: readonly OtherConsumer[],
  ): void {
    const own = this.#token + name;
    const sorted = others.toSorted((a, b) => placeOf(a) < placeOf(b) ? -1 : 1);
    const after = sorted.filter((other) => placeOf(other) > own);
    const before = sorted.filter((other) => placeOf(other) < own);
    const next = new Set<string>();
    let left = WATCHED;
    for (const { key, beat } of [...after, ...before]) {
      if (next.has(key)) continue;
      next.add(key);
      this.#note(key, beat);
      const isInTime = parseInt(beat) <= this.#lifetime;
      if (isInTime && !saysNoLook(beat) && --left === 0) break;
    }
    this.#watched.set(start, [...next]);
  }

  /** Watches nobody any more of those who consume a queue. */
  leave({ start }: QueueKeys): void {
    this.#watched.delete(start);
  }

  /** Gives the heartbeats that beat no more, as `key value`, and watches them no more. */
  async findStale(): Promise<readonly string[]> {
    const watched = new Set([...this.#watched.values()].flat());
    for (const key of this.#others.keys()) {
      if (!watched.has(key)) this.#others.delete(key);
    }
    const keys = [...this.#others.keys()];
    const beats = await Promise.all(
      keys.map((key) =>
        this.#control.command(["GET", key])
          .catch((error: RedisError): undefined => {
            if (error.refused !== "key") throw error;
            // The look asks for another heartbeat.
            this.#doubt();
            return undefined;
          })
      ),
    );
    return keys.flatMap((key, at) => {
      const beat = beats[at];
      if (beat === undefined) {
        this.#others.delete(key);
        return [];
      }
      if (typeof beat === "string") {
        const before = this.#others.get(key)!.beat;
        // The look finds who is to be watched in addition.
        if (saysNoLook(beat) && !saysNoLook(before)) this.#doubt();
        if (this.#note(key, beat)) return [];
      }
      this.#others.delete(key);
      return [`${key} ${beat ?? ""}`];
    });
  }

  /**
   * Notes a heartbeat; tells whether it beats. How long it may stand still is
   * the number that it begins with; by our clock, since the server's may be set.
   */
  #note(key: string, beat: string): boolean {
    const now = performance.now();
    const seen = this.#others.get(key);
    if (seen?.beat !== beat) {
      this.#others.set(key, { beat, since: now });
      return true;
    }
    const lifetime = beat.startsWith("=")
      ? ANSWER_TIMEOUT * 1000
      : parseInt(beat);
    return !(lifetime > 1 && now - seen.since > lifetime);
  }
}
