import assert from "node:assert/strict";
import { Request } from "../../src/message/mod.ts";
import { refuses } from "./helpers.ts";

Deno.test("a request of Platypush is read", () => {
  const request = Request.build(
    '{"type": "request", "target": "livingroom", "action": "light.hue.on", "args": {"groups": ["Kitchen"]}, "origin": "deno-host", "id": "6c8d7b6d0e9c4f0f8a6f2f8f3c1d2e4b", "token": null, "_timestamp": 1795450970.93}',
  );
  assert.equal(request.action, "light.hue.on");
  assert.deepEqual(request.args, { groups: ["Kitchen"] });
  assert.equal(request.token, null);
});

Deno.test("args and token of a request may be missing", () => {
  for (const value of [undefined, null]) {
    const request = Request.build({
      type: "request",
      action: "a",
      args: value,
      token: value,
    });
    assert.deepEqual(request.args, {});
    assert.equal(request.token, null);
  }
  assert.equal(
    new Request({ action: "a", token: "secret" }).toJSON().token,
    "secret",
  );
});

Deno.test("a wrong action, args or token is refused, without the token", () => {
  for (const action of [undefined, null, "", 5, ["a"]]) {
    refuses(
      () => Request.build({ type: "request", action }),
      /"action" is .*, expected the name of an action/,
    );
  }
  for (const args of [5, "x", true]) {
    refuses(
      () => Request.build({ type: "request", action: "a", args }),
      /"args" is .*, expected an object or a list/,
    );
  }
  refuses(
    () => Request.build({ type: "request", action: "a", token: [271828] }),
    /^(?!.*271828).*"token" is an array, expected a string or null$/,
  );
});

Deno.test("arguments may be a list, and a token a number, as Platypush takes them", () => {
  const wire = {
    type: "request",
    action: "light.on",
    args: ["hall", { level: 3 }],
    token: 271828,
  };
  for (
    const request of [
      Request.build(JSON.stringify(wire)),
      Request.build(wire),
      Request.build(String(Request.build(wire))),
    ]
  ) {
    assert.deepEqual(request.args, {});
    assert.deepEqual(request.positional, ["hall", { level: 3 }]);
    assert.equal(request.token, "271828");
    assert.deepEqual(request.toJSON().args, wire.args);
    assert.equal(request.toJSON().token, 271828);
  }
  const request = new Request({ action: "a", args: [new Date(0)] });
  assert.deepEqual(request.positional, ["1970-01-01T00:00:00.000Z"]);
  assert.deepEqual(new Request({ action: "a", args: [] }).toJSON().args, {});
});

Deno.test("Request shows no token where people read it, and keeps it on the wire", () => {
  const request = new Request({
    target: "hall",
    origin: "kitchen",
    action: "lights.on",
    args: { room: "attic" },
    token: "s3cret",
  });
  const shown = Deno.inspect([request], { depth: 9 });
  assert.doesNotMatch(shown, /s3cret/);
  assert.match(shown, /Request \{[^]*action: "lights\.on"[^]*token: "\*\*\*"/);
  assert.equal(request.toJSON().token, "s3cret");
  const without = new Request({ target: "a", origin: "b", action: "c" });
  assert.match(Deno.inspect(without), /token: null/);
});
