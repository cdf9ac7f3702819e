import { Buffer, isUtf8 } from "node:buffer";
import { fstatSync } from "node:fs";
import { whenAborted } from "../waiting.ts";
import { UsageError } from "./program.ts";

const STDIN = 0;
const LINE_FEED = 10;
/** A line that is longer is no message: they have a limit of 8 MiB. */
const MAX_LINE = 8 * 2 ** 20;

/** Some lines of the standard input. */
interface Lines {
  readonly lines: readonly string[];
  /** The number of bytes that were read for them. */
  readonly bytes: number;
}

/**
 * Reads the lines of the standard input, those that have arrived together up to
 * a number.
 *
 * @param limit How many lines to give at once, at most.
 * @param signal Ends it when it is aborted: no further lines are given.
 * @throws {UsageError} A line is too long for a message, or not encoded in
 * UTF-8, or the input cannot be read.
 */
export async function* readLines(
  limit: number,
  signal: AbortSignal,
): AsyncGenerator<Lines, void, void> {
  const reader = Deno.stdin.readable.getReader();
  const cancel = (): Promise<void> => reader.cancel().catch(() => {});
  using _end = whenAborted(signal, cancel);
  let rest: Uint8Array<ArrayBufferLike> = new Uint8Array();
  let bytes = 0;
  try {
    while (!signal.aborted) {
      const { value, done } = await reader.read();
      const block = value === undefined
        ? rest
        : rest.length === 0
        ? value
        : Buffer.concat([rest, value]);
      const end = done ? block.length : block.lastIndexOf(LINE_FEED) + 1;
      rest = block.subarray(end);
      bytes += value?.length ?? 0;
      if (rest.length > MAX_LINE) {
        throw new UsageError(
          "A line of the standard input is longer than 8 MiB, the limit for a message",
        );
      }
      const { lines, isWhole } = decodeLines(block.subarray(0, end));
      while (lines.length > 0 && !signal.aborted) {
        yield { lines: lines.splice(0, limit), bytes };
        bytes = 0;
      }
      if (signal.aborted) return;
      if (!isWhole) {
        throw new UsageError(
          "A line of the standard input is not encoded in UTF-8, as messages are",
        );
      }
      if (done) return;
    }
  } catch (error) {
    if (signal.aborted || error instanceof UsageError) throw error;
    throw new UsageError(
      `Cannot read the standard input: ${
        (error as Error).message
      }; expected messages, one a line`,
      { cause: error },
    );
  } finally {
    // A read that is still waiting would keep the process alive.
    await cancel();
  }
}

/**
 * Decodes lines, up to the first that is not encoded in UTF-8: to put other
 * characters in its place would send something else.
 *
 * @param bytes Whole lines.
 * @returns The lines, and whether these are all.
 */
export function decodeLines(
  bytes: Uint8Array,
): { lines: string[]; isWhole: boolean } {
  const isWhole = isUtf8(bytes);
  const sound = isWhole ? bytes : bytes.subarray(0, findUnsound(bytes));
  const lines = new TextDecoder().decode(sound).split("\n");
  // Behind the last line feed there is nothing.
  if (lines.at(-1) === "") lines.pop();
  return { lines, isWhole };
}

/** Finds where the first line begins that is not encoded in UTF-8. */
function findUnsound(bytes: Uint8Array): number {
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(LINE_FEED, at) + 1 || bytes.length;
    if (!isUtf8(bytes.subarray(at, end))) break;
    at = end;
  }
  return at;
}

/** Tells how many bytes there are to read, where that can be known. */
export function lengthOfStdin(): number | undefined {
  const stat = fstatSync(STDIN);
  return stat.isFile() && stat.size > 0 ? stat.size : undefined;
}
