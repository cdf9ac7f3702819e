import assert from "node:assert/strict";
import * as z from "zod";
import { defineEvent, Event, SchemaError } from "../../src/bus/mod.ts";
import { event, open } from "./buses.ts";

const Measured = defineEvent(
  "custom.Measured",
  z.object({ room: z.string(), at: z.iso.date().pipe(z.coerce.date()) }),
);

Deno.test("What defineEvent makes sends events, and listens to them with types", async () => {
  await using bus = open();
  const years: number[] = [];
  const rooms: string[] = [];
  bus.on(Measured, ({ args }) => years.push(args.at.getUTCFullYear()));
  bus.registerHandler(
    Measured,
    ({ args }) => rooms.push(args.room.toUpperCase()),
    { "args.room": "hall" },
  );
  const measured = Measured({ room: "hall", at: "2026-05-01" }, {
    target: "attic",
  });
  // On the wire is what was given: whoever receives it reads it once more.
  const given: string = measured.args.at;
  assert.equal(given, "2026-05-01");
  assert.equal(measured.args.type, "custom.Measured");
  assert.equal(measured.target, "attic");
  const receipt = await bus.post([
    measured,
    Measured({ room: "attic", at: "2027-05-01" }),
    event(1),
  ]);
  assert.deepEqual(await receipt.handled, []);
  assert.deepEqual([years, rooms], [[2026, 2027], ["HALL"]]);
});

Deno.test("What defineEvent makes takes nothing that does not fit, and hands on nothing", async () => {
  await using bus = open();
  bus.on(Measured, () => assert.fail("it does not fit"));
  assert.throws(
    () => Measured({ room: "hall", at: "never" }),
    SchemaError,
  );
  const receipt = await bus.post(
    { type: "event", args: { type: "custom.Measured", room: 5, at: "x" } },
  );
  const [failure] = await receipt.handled;
  assert.equal(failure?.reason, "malformed");
  assert.match(failure.error.message, /room: .*; at: /);
});

Deno.test("defineEvent does without a schema, and refuses what is none of its names or schemas", async () => {
  await using bus = open();
  interface Door {
    open: boolean;
  }
  const Door = defineEvent<Door>("custom.Door");
  const seen: boolean[] = [];
  bus.on(Door, ({ args }) => seen.push(args.open));
  await bus.post(Door({ open: true }));
  await bus.flush();
  assert.deepEqual(seen, [true]);
  for (const name of ["", 5, undefined]) {
    assert.throws(() => defineEvent(name as string), TypeError);
  }
  for (const schema of [{ schema: z.object({}) }, null, "object"]) {
    assert.throws(() => defineEvent("custom.Door", schema as never), {
      name: "TypeError",
      message:
        "Cannot define the event: `schema` has to be a schema that speaks Standard Schema",
    });
  }
  const slow = defineEvent("custom.Slow", z.object({}).refine(async () => {}));
  assert.throws(() => slow({}), /its schema takes its time/);
});

Deno.test("A strict schema need not know the type of events", async () => {
  await using bus = open();
  const Strict = defineEvent("custom.Strict", z.strictObject({ n: z.int() }));
  const seen: number[] = [];
  bus.on(Strict, ({ args }) => seen.push(args.n));
  const named = z.strictObject({ type: z.string(), n: z.int() });
  bus.on({ type: "custom.Strict" }, ({ args }) => seen.push(args.n), {
    schema: named.refine(() => Promise.resolve(true)),
  });
  const receipt = await bus.post([
    Strict({ n: 1 }),
    { type: "event", args: { type: "custom.Strict", n: "x" } },
  ]);
  const [failure] = await receipt.handled;
  assert.match(failure!.error.message, /schema: n: [^;]*$/);
  assert.deepEqual(seen, [1, 1]);
});

Deno.test("Args have the types that somebody says, without casts", async () => {
  interface Motion {
    room: string;
    level?: number;
  }
  await using bus = open();
  const rooms: string[] = [];
  bus.registerHandler("custom.Motion", (event) => event.args);
  bus.registerHandler(Event, (event) => {
    const { room } = event.args as Motion;
    rooms.push(room);
  });
  bus.registerHandler<Motion>("custom.Motion", ({ args }) => {
    rooms.push(args.room, args.type);
  });
  bus.on({ type: "custom.Motion" }, (event: Event<Motion>) => {
    rooms.push(event.args.room);
  });
  const motion: Motion = { room: "hall" };
  await bus.post(new Event({ args: { type: "custom.Motion", ...motion } }));
  await bus.flush();
  assert.deepEqual(rooms, ["hall", "hall", "custom.Motion", "hall"]);
});
