/** Counts of an {@linkcode Inbox} so far. */
export type InboxStats = {
  /** Messages that were handed out. */
  received: number;
  /** Of these, the ones that had been delivered before. */
  redelivered: number;
  /** Messages that were acknowledged. */
  acknowledged: number;
  /** Failed messages that were put aside to be tried again. */
  retried: number;
  /** Messages that became dead letters. */
  deadLettered: number;
  /** Messages that were dropped because they were for another device, or too old. */
  dropped: number;
  /** Dead letters, or texts of them, that were lost. */
  deadLettersLost: number;
  /** Messages that were put aside for a named subscriber that was away. */
  missed: number;
  /** Of the missed ones, those that waited too long or had to make room. */
  missedLost: number;
  /** Messages of dead consumers that this one put back into the queue. */
  reclaimed: number;
  /** Messages that another consumer put back while this one had them. */
  taken: number;
  /** The number of times that a connection was lost and found again. */
  reconnects: number;
  /** Messages that were handed out and are not settled yet. */
  inFlight: number;
};

/** Counters from zero. */
export function emptyStats(): InboxStats {
  return {
    received: 0,
    redelivered: 0,
    acknowledged: 0,
    retried: 0,
    deadLettered: 0,
    dropped: 0,
    deadLettersLost: 0,
    missed: 0,
    missedLost: 0,
    reclaimed: 0,
    taken: 0,
    reconnects: 0,
    inFlight: 0,
  };
}

/** Adds the counters of `more` to those of `sum`. */
export function addStats(sum: InboxStats, more: InboxStats): void {
  for (const name of Object.keys(sum) as (keyof InboxStats)[]) {
    sum[name] += more[name];
  }
}
