import assert from "node:assert/strict";
import { detailsLine } from "../../src/message/details_line.ts";

Deno.test("detailsLine() writes values by name as behind `send event`, with all digits", () => {
  const details = {
    type: "dimmed",
    room: "front hall",
    level: 2n ** 64n,
    lamps: [{ serial: 2n ** 64n }, "a"],
  };
  assert.equal(
    detailsLine(details),
    'type=dimmed room="front hall" level=18446744073709551616 lamps=[{"serial":18446744073709551616},"a"]',
  );
});

Deno.test("detailsLine() parts a list by semicolons", () => {
  const errors = ["The lamp is gone", "timeout", { code: 7 }];
  assert.equal(detailsLine(errors), '"The lamp is gone"; timeout; {"code":7}');
});
