import assert from "node:assert/strict";
import { Event } from "../../src/message/mod.ts";
import {
  decodeFrame,
  decodeReport,
  encodeFrame,
  encodeReport,
  toWire,
} from "../../src/bus/frame.ts";

function event(name: string): Event {
  return new Event({
    target: "hall",
    origin: "hall",
    args: { type: "custom.Name", name },
  });
}

Deno.test("encodeFrame keeps messages, bytes, and how to build them", () => {
  const bytes = new Uint8Array([0xff, 0x00, 0x7b]);
  const messages = [event("plain"), event("Küche 🍳"), bytes, event("")];
  const wire = messages.map(toWire);
  const options = { target: "hall", redelivered: [0, 1, 2, 3] };
  const frame = decodeFrame(encodeFrame(7, wire, options));
  assert.equal(frame.number, 7);
  assert.deepEqual(frame.options, options);
  assert.deepEqual(frame.messages[2], bytes);
  for (const i of [0, 1, 3]) {
    const received = frame.messages[i]!;
    assert.deepEqual(Event.build(received), messages[i]);
  }
});

Deno.test("encodeFrame gives ASCII back as text, which is faster to build from", () => {
  const messages = [event("one"), event("two")];
  const frame = decodeFrame(encodeFrame(1, messages.map(toWire), {}));
  assert.deepEqual(frame.messages, messages.map(String));
});

Deno.test("encodeFrame makes a frame of nothing", () => {
  assert.deepEqual(decodeFrame(encodeFrame(0, [], {})), {
    number: 0,
    options: {},
    messages: [],
  });
});

Deno.test("encodeFrame fills a frame up to whole words", () => {
  for (let length = 0; length < 9; length++) {
    const bytes = new Uint8Array(length).fill(0xff);
    const frame = encodeFrame(0, [bytes], { target: "hall" });
    assert.equal(frame.length % 8, 0);
    assert.deepEqual(decodeFrame(frame).messages, [bytes.length ? bytes : ""]);
  }
});

Deno.test("encodeReport keeps failures with their errors", () => {
  const error = new TypeError("no light bulb in “Küche”");
  const failures = [{
    index: 3,
    reason: "failed" as const,
    error,
    subscriber: "worker",
  }];
  const report = decodeReport(encodeReport({ number: 9, failures }));
  assert.equal(report.number, 9);
  assert.deepEqual(
    report.failures.map(({ error: { name, message }, ...rest }) => ({
      ...rest,
      name,
      message,
    })),
    [{
      index: 3,
      reason: "failed",
      subscriber: "worker",
      name: "TypeError",
      message: error.message,
    }],
  );
  assert.deepEqual(
    decodeReport(encodeReport({ number: 1, failures: [] })).failures,
    [],
  );
});
