/** So many messages are moved one by one; where there are more, a script costs less. */
const MOST_MOVED = 7;
/** So long messages gather, in seconds. */
const PAUSE = 0.003;
/** So many messages in a millisecond come together by themselves. */
const FAST = 4;
/** Nothing pauses where no message has come for so long, in milliseconds. */
const LULL = 9;
/** After so long a silence, counting begins anew, in milliseconds. */
const SILENCE = 50;
/** So many messages tell how they come, with pauses or without. */
const SAMPLE = 200;
/** So many tell that pauses do harm. */
const SMALL_SAMPLE = 16;
/** The part of the messages a second that has to come with pauses, too. */
const UNHINDERED = 0.8;
/** The same while only few have come. */
const HARDLY_HINDERED = 0.5;
/** The part that counts of what came without pauses before, each time. */
const FORGETTING = 0.9;
/** So many times as many messages have to come together for a pause to pay. */
const GAIN = 1.5;
/**
 * With so many messages pauses are made until it is tried again whether they pay:
 * at first, since a process that has just begun is slow by itself, and at most.
 */
const TRUST = [400, 16_000] as const;
/** So long none are made after they did not pay, in milliseconds: at first, and at most. */
const DISTRUST = [1000, 64_000] as const;

/** Says that pauses are made, or not, or that it is found out whether they pay. */
type State = "without" | "trying" | "with";

/**
 * Learns how messages come to a consumer that waits for them: how many at once,
 * and whether it is worth while to pause for a moment before it waits again, so
 * that more come together. At hundreds a second, waking up costs more than all
 * that a message needs.
 *
 * Whether a pause pays is found out by trying. Where somebody sends the next
 * request only after the answer to the last one, pauses make fewer messages come:
 * then none are made. The first message after a silence never waits.
 */
export class Pace {
  /** So many messages are to be asked for at once. */
  most = 1;
  /** True when more than that come again and again. */
  isFlood = false;
  /** The pause before more are asked for, in seconds. */
  pause = 0;
  #state: State = "without";
  /** So many messages came without pauses: in a millisecond, and together. */
  #rate = 0;
  #together = 0;
  /** Since when the messages of this state are counted. */
  #since = 0;
  #messages = 0;
  #bursts = 0;
  /** When messages came last. */
  #last = 0;
  /** When pauses may be tried again, and how long it takes the next time. */
  #tryAt = 0;
  #distrust: number = DISTRUST[0];
  /** With so many messages pauses are made the next time. */
  #trust: number = TRUST[0];

  /**
   * Notes messages that came together.
   *
   * @param asked How many were asked for.
   * @param found How many there were, at least one.
   * @param isFollowed Whether there are more already.
   * @param now When they came, in milliseconds.
   */
  note(
    asked: number,
    found: number,
    isFollowed: boolean,
    now: number = performance.now(),
  ): void {
    this.isFlood = isFollowed && this.most === MOST_MOVED;
    // One that is not there costs much less than waiting once more.
    if (found < asked) this.most = asked - 1;
    else if (isFollowed) this.most = Math.min(2 * this.most + 1, MOST_MOVED);
    const gap = now - this.#last;
    this.#last = now;
    this.#messages += found;
    this.#bursts++;
    const isOver = gap > SILENCE && this.#state !== "with";
    const next = isOver ? "without" : this.#decide(now);
    if (next !== undefined) {
      this.#state = next;
      this.#since = now;
      this.#messages = this.#bursts = 0;
    }
    const mayPause = this.#state !== "without" && gap < LULL && !isFollowed;
    this.pause = mayPause ? PAUSE : 0;
  }

  /** Tells what to do from now on, where that is decided. */
  #decide(now: number): State | undefined {
    const time = now - this.#since;
    const rate = this.#messages / time;
    const together = this.#messages / this.#bursts;
    const isEnough = this.#messages >= SAMPLE;
    if (this.#state === "with") {
      return this.#messages > this.#trust ? "without" : undefined;
    }
    if (this.#state === "without") {
      if (!isEnough) return undefined;
      // Others may keep the machine busy: what was possible may be again.
      this.#rate = Math.max(rate, FORGETTING * this.#rate);
      this.#together = together;
      const mayPay = rate * PAUSE * 1000 > 0.5 && this.#rate < FAST &&
        now >= this.#tryAt;
      return mayPay ? "trying" : "without";
    }
    if (this.#messages < SMALL_SAMPLE) return undefined;
    const part = isEnough ? UNHINDERED : HARDLY_HINDERED;
    const pays = together > this.#together * GAIN && rate > this.#rate * part;
    if (pays && !isEnough) return undefined;
    if (pays) {
      this.#distrust = DISTRUST[0];
      this.#trust = Math.min(2 * this.#trust, TRUST[1]);
      return "with";
    }
    this.#trust = TRUST[0];
    this.#tryAt = now + this.#distrust;
    this.#distrust = Math.min(2 * this.#distrust, DISTRUST[1]);
    return "without";
  }
}
