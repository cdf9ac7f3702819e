import assert from "node:assert/strict";
import { Response, type ResponseFields } from "../../src/message/mod.ts";
import { refuses } from "./helpers.ts";

function build(response: unknown): Response {
  return Response.build({ type: "response", target: "a", response });
}

Deno.test("a response of Platypush is read", () => {
  const response = Response.build(
    '{"type": "response", "target": "deno-host", "origin": "livingroom", "id": "0a", "_timestamp": 1795450970.95, "response": {"output": "hi\\n", "errors": []}, "_logging_level": 20}',
  );
  assert.equal(response.id, "0a");
  assert.equal(response.output, "hi\n");
  assert.deepEqual(response.errors, []);
  assert.deepEqual(response.extra, { _logging_level: 20 });
});

Deno.test("no output is success or its opposite", () => {
  const target = "a";
  assert.deepEqual(new Response({ target }).output, { success: true });
  assert.deepEqual(new Response({ target, output: null }).output, {
    success: true,
  });
  assert.deepEqual(new Response({ target, errors: ["no"] }).toJSON().response, {
    output: { success: false },
    errors: ["no"],
  });
});

Deno.test("all forms of a response are read", () => {
  const cases: [unknown, unknown, unknown[]][] = [
    [{ success: true }, { success: true }, []],
    [{}, { success: true }, []],
    [{ output: { success: true }, errors: [] }, { success: true }, []],
    [{ output: 5 }, 5, []],
    [{ errors: ["no"] }, { success: false }, ["no"]],
    [{ output: null, errors: null }, { success: true }, []],
    [{ output: null, errors: "no" }, { success: false }, ["no"]],
    [{ output: "", errors: [] }, "", []],
    [{ output: 0, errors: [] }, 0, []],
    [{ output: 1, errors: '["a", "b"]' }, 1, ["a", "b"]],
  ];
  for (const [wire, output, errors] of cases) {
    const response = build(wire);
    assert.deepEqual(response.output, output);
    assert.deepEqual(response.errors, errors);
  }
  const failed = build({ success: false });
  assert.deepEqual(failed.output, { success: false });
  assert.equal(failed.errors.length, 1);
});

Deno.test("texts that are JSON are decoded", () => {
  const cases: [string, unknown][] = [
    ['{"on": true}', { on: true }],
    [" [1, 2]\n", [1, 2]],
    ["5", 5],
    ["-1.5", -1.5],
    ["true", true],
    ['"text"', "text"],
    ["text", "text"],
    ["{'on': True}", "{'on': True}"],
    ["[1,", "[1,"],
    ["NaN", "NaN"],
    ["2026-01-01", "2026-01-01"],
  ];
  for (const [text, value] of cases) {
    assert.deepEqual(build({ output: text, errors: [] }).output, value);
    assert.deepEqual(build({ output: 1, errors: [text] }).errors, [value]);
  }
});

Deno.test("a text that must not be decoded stays a text", () => {
  for (
    const text of [
      '{"__proto__": {}}',
      "[".repeat(300) + "]".repeat(300),
    ]
  ) {
    assert.equal(build({ output: text, errors: [] }).output, text);
  }
});

Deno.test("a text that looks like JSON arrives as the text it was", () => {
  for (const text of ["5", '{"a":1}', '"x"', "null", '"\\"5\\""']) {
    const sent = new Response({ target: "a", output: text, errors: [text] });
    const received = Response.build(String(sent));
    assert.equal(received.output, text);
    assert.deepEqual(received.errors, [text]);
  }
});

Deno.test("errors that were thrown are written as text", () => {
  const response = new Response({
    target: "a",
    errors: [new TypeError("no such lamp")],
  });
  assert.deepEqual(response.errors, ["TypeError: no such lamp"]);
});

Deno.test("a response without its target, or malformed, is refused", () => {
  for (const target of [undefined, null, ""]) {
    refuses(
      () => Response.build({ type: "response", target, response: {} }),
      /"target" is .*, expected the device that sent the request/,
    );
  }
  refuses(
    () => new Response({} as ResponseFields),
    /"target" is missing/,
  );
  for (const response of [undefined, null, 5, "x", []]) {
    refuses(() => build(response), /"response" is .*, expected an object/);
  }
  refuses(
    () =>
      new Response({
        target: "a",
        errors: "no" as unknown as readonly string[],
      }),
    /"errors" is a string, expected an array/,
  );
});
