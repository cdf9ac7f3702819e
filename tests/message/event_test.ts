import assert from "node:assert/strict";
import { Event } from "../../src/message/mod.ts";
import { eventText, refuses } from "./helpers.ts";

Deno.test("an event made by hand is filled in", () => {
  const event = new Event({ args: { type: "x", seen: true } });
  assert.equal(event.type, "event");
  assert.equal(event.target, Deno.hostname());
  assert.match(event.id, /^[0-9a-f]{32}$/);
  assert.deepEqual(event.args, { type: "x", seen: true });
});

Deno.test("args of an event have to be an object with a type", () => {
  for (const args of [undefined, null, 5, "x", [], [{ type: "x" }]]) {
    refuses(() => Event.build({ type: "event", args }), /"args" is .*expected/);
    refuses(
      () => new Event({ args: args as unknown as Event["args"] }),
      /"args" is .*expected/,
    );
  }
  for (const type of [undefined, null, "", 5, {}]) {
    refuses(
      () => Event.build(eventText({ args: { type } })),
      /"args\.type" is .*expected the name/,
    );
  }
});

Deno.test("an event of Platypush is read", () => {
  const event = Event.build(
    '{"type": "event", "target": "livingroom", "origin": "livingroom", "id": "6c8d7b6d0e9c4f0f8a6f2f8f3c1d2e4b", "_timestamp": 1795450970.94, "args": {"type": "platypush.message.event.sensor.SensorDataChangeEvent", "data": {"temperature": 21.5}}}',
  );
  assert.equal(
    event.args.type,
    "platypush.message.event.sensor.SensorDataChangeEvent",
  );
  assert.deepEqual(event.args["data"], { temperature: 21.5 });
});
