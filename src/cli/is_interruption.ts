import { RedisError } from "../../mod.ts";

/**
 * Tells whether an error only says that a signal has ended the work. One that
 * happens while it ends is told like any other.
 *
 * @param signal What is aborted when the work is to end.
 */
export function isInterruption(
  error: unknown,
  signal: AbortSignal,
): error is RedisError | DOMException {
  if (!signal.aborted) return false;
  return error instanceof RedisError
    ? error.code === "closed"
    : error instanceof DOMException && error.name === "AbortError";
}
