import assert from "node:assert/strict";
import fc from "fast-check";
import {
  Event,
  Message,
  MessageError,
  type MessageInput,
  newId,
  Request,
  Response,
} from "../../src/message/mod.ts";
import { eventText, refuses } from "./helpers.ts";

Deno.test("each type on the wire becomes its class", () => {
  const event = Message.build(
    '{"type":"event","target":"livingroom","origin":"hall","id":"0a","_timestamp":1795450970.94,"args":{"type":"x","data":{"temperature":21.5}}}',
  );
  assert.ok(event instanceof Event);
  assert.equal(event.type, "event");
  assert.equal(event.target, "livingroom");
  assert.equal(event.origin, "hall");
  assert.equal(event.id, "0a");
  assert.equal(event.timestamp, 1795450970.94);
  assert.equal(event.redelivered, 0);
  assert.deepEqual(event.args, { type: "x", data: { temperature: 21.5 } });

  assert.ok(Message.build({ type: "request", action: "a" }) instanceof Request);
  assert.ok(
    Message.build({ type: "response", target: "a", response: {} }) instanceof
      Response,
  );
});

Deno.test("text, bytes, object, Python literal and message give the same", () => {
  const text = eventText({ id: "1", _timestamp: 2 });
  const python =
    "{'type': 'event', 'args': {'type': 'x'}, 'id': '1', '_timestamp': 2}";
  const expected = Message.build(text);
  const inputs: MessageInput[] = [
    new TextEncoder().encode(text),
    JSON.parse(text),
    python,
    new TextEncoder().encode(python),
    expected,
    "\n " + text + "\t",
    "\uFEFF" + text,
    new TextEncoder().encode("\uFEFF" + text),
    new Uint8Array(new SharedArrayBuffer(text.length)),
  ];
  new TextEncoder().encode(text).forEach((byte, index) => {
    (inputs.at(-1) as Uint8Array)[index] = byte;
  });
  for (const input of inputs) {
    assert.deepEqual(Message.build(input), expected);
  }
});

Deno.test("a message is returned as it is", () => {
  const event = new Event({ args: { type: "x" } });
  event.redelivered = 2;
  assert.equal(Message.build(event), event);
  assert.equal(Event.build(event).redelivered, 2);
});

Deno.test("a class builds only its own kind", () => {
  assert.ok(Event.build(eventText()) instanceof Event);
  refuses(
    () => Request.build(eventText()),
    /of the type "event", expected Request/,
  );
  refuses(
    () => Response.build(new Event({ args: { type: "x" } })),
    /expected Response/,
  );
});

Deno.test("missing, null and empty fields are filled in", () => {
  for (const value of [undefined, null, ""]) {
    const before = Date.now() / 1000;
    const message = Message.build({
      type: "event",
      args: { type: "x" },
      target: value,
      origin: value,
      id: value,
      _timestamp: value || undefined,
    }, { deviceId: "here" });
    assert.equal(message.target, "here");
    assert.equal(message.origin, "here");
    assert.match(message.id, /^[0-9a-f]{32}$/);
    assert.ok(message.timestamp >= before);
    assert.ok(message.timestamp <= Date.now() / 1000);
  }
  const { target, origin } = Message.build(eventText());
  assert.equal(target, Deno.hostname());
  assert.equal(origin, Deno.hostname());
});

Deno.test("the time of the epoch is a time", () => {
  assert.equal(Message.build(eventText({ _timestamp: 0 })).timestamp, 0);
});

Deno.test("a field of the wrong type is refused by its name", () => {
  for (const name of ["target", "origin", "id"]) {
    const numbers = name === "id" ? [] : [0, 1.5];
    for (const value of [false, true, [], {}, ...numbers]) {
      refuses(
        () => Message.build(eventText({ [name]: value })),
        new RegExp(`"${name}" is an? \\w+, expected a string`),
      );
    }
  }
  // A text has all digits of an id; a number that was rounded has not.
  refuses(
    () => Message.build({ ...JSON.parse(eventText()), id: 2 ** 53 }),
    /"id" is a number, expected a string/,
  );
  for (const value of ["soon", "", "inf", "2026-13-01T00:00", true, [], {}]) {
    refuses(
      () => Message.build(eventText({ _timestamp: value })),
      /"_timestamp" is .*, expected seconds/,
    );
  }
  refuses(
    () => new Event({ args: { type: "x" }, timestamp: NaN }),
    /not finite/,
  );
  refuses(
    () => Message.build(eventText().replace("{", '{"_timestamp":1e999,')),
    /not finite/,
  );
});

