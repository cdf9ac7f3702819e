/**
 * Counts what somebody has to read who follows one message from Redis to a
 * handler in the same thread, until it is acknowledged: functions, files, how
 * often the next function is in another file, in one that was left before, or
 * in another room.
 *
 *     deno task way [--walk] [folder of another tree]
 *
 * With `--walk` it prints the way, file by file.
 *
 * @module
 */

// deno-lint-ignore-file no-console -- this is a program

import { Connection, startRedis } from "../src/redis/mod.ts";
import { follow, type Step } from "./way/follow.ts";

/** What there is to read on a way. */
export interface Figures {
  /** How many functions the message comes to. */
  functions: number;
  /** How many files they are in. */
  files: number;
  /** How often the next function is in another file. */
  changes: number;
  /** How often that is a file that the message has left before. */
  returns: number;
  /** How often the next function is in another room. */
  rooms: number;
}

/**
 * The most that there may be to read; `tests/docs/architecture_test.ts` holds it
 * against the way. Whoever makes the way shorter writes the new figures here.
 * Changes and returns differ by up to four, as what the network answers does not
 * always come in the same order; they are mostly 50 and 26.
 */
export const CEILING: Figures = {
  functions: 68,
  files: 25,
  changes: 52,
  returns: 28,
  rooms: 10,
};

/** Counts what there is to read on a way. */
export function figures(steps: readonly Step[]): Figures {
  const seen = new Set<string>();
  const counts = { changes: 0, returns: 0, rooms: 0 };
  let last: string | undefined;
  for (const { file } of steps) {
    if (file !== last && last !== undefined) {
      counts.changes++;
      if (seen.has(file)) counts.returns++;
      if (room(file) !== room(last)) counts.rooms++;
    }
    seen.add(file);
    last = file;
  }
  return { functions: steps.length, files: seen.size, ...counts };
}

/** The room that a file is in; files beside the rooms are in none. */
function room(file: string): string {
  return file.split("/").slice(1, -1).join("/");
}

function walk(steps: readonly Step[]): string {
  const lines: string[] = [];
  let last = "";
  for (const { file, name } of steps) {
    if (file === last) lines.push(`${lines.pop()}, ${name || "=>"}`);
    else lines.push(`${file}  ${name || "=>"}`);
    last = file;
  }
  return lines.join("\n");
}

if (import.meta.main) {
  const folder = Deno.args.find((arg) => !arg.startsWith("-")) ?? ".";
  const tree = new URL(`file://${await Deno.realPath(folder)}/`);
  await using server = await startRedis();
  await using redis = await Connection.connect(server.redisArgs);
  const steps = await follow(tree, redis, server.redisArgs);
  if (Deno.args.includes("--walk")) console.log(walk(steps));
  for (const [what, count] of Object.entries(figures(steps))) {
    const most = CEILING[what as keyof Figures];
    console.log(`${String(count).padStart(4)} ${what}, ${most} at most`);
  }
}
