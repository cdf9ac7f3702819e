import assert from "node:assert/strict";
import { newId } from "../../src/message/mod.ts";

Deno.test("ids are 32 hexadecimal digits, and differ", () => {
  const ids = Array.from({ length: 1000 }, newId);
  assert.equal(new Set(ids).size, 1000);
  assert.ok(ids.every((id) => /^[0-9a-f]{32}$/.test(id)));
});
