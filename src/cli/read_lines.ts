import { UsageError } from "./usage_error.ts";

/** Some lines of the standard input. */
export interface Lines {
  readonly lines: readonly string[];
  /** The number of bytes that were read for them. */
  readonly bytes: number;
}

/** A line that is longer is no message: they have a limit of 8 MiB. */
const MAX_LINE = 8 * 2 ** 20;

/**
 * Reads the lines of the standard input, those that have arrived together up to
 * a number.
 *
 * @param limit How many lines to give at once, at most.
 * @param signal Ends it when it is aborted: no further lines are given.
 * @throws {UsageError} A line is too long for a message.
 */
export async function* readLines(
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<Lines, void, void> {
  const decoder = new TextDecoder();
  const reader = Deno.stdin.readable.getReader();
  const cancel = (): Promise<void> => reader.cancel();
  signal.addEventListener("abort", cancel);
  let rest = "";
  let bytes = 0;
  try {
    while (!signal.aborted) {
      const { value, done } = await reader.read();
      const lines = (rest + decoder.decode(value, { stream: !done }))
        .split("\n");
      rest = done ? "" : lines.pop()!;
      bytes += value?.length ?? 0;
      if (rest.length > MAX_LINE) {
        throw new UsageError(
          "A line of the standard input is longer than 8 MiB, the limit for a message",
        );
      }
      while (lines.length > 0 && !signal.aborted) {
        yield { lines: lines.splice(0, limit), bytes };
        bytes = 0;
      }
      if (done) return;
    }
  } finally {
    signal.removeEventListener("abort", cancel);
    // A read that is still waiting would keep the process alive.
    await cancel();
  }
}
