import { errorOf, stackOf } from "../guarded.ts";

/**
 * Something went wrong on a bus.
 *
 * @example
 * ```ts
 * import { Bus, BusError } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * const bus = new Bus({ name: "example/errors" });
 * await bus.close();
 * await assert.rejects(bus.post({ type: "request", action: "light.on" }), BusError);
 * ```
 */
export class BusError extends Error {
  /** `"BusError"` */
  override name = "BusError";
}

/**
 * A subscriber was dropped, because it is gone or did not move for too long.
 * It gets this error itself as soon as it moves again, and the publisher that
 * dropped it gets it with the subscriber's label.
 *
 * @example
 * ```ts
 * import { Bus, DroppedError, type Message } from "@platypush/redis/bus";
 *
 * async function listen(bus: Bus, handle: (message: Message) => void) {
 *   for (;;) {
 *     try {
 *       for await (const message of bus) handle(message);
 *       return;
 *     } catch (error) {
 *       if (!(error instanceof DroppedError)) throw error;
 *       console.warn(error.message); // messages may be missing; listen again
 *     }
 *   }
 * }
 *
 * const bus = new Bus({ name: "example/dropped" });
 * const listening = listen(bus, console.log);
 * await bus.close();
 * await listening;
 * ```
 */
export class DroppedError extends BusError {
  /** `"DroppedError"` */
  override name = "DroppedError";
}

/**
 * A subscriber has gone away in order, or before it had begun with a message:
 * whoever posted it may give it to somebody else, and nobody has failed.
 */
export class LeftError extends DroppedError {
  /** `"LeftError"` */
  override name = "LeftError";
}

/**
 * Makes an error of whatever a handler has thrown, one whose name and message
 * are texts.
 */
export function toError(reason: unknown): Error {
  return errorOf(reason, BusError);
}

/** Says what was thrown, and where: the first line of the user's own code. */
export function whereabouts(error: Error): string {
  const { name, message } = error;
  const text = name === "Error" ? message : `${name}: ${message}`;
  const place = stackOf(error).split("\n")
    .map((line) => /^\s+at .*?((?:file|https?):.*?)\)?$/.exec(line)?.[1])
    .find((found) => found !== undefined);
  return place === undefined ? text : `${text}, at ${place}`;
}
