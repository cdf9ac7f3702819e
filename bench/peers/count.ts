/**
 * Counts what a consumer handles, in whichever thread its handler is: after every
 * COUNT messages, `Deno.args[3]`, it says "done" with the {@linkcode Turn}.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- it is how a consumer talks
import type { Turn } from "./process.ts";

const count = Number(Deno.args[3] ?? 0);
let begin = now();
let first = 0;
let handled = 0;
let latencies: number[] = [];

/** Milliseconds since 1970, which count alike in all processes. */
export function now(): number {
  return performance.timeOrigin + performance.now();
}

/** Says that the consumer begins to connect, its program being loaded. */
export function beginNow(): void {
  begin = now();
}

/** Tells how long ago that was, in milliseconds. */
export function sinceBegin(): number {
  return now() - begin;
}

/** Counts a message; `sent` is when that was, if it says so. */
export function countOne(sent?: unknown): void {
  if (handled++ === 0) first = now();
  if (typeof sent === "number") {
    latencies.push(Math.round((now() - sent) * 1000));
  }
  if (handled !== count) return;
  const turn: Turn = { begin, first, last: now(), latencies };
  console.log("done", JSON.stringify(turn));
  handled = 0;
  latencies = [];
}
