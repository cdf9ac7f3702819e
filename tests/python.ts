import assert from "node:assert/strict";
import { existsSync } from "node:fs";

/** The Python of the operating system, which has its packages. */
export const PYTHON = "/usr/bin/python3";

/** Why there is no Python here; `undefined` where there is. */
export function whyNoPython(): string | undefined {
  return existsSync(PYTHON) ? undefined : `${PYTHON} is not there`;
}

/** Why redis-py cannot be used here; `undefined` if it can. */
export async function whyNoRedisPy(): Promise<string | undefined> {
  const reason = whyNoPython();
  if (reason !== undefined) return reason;
  const { success } = await new Deno.Command(PYTHON, {
    args: ["-c", "import redis"],
    stderr: "null",
  }).output();
  return success ? undefined : "python3-redis is not installed";
}

/** Runs a program that reads JSON from stdin and writes some to stdout. */
export async function askPython<Answer>(
  program: string,
  question: unknown,
): Promise<Answer> {
  const process = new Deno.Command(PYTHON, {
    args: ["-c", program],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const writer = process.stdin.getWriter();
  await writer.write(new TextEncoder().encode(JSON.stringify(question)));
  await writer.close();
  const { stdout, success } = await process.output();
  assert.ok(success);
  return JSON.parse(new TextDecoder().decode(stdout));
}
