import assert from "node:assert/strict";
import { Marks } from "../../src/bus/marks.ts";

function message(id: number): { type: string; id: string } {
  return { type: "event", id: String(id) };
}

Deno.test("Marks recognises each marked message once, also after some were lost", () => {
  const own = new Marks();
  const other = new Marks(own.buffer);
  for (const id of [1, 2, 3, 4]) own.add(message(id));
  assert.ok(other.take(message(2)));
  assert.ok(!other.take(message(2)), "posted again by somebody else");
  assert.ok(!other.take(message(9)), "never marked");
  assert.ok(!other.take({ type: "response", id: "3" }), "another kind");
  assert.ok(other.take(message(4)));
  assert.ok(!other.take(message(3)), "older than one that was seen");
});

Deno.test("Marks recognises the latest after any number of messages", () => {
  const own = new Marks();
  const other = new Marks(own.buffer);
  for (let id = 0; id < 5000; id++) own.add(message(id));
  const late = new Marks(own.buffer);
  assert.ok(other.take(message(4999)));
  assert.ok(late.take(message(4990)));
});

Deno.test("Marks recognises nothing that is no object", () => {
  const own = new Marks();
  own.add(message(1));
  const other = new Marks(own.buffer);
  for (const data of [undefined, null, 1, "text"]) assert.ok(!other.take(data));
});
