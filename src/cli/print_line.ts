const encoder = new TextEncoder();

/**
 * Writes a line to stdout. Unlike `console.log` it tells when nobody reads any
 * more, as after `| head -1`.
 *
 * @param text The line, without its end.
 * @throws {Deno.errors.BrokenPipe} Nobody reads any more; `program` takes that
 * for the end.
 *
 * @example
 * ```ts
 * import { printLine } from "@platypush/redis/cli";
 *
 * await printLine(JSON.stringify({ temperature: 21.5 }));
 * ```
 */
export async function printLine(text: string): Promise<void> {
  await printText(`${text}\n`);
}

/** Writes a text to stdout as it is; see {@linkcode printLine}. */
export async function printText(text: string): Promise<void> {
  const bytes = encoder.encode(text);
  for (let at = 0; at < bytes.length;) {
    at += await Deno.stdout.write(bytes.subarray(at));
  }
}
