import assert from "node:assert/strict";
import { buildAll } from "../../src/message/message.ts";
import { Event, Message } from "../../src/message/mod.ts";
import { eventText, refuses } from "./helpers.ts";

const { raw } = String;

/** An event whose nesting has so many levels, itself and its args included. */
function nested(levels: number, open = "[", close = "]"): string {
  return `{"type":"event","args":{"type":"x","a":${open.repeat(levels - 2)}${
    close.repeat(levels - 2)
  }}}`;
}

Deno.test("200 levels are read, more are refused", () => {
  assert.ok(Message.build(nested(200)));
  refuses(() => Message.build(nested(201)), /nested deeper than 200 levels/);
  const objects = (levels: number): string =>
    nested(levels, '{"b":', "}").replace(":}", ":0}");
  assert.ok(Message.build(objects(200)));
  refuses(() => Message.build(objects(201)), /nested deeper than 200 levels/);
  const python = (levels: number): string =>
    nested(levels).replaceAll('"', "'");
  assert.ok(Message.build(python(200)));
  refuses(() => Message.build(python(201)), /nested deeper than 200 levels/);
  refuses(
    () => Message.build(nested(201).replace("[", "[true,")),
    /nested deeper than 200 levels/,
  );
});

Deno.test("the levels of objects are counted as those of texts", () => {
  assert.ok(Message.build(JSON.parse(nested(200))));
  refuses(
    () => Message.build(JSON.parse(nested(201))),
    /nested deeper than 200/,
  );
  const { args } = JSON.parse(nested(201));
  refuses(() => new Event({ args }), /nested deeper than 200 levels/);
  assert.ok(new Event({ args: JSON.parse(nested(200)).args }).toString());
});

Deno.test("brackets in strings, and many beside each other, are no nesting", () => {
  const brackets = '[{"\\'.repeat(500);
  assert.equal(
    Event.build(eventText({ args: { type: "x", a: brackets } })).args["a"],
    brackets,
  );
  const many = Array.from({ length: 1000 }, () => [{}]);
  assert.deepEqual(
    Event.build(eventText({ args: { type: "x", a: many } })).args["a"],
    many,
  );
  assert.ok(
    Message.build(
      `{'type': 'event', 'args': {'type': 'x', 'a': '"${"[".repeat(500)}'}}`,
    ),
  );
});

Deno.test("millions of brackets are refused, not a crash", () => {
  for (const text of ["[", "{", '{"a":', "(", "[[],", "{'a':"]) {
    refuses(
      () => Message.build(text.repeat(1_000_000)),
      /nested deeper than 200 levels/,
    );
  }
});

Deno.test("a key __proto__ is refused wherever and however it is written", () => {
  for (
    const text of [
      '{"__proto__":{},"type":"event","args":{"type":"x"}}',
      '{"type":"event","args":{"type":"x","__proto__":1}}',
      '{"type":"event","args":{"type":"x","a":[[{"__proto__":null}]]}}',
      '{"type":"event","args":{"type":"x","\\u005f_proto__":1}}',
      '{"type":"event","args":{"type":"x","__prot\\u006F__":1}}',
      "{'type':'event','args':{'type':'x','__proto__':1}}",
      "{'type':'event','args':{'type':'x','\\x5f_pro' 'to__':1}}",
    ]
  ) {
    refuses(() => Message.build(text), /a key "__proto__"/);
  }
  refuses(
    () =>
      Message.build({
        type: "event",
        args: JSON.parse('{"type":"x","__proto__":1}'),
      }),
    /a key "__proto__"/,
  );
});

Deno.test("__proto__ as a value is a text like others", () => {
  for (const text of ["__proto__", "\\u005f_proto__"]) {
    const event = Event.build(
      `{"type":"event","args":{"type":"x","a":["${text}"]}}`,
    );
    assert.deepEqual(event.args["a"], ["__proto__"]);
  }
});

Deno.test("the size is limited in bytes", () => {
  const text = eventText({ args: { type: "é".repeat(100) } });
  const bytes = new TextEncoder().encode(text);
  const maxSize = bytes.length;
  assert.ok(Message.build(text, { maxSize }));
  assert.ok(Message.build(bytes, { maxSize }));
  for (const input of [text, bytes]) {
    refuses(
      () => Message.build(input, { maxSize: maxSize - 1 }),
      new RegExp(`has ${maxSize} bytes, more than the ${maxSize - 1}`),
      "too-large",
    );
  }
  refuses(
    () => Message.build("x".repeat(8 * 1024 * 1024 + 1)),
    /raise maxSize/,
    "too-large",
  );
});

Deno.test("bytes have to be UTF-8", () => {
  const encoder = new TextEncoder();
  const [before, after] = eventText({ args: { type: "x|" } }).split("|");
  for (
    const wrong of [[0xFF], [0xC3], [0xED, 0xA0, 0x80], [0xC0, 0x80], [0x80]]
  ) {
    const bytes = new Uint8Array([
      ...encoder.encode(before),
      ...wrong,
      ...encoder.encode(after),
    ]);
    refuses(() => Message.build(bytes), /is not UTF-8/);
  }
  const replaced = Event.build(
    encoder.encode(eventText({ args: { type: "\uFFFD" } })),
  );
  assert.equal(replaced.args.type, "\uFFFD");
});

Deno.test("NaN and infinities, which Python's json.dumps writes, become null", () => {
  const event = Event.build(
    '{"type": "event", "args": {"type": "x", "a": NaN, "b": [Infinity, -Infinity], "c": true, "d": null}}',
  );
  assert.deepEqual(event.args, {
    type: "x",
    a: null,
    b: [null, null],
    c: true,
    d: null,
  });
});