Deno.test("ids that are numbers, and times that are texts, are read as by Platypush", () => {
  for (const [id, text] of [[5, "5"], [0, "0"], [-1.5, "-1.5"]] as const) {
    const message = Message.build(eventText({ id }));
    assert.equal(message.id, text);
    assert.equal(message.toJSON().id, id);
    assert.ok(message.toString().includes(`"id":${id},`));
    message.id = "other";
    assert.equal(message.toJSON().id, "other");
  }
  const large = Message.build(
    eventText().replace("{", '{"id":9007199254740993,'),
    {
      bigint: true,
    },
  );
  assert.equal(large.id, "9007199254740993");
  assert.ok(large.toString().includes('"id":9007199254740993,'));
  const times: [string, number][] = [
    ["1795450970.94", 1795450970.94],
    [" 1_795_450_970 ", 1795450970],
    ["2026-11-29T17:00:00Z", Date.UTC(2026, 10, 29, 17) / 1000],
    [
      "2026-11-29T17:00:00.250000+00:00",
      Date.UTC(2026, 10, 29, 17) / 1000 + 0.25,
    ],
  ];
  for (const [text, time] of times) {
    assert.equal(
      Message.build(eventText({ _timestamp: text })).timestamp,
      time,
    );
  }
});

Deno.test("a wrong type of message is refused, and named only when it is short text", () => {
  refuses(() => Message.build("{}"), /"type" is missing, expected "event"/);
  refuses(() => Message.build({ type: "Event" }), /"type" is "Event"/);
  refuses(() => Message.build({ type: 5 }), /"type" is a number/);
  refuses(() => Message.build({ type: null }), /"type" is null/);
  refuses(() => Message.build({ type: "toString" }), /"type" is "toString"/);
  assert.throws(
    () => Message.build({ type: "x".repeat(1e6) }),
    (error: Error) => error.message.length < 200,
  );
});

Deno.test("what is not an object is refused", () => {
  for (const text of ["[]", "5", '"event"', "null", "true", "[{}]", "(1,)"]) {
    refuses(() => Message.build(text), /The message is .*, expected an object/);
  }
  for (const input of [[], null, 5, undefined, new Date(), () => {}, 5n]) {
    refuses(
      () => Message.build(input as unknown as string),
      /expected an object/,
    );
  }
});

Deno.test("unknown keys stay on the wire", () => {
  const message = Message.build(
    eventText({ _logging_level: 20, backend: "mqtt" }),
  );
  assert.deepEqual(message.extra, { _logging_level: 20, backend: "mqtt" });
  assert.equal(message.toJSON()._logging_level, 20);
  assert.equal(
    Message.build(String(message)).toJSON().backend,
    "mqtt",
  );
  assert.deepEqual(Message.build(eventText()).extra, {});
  const own = new Event({ args: { type: "x" }, extra: { a: 1, target: "no" } });
  assert.equal(own.toJSON().a, 1);
  assert.equal(own.toJSON().target, Deno.hostname());
});

Deno.test("the wire has all fields, the type first, and no others", () => {
  const event = new Event({
    target: "a",
    origin: "b",
    id: "c",
    timestamp: 1,
    args: { type: "x" },
  });
  event.redelivered = 5;
  assert.equal(
    event.toString(),
    '{"type":"event","target":"a","origin":"b","id":"c","_timestamp":1,"args":{"type":"x"}}',
  );
});

