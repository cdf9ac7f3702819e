/**
 * One consumer of a queue, in a process of its own, by one of the ways that
 * `bench/peers.ts`, `bench/load.ts` and `bench/redis.ts` compare:
 *
 *     consumer.ts CONTENDER SOCKET QUEUE [COUNT [BATCH]]
 *
 * It says "started" once it takes messages, and what `count.ts` says. It ends when
 * stdin does. Those by hand take up to BATCH at once, and look every second whether
 * they shall stop, as Platypush does. They, ours and the libraries are in files of
 * their own, so that none carries what another one has loaded.
 */
// deno-lint-ignore-file no-console -- this is a program
import { beginNow, sinceBegin } from "./count.ts";
import type { Contender } from "./process.ts";

const [contender] = Deno.args as [Contender];
const libraries: readonly Contender[] = ["BullMQ", "bee-queue"];
const file = contender.startsWith("ours")
  ? "ours.ts"
  : libraries.includes(contender)
  ? "libraries.ts"
  : "by_hand.ts";
// Deno would read all if their names stood in an import.
const { ways } = await import(new URL(file, import.meta.url).href);
beginNow();
await ways[contender]();
console.log("started", sinceBegin());
for await (const _ of Deno.stdin.readable);
Deno.exit(0);
