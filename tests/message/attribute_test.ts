import assert from "node:assert/strict";
import { attribute, Event, Response } from "../../src/message/mod.ts";

const event = Event.build({
  type: "event",
  target: "hall",
  _logging_level: { name: "info" },
  args: {
    type: "x",
    data: { temperature: 21.5, list: [{ a: 1 }], none: null },
  },
});

Deno.test("attributes are read by their path", () => {
  assert.equal(attribute(event, "target"), "hall");
  assert.equal(attribute(event, "timestamp"), event.timestamp);
  assert.equal(attribute(event, "args.type"), "x");
  assert.equal(attribute(event, "args.data.temperature"), 21.5);
  assert.equal(attribute(event, "args.data.list.0.a"), 1);
  assert.equal(attribute(event, "args.data.none"), null);
  assert.equal(attribute(event, "_logging_level.name"), "info");
  const response = new Response({ target: "a", output: { on: true } });
  assert.equal(attribute(response, "output.on"), true);
});

Deno.test("what is missing, inherited or no object is undefined", () => {
  for (
    const path of [
      "",
      ".",
      "args.",
      "args.other",
      "args.data.none.x",
      "args.type.length",
      "args.data.list.1.a",
      "toString",
      "constructor",
      "args.constructor.name",
      "args.__proto__",
      "args.data.list.map",
    ]
  ) {
    assert.equal(attribute(event, path), undefined, path);
  }
});
