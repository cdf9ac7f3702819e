import assert from "node:assert/strict";
import fc from "fast-check";
import { buildAll } from "../../src/message/message.ts";
import { parseTexts } from "../../src/message/parse_text.ts";
import { Message, MessageError } from "../../src/message/mod.ts";
import { eventText } from "./helpers.ts";

const encoder = new TextEncoder();
const options = { deviceId: "hall", maxSize: 2000 };

/** What building each one by itself gives, so far as it can be compared. */
function one(input: string | Uint8Array): unknown {
  try {
    return plain(Message.build(input, options));
  } catch (error) {
    return plain(error as Error);
  }
}

function plain(built: Message | Error): unknown {
  return built instanceof Error
    ? { error: built.message, reason: (built as MessageError).reason }
    // What is filled in differs each time.
    : { ...built.toJSON(), id: 0, _timestamp: 0 };
}

function agrees(texts: string[]): void {
  for (const inputs of [texts, texts.map((text) => encoder.encode(text))]) {
    assert.deepEqual(
      buildAll(inputs, options).map(plain),
      inputs.map(one),
    );
  }
}

Deno.test("buildAll gives what build gives for each", () => {
  const good = fc.record({
    type: fc.constantFrom("event", "request", "response", "other"),
    target: fc.constantFrom("hall", "größe", ""),
    action: fc.string(),
    args: fc.record({ type: fc.string(), value: fc.jsonValue() }),
    response: fc.record({ output: fc.jsonValue() }),
  }, { requiredKeys: ["type"] }).map((value) => JSON.stringify(value));
  const bad = fc.oneof(
    fc.string({ unit: "grapheme" }),
    fc.constantFrom(
      "",
      "[",
      "]",
      "{",
      "1,2",
      "\uFEFF" + eventText(),
      "{'type': 'event', 'args': {'type': 'x', 'on': True}}",
      '{"type":"event","args":{"type":"x","__proto__":{"y":1}}}',
      '{"type":"event","args":{"type":"x","\\u005f_proto__":{"y":1}}}',
      '{"type":"event","args":{"type":"x","a":' + "[".repeat(300),
      '{"type":"event","args":{"type":"x","a":"' + "x".repeat(3000) + '"}}',
    ),
  );
  fc.assert(
    fc.property(fc.array(fc.oneof(good, good, good, bad)), agrees),
    { numRuns: 500 },
  );
});

Deno.test("buildAll keeps hundreds in their places, with what is read alone between them", () => {
  const texts = Array.from({ length: 700 }, (_, n) => {
    if (n % 150 === 140) return "no message";
    if (n % 90 === 80) return "{'type': 'event', 'args': {'type': 'x'}}";
    const text = n % 200 === 199 ? "x".repeat(1000) : `${n} größe`;
    return JSON.stringify({
      type: "event",
      args: { type: "x", text, n },
    });
  });
  agrees(texts);
});

Deno.test("parseTexts reads texts together, unless only a look at each can tell", () => {
  const values = [{ a: 1 }, "größe", [2]];
  const texts = values.map((value) => JSON.stringify(value));
  assert.deepEqual(parseTexts(texts), values);
  const bytes = (texts: string[]): Uint8Array[] =>
    texts.map((text) => encoder.encode(text));
  assert.deepEqual(parseTexts(bytes(texts)), values);
  for (const text of ["no", "[1", '{"__proto__":{}}', "1,2"]) {
    assert.equal(parseTexts([...texts, text]), undefined);
    assert.equal(parseTexts(bytes([...texts, text])), undefined);
  }
});

Deno.test("buildAll does not take two halves for a message", () => {
  // Joined with a comma, and with a mark known beforehand, this is an array of
  // as many items as there are texts.
  const event = '{"type":"event","args":{"type":"x"}}';
  agrees([`${event},${event}`, `{"type":"event","args":[1`, "2]}"]);
  agrees([`${event},0,${event}`, `{"type":"event","args":[1`, "2]}"]);
  agrees([`${event},${event},${event}`, `[`, "]"]);
});

Deno.test("buildAll says for each text that is not UTF-8 that it is none", () => {
  const text = encoder.encode(eventText({ target: "größe" }));
  const [first, second, third] = buildAll([
    text,
    new Uint8Array([...text.subarray(0, -3), 0xff, ...text.subarray(-2)]),
    encoder.encode(eventText({ target: "\uFFFD" })),
  ]);
  assert.ok(first instanceof Message);
  assert.ok(second instanceof MessageError);
  assert.match(second.message, /not UTF-8/);
  assert.ok(third instanceof Message);
});

Deno.test("buildAll takes messages and objects among texts", () => {
  const message = Message.build(eventText());
  const built = buildAll([
    eventText(),
    message,
    { type: "request", action: "light.on" },
    eventText(),
    encoder.encode(eventText()),
  ], options);
  assert.deepEqual(
    built.map((one) => (one as Message).type),
    ["event", "event", "request", "event", "event"],
  );
  assert.equal(built[1], message);
});
