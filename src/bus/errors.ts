/** Something went wrong on a bus. */
export class BusError extends Error {
  /** `"BusError"` */
  override name = "BusError";
}

/**
 * A subscriber was given up, because it is gone or did not move for too long.
 * It gets this error itself as soon as it moves again, and the publisher that
 * gave it up gets it with the subscriber's label.
 */
export class DroppedError extends BusError {
  /** `"DroppedError"` */
  override name = "DroppedError";
}
