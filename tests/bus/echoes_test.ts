import assert from "node:assert/strict";
import { Echoes } from "../../src/bus/plain_channel.ts";
import { Roster } from "../../src/bus/roster.ts";

function message(id: number): { type: string; id: string } {
  return { type: "event", id: String(id) };
}

function buses(count: number): Echoes[] {
  const roster = new Roster();
  return Array.from({ length: count }, () => new Echoes(roster.echoes));
}

Deno.test("Echoes recognises each frame of another bus once, also after some were lost", () => {
  const [own, other, third] = buses(3) as [Echoes, Echoes, Echoes];
  for (const id of [1, 2, 3, 4]) own.add(message(id));
  assert.ok(other.take(message(2)));
  assert.ok(!other.take(message(2)), "posted again by somebody else");
  assert.ok(!other.take(message(9)), "never noted");
  assert.ok(!other.take({ type: "response", id: "3" }), "another kind");
  assert.ok(other.take(message(4)));
  assert.ok(third.take(message(2)), "for every bus its own");
});

Deno.test("Echoes takes no frame of its own for another's", () => {
  const [own, other] = buses(2) as [Echoes, Echoes];
  own.add(message(1));
  other.add(message(2));
  assert.ok(!own.take(message(1)));
  assert.ok(own.take(message(2)));
  assert.ok(!other.take(message(2)));
  assert.ok(other.take(message(1)));
});

Deno.test("Echoes recognises the latest after any number of messages", () => {
  const [own, other] = buses(2) as [Echoes, Echoes];
  for (let id = 0; id < 20_000; id++) own.add(message(id));
  assert.ok(other.take(message(19_999)));
  assert.ok(other.take(message(19_990)));
  assert.ok(!other.take(message(100)));
});

Deno.test("Echoes recognises nothing that is no object", () => {
  const [own, other] = buses(2) as [Echoes, Echoes];
  own.add(message(1));
  for (const data of [undefined, null, 1, "text"]) {
    assert.ok(!other.take(data));
  }
});
