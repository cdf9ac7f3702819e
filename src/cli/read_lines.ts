/** Some lines of the standard input. */
export interface Lines {
  readonly lines: readonly string[];
  /** How many bytes were read for them. */
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
 * @throws {RangeError} A line is too long for a message.
 */
export async function* readLines(
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<Lines, void, void> {
  const decoder = new TextDecoder();
  let rest = "";
  let bytes = 0;
  // A read cannot be interrupted: it is left behind.
  const aborted = new Promise<undefined>((resolve) =>
    signal.addEventListener("abort", () => resolve(undefined))
  );
  const reader = Deno.stdin.readable.getReader();
  while (!signal.aborted) {
    const result = await Promise.race([reader.read(), aborted]);
    if (result === undefined) break;
    const text = decoder.decode(result.value, { stream: !result.done });
    bytes += result.value?.length ?? 0;
    const lines = (rest + text).split("\n");
    rest = result.done ? "" : lines.pop()!;
    if (rest.length > MAX_LINE) {
      throw new RangeError(
        "A line of the standard input is longer than 8 MiB, the limit for a message",
      );
    }
    while (lines.length > 0 && !signal.aborted) {
      yield { lines: lines.splice(0, limit), bytes };
      bytes = 0;
    }
    if (result.done) return;
  }
}
