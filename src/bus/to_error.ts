import { BusError } from "./errors.ts";

/**
 * Makes an error of whatever a handler has thrown, one whose name and message
 * are texts.
 */
export function toError(reason: unknown): Error {
  try {
    if (!(reason instanceof Error)) return new BusError(String(reason));
    const { name, message } = reason;
    if (typeof name === "string" && typeof message === "string") return reason;
    return new BusError(`${String(name)}: ${String(message)}`);
  } catch {
    return new BusError("Something was thrown that cannot be shown as text");
  }
}
