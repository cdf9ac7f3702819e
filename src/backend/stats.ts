/**
 * What a backend has counted since it was made, and how it stands, as
 * {@linkcode RedisBackend.stats} gives it.
 */
export interface BackendStats {
  /** Messages that came from Redis; a message that comes again counts again. */
  readonly received: number;
  /** Messages that every subscriber has handled. */
  readonly delivered: number;
  /** Messages for another device. */
  readonly foreign: number;
  /** Messages that could not be built, or were too large. */
  readonly malformed: number;
  /** Messages that were put into the dead letters. */
  readonly deadLettered: number;
  /** Messages that had been delivered before. */
  readonly redelivered: number;
  /** How often the connection was lost and found again. */
  readonly reconnects: number;
  /** Messages that subscribers are busy with at the moment. */
  readonly inFlight: number;
  /** Isolates that subscribe to the bus at the moment. */
  readonly subscribers: number;
  /** Requests that registered actions, or errors, have answered. */
  readonly answered: number;
  /** Registered actions that are being executed at the moment. */
  readonly actionsRunning: number;
  /** Requests that wait until one of these has finished. */
  readonly actionsWaiting: number;
}
