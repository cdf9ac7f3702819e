import assert from "node:assert/strict";
import { Bus, discover, discoverTypes, RedisBackend } from "../mod.ts";
import { freePort } from "./servers.ts";

Deno.test("times that make no sense are refused by all that waits, before anything is done", async () => {
  const redisArgs = { host: "127.0.0.1", port: freePort() };
  await using backend = new RedisBackend({ redisArgs });
  await using started = new RedisBackend({ redisArgs });
  const starting = assert.rejects(started.start(), { name: "AbortError" });
  await using bus = new Bus({ name: "tests/times" });
  const calls: readonly ((time: number) => Promise<unknown>)[] = [
    (time) => bus.get(time),
    (time) =>
      backend.sendRequest(
        { action: "lights.on" },
        { responseTimeout: time },
      ),
    (time) => backend.sendTo("nobody", [], { timeout: time }),
    (time) => backend.waitStop(time),
    (time) => started.join(time),
    (time) => discover({ timeout: time }),
    (time) => discoverTypes({ timeout: time }),
  ];
  for (const call of calls) {
    for (const time of [NaN, -1, null, "1", Symbol("1")]) {
      await assert.rejects(
        call(time as number),
        {
          name: "RangeError",
          message: /^Cannot .*: `\w+` is .*, expected a number of seconds/,
        },
        `${call}`,
      );
    }
  }
  await started.stop();
  await starting;
});
