/** For how many milliseconds a question that another host has asked stands for our own. */
export const RECENT = 1_000;

/**
 * When other hosts asked what we are about to ask: the answers go to everybody,
 * so it need not be asked again (RFC 6762, section 7.3).
 */
export class QuestionsHeard {
  readonly #at = new Map<string, number>();

  /** Notes that the question was asked on a channel. */
  note(channel: string, now: number): void {
    this.#at.set(channel, now);
  }

  /** Whether it was asked lately wherever we would ask it. */
  covers(channels: readonly string[], now: number): boolean {
    return channels.length > 0 &&
      channels.every((channel) =>
        now - (this.#at.get(channel) ?? -Infinity) < RECENT
      );
  }
}