Deno.test("changes to a message reach the wire", () => {
  const event = Event.build(eventText());
  event.target = "elsewhere";
  event.args["at"] = new Date(0);
  assert.equal(event.toJSON().target, "elsewhere");
  assert.deepEqual(event.toJSON().args, {
    type: "x",
    at: "1970-01-01T00:00:00.000Z",
  });
});

Deno.test("objects that are JSON already are kept, not copied", () => {
  const args = { type: "x", list: [1, { a: null }] };
  assert.equal(new Event({ args }).args, args);
  assert.equal(Event.build({ type: "event", args }).args, args);
});

Deno.test("an object that was built from is not changed", () => {
  const input = Object.freeze({
    type: "event",
    args: Object.freeze({ type: "x", at: new Date(0) }),
  });
  const event = Event.build(input);
  assert.equal(event.args["at"], "1970-01-01T00:00:00.000Z");
  assert.ok(input.args.at instanceof Date);
});

Deno.test("a derived class matches as its base", () => {
  class Motion extends Event {}
  const motion = new Motion({ args: { type: "x" } });
  assert.equal(Event.build(motion), motion);
  assert.equal(Motion.build(motion), motion);
  refuses(() => Motion.build(eventText()), /expected Motion/);
});

Deno.test("build(toString(m)) equals m for generated messages", () => {
  // JSON has no -0, and messages no __proto__.
  const json = fc.jsonValue({ maxDepth: 6 }).map((value) =>
    JSON.parse(JSON.stringify(value).replaceAll("__proto__", "proto"))
  );
  const key = fc.string().filter((name) => name !== "__proto__");
  const record = fc.dictionary(key, json, { noNullPrototype: true });
  const text = fc.string({ minLength: 1 });
  const common = {
    target: text,
    origin: text,
    id: text,
    timestamp: fc.double({ noNaN: true, noDefaultInfinity: true }).map((n) =>
      n + 0
    ),
  };
  const message = fc.oneof(
    fc.record({ ...common, args: record, type: text }).map((
      { type, args, ...init },
    ) => new Event({ ...init, args: { ...args, type } })),
    fc.record({
      ...common,
      action: text,
      args: record,
      token: fc.option(text),
    }).map((init) => new Request(init)),
    fc.record({
      ...common,
      output: fc.oneof(json, text, json.map((value) => JSON.stringify(value))),
      errors: fc.array(fc.oneof(json, text)),
    }).map((init) => new Response(init)),
  );
  fc.assert(
    fc.property(message, (message) => {
      const wire = message.toString();
      const built = Message.build(wire);
      assert.deepEqual(built, message);
      assert.deepEqual(Message.build(new TextEncoder().encode(wire)), message);
      assert.equal(built.toString(), wire);
      assert.deepEqual(Message.build(message.toJSON()), message);
    }),
    { numRuns: 1000 },
  );
});

Deno.test("whatever the text is, build returns a message or throws a MessageError", () => {
  const piece = fc.constantFrom(
    ..."{}[](),:'\"\\-+.019eExbu_ \n\0\uFEFF\uD800é😀".split(""),
    ...["type", "event", "args", "None", "true", "nan", "set(", "__proto__"],
    '{"type":"event","args":{"type":"x","a":',
    "{'type':'request','action':'a','args':",
  );
  const texts = fc.oneof(
    fc.array(piece, { maxLength: 40 }).map((pieces) => pieces.join("")),
    fc.string({ unit: "binary" }),
  );
  const survives = (input: MessageInput): void => {
    try {
      assert.ok(Message.build(input) instanceof Message);
    } catch (error) {
      assert.ok(error instanceof MessageError, String(error));
    }
  };
  fc.assert(fc.property(texts, survives), { numRuns: 2000 });
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), survives));
  fc.assert(fc.property(fc.anything(), (value) => survives(value as string)));
});

Deno.test("ids are 32 hexadecimal digits, and differ", () => {
  const ids = Array.from({ length: 1000 }, newId);
  assert.equal(new Set(ids).size, 1000);
  assert.ok(ids.every((id) => /^[0-9a-f]{32}$/.test(id)));
});
