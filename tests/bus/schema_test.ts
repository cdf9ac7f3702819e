import assert from "node:assert/strict";
import * as z from "zod";
import { RedisBackend } from "../../mod.ts";
import {
  Bus,
  Event,
  Request,
  type Schema,
  SchemaError,
} from "../../src/bus/mod.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const Motion = z.object({ room: z.string(), level: z.coerce.number() });

function open(name: string): Bus {
  return new Bus({
    name: `test/schema/${name}`,
    deviceId: "hall",
    plain: false,
  });
}

function motion(args: Record<string, unknown>): Record<string, unknown> {
  return { type: "event", args: { type: "custom.Motion", ...args }, _level: 2 };
}

Deno.test("Handlers get args of the schema's type, as it gives them", async () => {
  await using bus = open("types");
  const seen: unknown[] = [];
  bus.on({ type: "custom.Motion" }, ({ args, extra }) => {
    // Only the schema makes these types.
    seen.push([
      args.type,
      args.room.toUpperCase(),
      args.level.toFixed(1),
      extra,
    ]);
  }, { schema: Motion });
  bus.registerHandler(
    "custom.Motion",
    (event) => {
      seen.push(event.args.level + 1, event.redelivered);
    },
    undefined,
    { schema: Motion },
  );
  bus.registerHandler(
    Event,
    ({ args }) => {
      seen.push(args.room.length);
    },
    {},
    { schema: Motion },
  );
  bus.on<{ room: string }>({}, ({ args }) => {
    seen.push(args.room.length);
  });
  await bus.post(motion({ room: "hall", level: "3" }), { redelivered: [1] });
  await bus.flush();
  assert.deepEqual(seen, [
    ["custom.Motion", "HALL", "3.0", { _level: 2 }],
    4,
    1,
    4,
    4,
  ]);
});

Deno.test("An event that does not fit is malformed, and says what does not", async () => {
  await using bus = open("malformed");
  let calls = 0;
  bus.on({}, () => calls++, { schema: Motion });
  const receipt = await bus.post(motion({ room: 5, level: "x" }));
  const [failure] = await receipt.handled;
  assert.equal(failure?.reason, "malformed");
  assert.ok(failure.error instanceof SchemaError);
  assert.deepEqual(failure.error.issues.map(({ path }) => path), [
    "room",
    "level",
  ]);
  assert.match(
    failure.error.message,
    /^The event's args do not fit the schema: room: .*string.*; level: .*number/,
  );
  assert.equal(calls, 0);
});

Deno.test("A schema may take its time, and fail", async () => {
  await using bus = open("async");
  const seen: unknown[] = [];
  const known: Schema<{ room: string }> = {
    "~standard": {
      version: 1,
      vendor: "test",
      validate: async (value) => {
        await Promise.resolve();
        const { room } = value as { room: string };
        if (room === "moon") throw new Error("the list of rooms is away");
        return room === "hall" ? { value: { room } } : {
          issues: [{ message: "no such room", path: [{ key: "room" }] }],
        };
      },
    },
  };
  bus.on({}, ({ args }) => seen.push(args.room), { schema: known });
  const receipt = await bus.post(
    ["hall", "attic", "moon"].map((room) => motion({ room })),
  );
  const failures = await receipt.handled;
  assert.deepEqual(
    failures.map(({ index, reason, error }) => [index, reason, error.message])
      .sort(),
    [
      [
        1,
        "malformed",
        "The event's args do not fit the schema: room: no such room",
      ],
      [2, "failed", "the list of rooms is away"],
    ],
  );
  assert.deepEqual(seen, ["hall"]);
});

Deno.test("A schema is for events, and has to be one", async () => {
  await using bus = open("refused");
  assert.throws(
    () => bus.registerHandler(Request, () => {}, {}, { schema: Motion }),
    /a schema is for the args of events/,
  );
  assert.throws(
    () => bus.on({}, () => {}, { schema: {} as Schema }),
    /`schema` has to be a schema that speaks Standard Schema/,
  );
});

Deno.test("What does not fit a schema becomes a dead letter at once, with the issues", async () => {
  await using server = await TestServer.start();
  await using backend = new RedisBackend({
    redisArgs: server.args,
    queue: "schema",
    deviceId: "hall",
    maxDeliveries: 3,
  });
  const rooms: string[] = [];
  backend.bus.on({ type: "custom.Motion" }, ({ args }) => {
    rooms.push(args.room);
  }, { schema: Motion });
  await backend.start();
  for (const room of [5, "hall"]) {
    await server.run(
      "RPUSH",
      "schema",
      JSON.stringify(motion({ room, level: 1 })),
    );
  }
  await until(() => rooms.length === 1);
  const letters = backend.deadLetters();
  await until(async () => await letters.count() === 1);
  const [letter] = await Array.fromAsync(letters.list());
  assert.equal(letter?.reason, "malformed");
  assert.match(letter.error, /do not fit the schema: room: /);
  assert.deepEqual(rooms, ["hall"]);
});
