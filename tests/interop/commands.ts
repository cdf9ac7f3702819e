/**
 * How a Zeroconf stack, in a process of its own, is told what to do and says
 * what it has seen: JSON, line by line.
 *
 * @module
 */

/** What to do. */
export interface Command {
  readonly do: string;
  readonly name?: string;
  readonly port?: number;
  readonly count?: number;
  readonly seconds?: number;
  readonly properties?: Record<string, string>;
}

/** What comes in on stdin. */
export async function* commands(): AsyncGenerator<Command> {
  let rest = "";
  for await (
    const text of Deno.stdin.readable.pipeThrough(new TextDecoderStream())
  ) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    for (const line of lines) yield JSON.parse(line);
  }
}

/** Writes a line to stdout. */
export function say(message: unknown): void {
  const bytes = new TextEncoder().encode(`${JSON.stringify(message)}\n`);
  Deno.stdout.writeSync(bytes);
}
