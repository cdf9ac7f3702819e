/** So many messages are moved one by one; where there are more, a script costs less. */
const MOST_MOVED = 7;
/** So long messages gather, in seconds. */
const PAUSE = 0.003;
/** After so long a silence everything begins anew, in milliseconds. */
const SILENCE = 50;
/** So many messages tell how they come, with pauses or without. */
const SAMPLE = 200;
/** So many tell that pauses do harm. */
const SMALL_SAMPLE = 16;
/** The part of the messages a second that has to come with pauses, too. */
const UNHINDERED = 0.8;
/** The same while only few have come. */
const HARDLY_HINDERED = 0.5;
/** So many times as many messages have to come together for a pause to pay. */
const GAIN = 1.5;
/** So long pauses are made until it is tried again whether they pay, in milliseconds. */
const TRUST = 10_000;
/** So long none are made after they did not, in milliseconds: at first, and at most. */
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
    const isFirst = now - this.#last > SILENCE;
    this.#last = now;
    this.#messages += found;
    this.#bursts++;
    const next = isFirst ? "without" : this.#decide(now);
    if (next !== undefined) {
      this.#state = next;
      this.#since = now;
      this.#messages = this.#bursts = 0;
    }
    this.pause = this.#state === "without" || isFollowed ? 0 : PAUSE;
  }

  /** Tells what to do from now on, where that is decided. */
  #decide(now: number): State | undefined {
    const time = now - this.#since;
    const rate = this.#messages / time;
    const together = this.#messages / this.#bursts;
    const isEnough = this.#messages >= SAMPLE;
    if (this.#state === "with") return time > TRUST ? "without" : undefined;
    if (this.#state === "without") {
      if (!isEnough) return undefined;
      this.#rate = rate;
      this.#together = together;
      const mayPay = rate * PAUSE * 1000 > 0.5 && now >= this.#tryAt;
      return mayPay ? "trying" : "without";
    }
    if (this.#messages < SMALL_SAMPLE) return undefined;
    const part = isEnough ? UNHINDERED : HARDLY_HINDERED;
    const pays = together > this.#together * GAIN && rate > this.#rate * part;
    if (pays && !isEnough) return undefined;
    if (pays) {
      this.#distrust = DISTRUST[0];
      return "with";
    }
    this.#tryAt = now + this.#distrust;
    this.#distrust = Math.min(2 * this.#distrust, DISTRUST[1]);
    return "without";
  }
}
