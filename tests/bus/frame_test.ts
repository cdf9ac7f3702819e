import assert from "node:assert/strict";
import { Event } from "../../src/message/mod.ts";
import {
  decodeFrame,
  decodeReport,
  encodeFrame,
  encodeReport,
  toWire,
} from "../../src/bus/frame.ts";

/** Puts the pieces of a frame together, as a ring does. */
function joined(pieces: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(pieces.flatMap((piece) => [...piece]));
}

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
  const frame = decodeFrame(joined(encodeFrame(7, wire, options)));
  assert.equal(frame.number, 7);
  assert.deepEqual(frame.options, options);
  assert.deepEqual(frame.messages[2], bytes);
  for (const i of [0, 1, 3]) {
    const received = frame.messages[i]!;
    assert.deepEqual(Event.build(received), messages[i]);
  }
});

Deno.test("encodeFrame copies at once what is next to each other in memory", () => {
  const texts = Array.from({ length: 99 }, (_, i) => `{"n":"Küche ${i}"}`);
  const lines = texts.map((text) => new TextEncoder().encode(text));
  for (const before of ["", "$18\r\n", "x".repeat(17)]) {
    // As they come by a socket.
    const memory = new Uint8Array(2 ** 12);
    let at = 3;
    const messages = lines.map((line) => {
      at += new TextEncoder().encodeInto(before, memory.subarray(at)).written;
      memory.set(line, at);
      return memory.subarray(at, at += line.length);
    });
    // Others come from elsewhere, before their time, or twice.
    const { byteOffset, length } = messages[49]!;
    const elsewhere = new Uint8Array(2 ** 12).subarray(byteOffset + length);
    const [, one] = lines;
    elsewhere.set(one!);
    const other = elsewhere.subarray(0, one!.length);
    messages.splice(50, 0, other, messages[70]!, messages[71]!, messages[71]!);
    const pieces = encodeFrame(1, messages, {});
    assert.deepEqual(decodeFrame(joined(pieces)).messages, messages);
  }
});

Deno.test("encodeFrame makes a frame of nothing", () => {
  assert.deepEqual(decodeFrame(joined(encodeFrame(0, [], {}))), {
    number: 0,
    options: {},
    messages: [],
  });
});

Deno.test("encodeFrame fills a frame up to whole words", () => {
  for (let length = 0; length < 9; length++) {
    const bytes = new Uint8Array(length).fill(0xff);
    const frame = joined(encodeFrame(0, [bytes], { target: "hall" }));
    assert.equal(frame.length % 8, 0);
    assert.deepEqual(decodeFrame(frame).messages, [bytes]);
  }
});

Deno.test("encodeFrame does not copy large messages, nor many that are next to each other", () => {
  for (const extra of [0, 1, 7, 8]) {
    const bytes = new Uint8Array(20_000 + extra).fill(0xff);
    const pieces = encodeFrame(3, [bytes, "text", bytes], { target: "hall" });
    assert.ok(pieces.includes(bytes));
    const frame = joined(pieces);
    assert.equal(frame.length % 8, 0);
    assert.equal(new Uint32Array(frame.buffer, 0, 1)[0], frame.length);
    const { messages, options } = decodeFrame(frame);
    assert.deepEqual(options, { target: "hall" });
    assert.deepEqual(messages[0], bytes);
    assert.deepEqual(messages[2], bytes);
    assert.equal(new TextDecoder().decode(messages[1]), "text");
    const many = Array.from(
      { length: 200 },
      (_, i) => bytes.subarray(100 * i, 100 * i + 99),
    );
    const inOne = encodeFrame(4, many, {});
    assert.deepEqual(inOne.filter(({ length }) => length > 7).length, 2);
    assert.equal(inOne[2]!.buffer, bytes.buffer);
    assert.deepEqual(decodeFrame(joined(inOne)).messages, many);
  }
});

Deno.test("encodeFrame puts large messages as far from whole words as they were", () => {
  const memory = new Uint8Array(60_000).fill(0xff);
  const messages = [3, 20_006, 40_001].map((from) =>
    memory.subarray(from, from + 19_997)
  );
  let place = 0;
  for (const piece of encodeFrame(0, messages, { target: "hall" })) {
    if (piece.length > 7) assert.equal((place - piece.byteOffset) % 8, 0);
    place += piece.length;
  }
  const frame = joined(encodeFrame(0, messages, { target: "hall" }));
  assert.deepEqual(decodeFrame(frame).messages, messages);
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