Deno.test("JSON with NaN and infinities is JSON, and no Python literal", () => {
  const cases: [string, unknown][] = [
    [raw`{"t":"zigbee2mqtt\/lamp","x":NaN}`, {
      t: "zigbee2mqtt/lamp",
      x: null,
    }],
    [raw`[NaN,"\u00e9\/",-Infinity]`, [null, "é/", null]],
    [raw`["NaN","-Infinity","\"NaN",NaN]`, ["NaN", "-Infinity", '"NaN', null]],
    [raw`{"NaN":"\\","b":Infinity}`, { NaN: "\\", b: null }],
    [raw`["\\\/",[NaN, NaN ,true]]`, ["\\/", [null, null, true]]],
  ];
  for (const [json, value] of cases) {
    const text = `{"type":"event","args":{"type":"x","a":${json}}}`;
    assert.deepEqual(Event.build(text).args["a"], value);
    const bytes = new TextEncoder().encode(text);
    assert.deepEqual(Event.build(bytes, { bigint: true }).args["a"], value);
  }
  for (const json of ["NaN1", "[Infinit]", "Infinity_", "[NaN,]]"]) {
    refuses(
      () => Message.build(`{"type":"event","args":{"type":"x","a":${json}}}`),
      /./,
    );
  }
});

Deno.test("whole numbers beyond 2^53 keep all their digits when asked for", () => {
  const digits = [
    "9007199254740993",
    "-9007199254740993",
    "18446744073709551616",
    "1" + "0".repeat(40) + "1",
  ];
  const json = `{"type":"event","args":{"type":"x","a":[${digits}],"b":{"c":${
    digits[0]
  },"d":9007199254740991,"e":0.30000000000000004,"f":"${digits[2]}"}}}`;
  const python = json.replaceAll('"', "'");
  for (const text of [json, python, json.replace('"d"', '"g":NaN,"d"')]) {
    for (const input of [text, new TextEncoder().encode(text)]) {
      const event = Event.build(input, { bigint: true });
      const { a, b } = event.args as Record<string, Record<string, unknown>>;
      assert.deepEqual(a, digits.map(BigInt));
      const { g: _, ...others } = b!;
      assert.deepEqual(others, {
        c: 2n ** 53n + 1n,
        d: 2 ** 53 - 1,
        e: 0.1 + 0.2,
        f: digits[2],
      });
      for (const written of [String(event), JSON.stringify(event)]) {
        assert.ok(written.includes(`"a":[${digits}]`), written);
        assert.deepEqual(Event.build(written, { bigint: true }), event);
      }
      assert.equal(event.toJSON().args, event.args);
    }
  }
  const [built] = buildAll([json, json], { bigint: true });
  assert.deepEqual((built as Event).args["a"], digits.map(BigInt));
  assert.equal(
    Event.build(json).args["b"] instanceof Object &&
      (Event.build(json).args["b"] as { c: unknown }).c,
    2 ** 53,
  );
});

Deno.test("big integers are compared and searched with all their digits", () => {
  const event = Event.build(
    '{"type":"event","args":{"type":"x","id":9007199254740993}}',
    { bigint: true },
  );
  assert.ok(event.matches({ id: 9007199254740993n }));
  assert.ok(!event.matches({ id: 9007199254740992 }));
  assert.ok(event.matches({ id: { $gt: 9007199254740000 } }));
});

Deno.test("numbers are doubles", () => {
  const read = (text: string): unknown =>
    Event.build(`{"type":"event","args":{"type":"x","a":${text}}}`).args["a"];
  assert.equal(read("9007199254740993"), 9007199254740992);
  assert.equal(read("1e400"), Infinity);
  assert.equal(read("1e-400"), 0);
  assert.equal(read("9".repeat(5000)), Infinity);
});

Deno.test("of equal keys the last counts", () => {
  for (const quote of ['"', "'"]) {
    const text =
      '{"type":"request","type":"event","args":{"type":"x","a":1,"a":2}}'
        .replaceAll('"', quote);
    assert.equal(Event.build(text).args["a"], 2);
  }
});

Deno.test("escapes of NUL and of lone surrogates are read, and written again", () => {
  const event = Event.build(
    '{"type":"event","args":{"type":"x","a":"\\u0000","b":"\\ud800"}}',
  );
  assert.equal(event.args["a"], "\0");
  assert.equal(event.args["b"], "\uD800");
  assert.deepEqual(
    Event.build(new TextEncoder().encode(String(event))).args,
    event.args,
  );
});

Deno.test("a NUL as such is refused", () => {
  for (const text of [eventText() + "\0", eventText().replace("x", "\0")]) {
    refuses(() => Message.build(text), /neither JSON nor a Python literal/);
  }
});

Deno.test("rubbish is refused with its place, and without its content", () => {
  for (const text of ["", " ", "hello", "{", "{'", eventText().slice(0, -1)]) {
    refuses(
      () => Message.build(text),
      /neither JSON nor a Python literal: expected .* at character \d+/,
    );
  }
  refuses(
    () => Message.build('{"type":"request","token":"hunter2"'),
    /^(?!.*hunter2)/,
  );
});

Deno.test("eight megabytes of anything are answered in time", () => {
  const size = 8 * 1024 * 1024;
  for (
    const piece of ["'", '"', "\\", "1", "1_", " ", "a", "'',", "[],", "(", "-"]
  ) {
    const rest = piece.repeat(Math.floor((size - 2) / piece.length));
    for (const start of ["", "[", "{'"]) {
      refuses(() => Message.build(start + rest), /./);
    }
  }
});
