import assert from "node:assert/strict";
import { Event } from "../../src/message/mod.ts";

/** What Platypush 1.3.35 itself says of an event and a hook's condition. */
interface Case {
  readonly args: Event["args"];
  readonly condition: Record<string, unknown>;
  readonly matches: boolean;
  /** Its own argument `assistant` is none of ours. */
  readonly captures?: Record<string, unknown>;
  readonly score?: number | "max";
}

const text = await Deno.readTextFile(
  new URL("platypush_conditions.jsonl", import.meta.url),
);
const cases: Case[] = text.trimEnd().split("\n").map((line) =>
  JSON.parse(line)
);
const SURE = 2 ** 60;

for (const [index, { args, condition, ...expected }] of cases.entries()) {
  const name = `${index + 1}: ${Deno.inspect(condition)}`;
  Deno.test(`Platypush agrees on condition ${name}`, () => {
    const match = new Event({ args }).match(condition);
    assert.equal(match !== undefined, expected.matches);
    if (match === undefined || expected.score === undefined) return;
    const { assistant: _, ...captures } = expected.captures!;
    assert.deepEqual(match.captures, captures);
    if (expected.score === "max") assert.ok(match.score > SURE);
    else assert.equal(match.score, expected.score);
  });
}
