import assert from "node:assert/strict";
import process from "node:process";
import { TestServer } from "../servers.ts";

Deno.test("A command that cannot be sent leaves the connection as it is", async (t) => {
  await using server = await TestServer.start();
  const { redis } = server;
  const run = redis.command.bind(redis) as (
    ...args: unknown[]
  ) => Promise<unknown>;
  const script = redis.script.bind(redis) as typeof run;
  const warnings: string[] = [];
  const warn = ({ message }: Error) => warnings.push(message);
  process.on("warning", warn);
  try {
    for (
      const [part, type] of [
        [1, "of the type number"],
        [null, "null"],
        [undefined, "of the type undefined"],
        [{}, "of the type object"],
        [[1], "of the type object"],
        [Symbol("s"), "of the type symbol"],
      ]
    ) {
      await t.step(`a part that is ${String(type)}`, async () => {
        await assert.rejects(run(["GET", part]), {
          name: "TypeError",
          message: `Cannot run a command: its part 2 is ${
            String(type)
          }, expected a text or bytes; a number is written as String(number)`,
        });
      });
    }
    for (
      const options of [{ block: NaN }, { block: -1 }, { block: "1" }]
    ) {
      await t.step(`options that are ${Deno.inspect(options)}`, async () => {
        await assert.rejects(run(["PING"], options), {
          name: "TypeError",
          message: /`block` is .*, expected a number of seconds, 0 or more/,
        });
      });
    }
    const sum = { lua: "return 1", sha1: "0".repeat(40) };
    for (const args of [[], [null], [{}, [], []], [sum], [sum, ["key"]]]) {
      await t.step(`a script that is ${Deno.inspect(args)}`, async () => {
        await assert.rejects(script(...args), {
          name: "TypeError",
          message: /expected \{ lua, sha1 \}, a list of its keys/,
        });
      });
    }
    const listen = redis.subscribe.bind(redis) as typeof run;
    for (const args of [[], [{}, () => {}], ["channel"], ["channel", 1]]) {
      await t.step(`listening to ${Deno.inspect(args)}`, async () => {
        await assert.rejects(listen(...args), {
          name: "TypeError",
          message: /^Cannot listen: expected the name of a channel/,
        });
      });
    }
    assert.equal(await run(["PING"]), "PONG");
  } finally {
    process.off("warning", warn);
  }
  // Nor of a timer without a time.
  assert.deepEqual(warnings, []);
});
