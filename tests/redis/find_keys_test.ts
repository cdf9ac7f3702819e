import assert from "node:assert/strict";
import { findKeys } from "../../src/redis/find_keys.ts";
import { QueueKeys } from "../../src/redis/queue_keys.ts";
import { TestServer } from "../servers.ts";

Deno.test("What a server names twice, as it may where its keys become fewer meanwhile, is found once", async () => {
  await using server = await TestServer.start();
  const consumer = "one.00000000";
  for (
    const end of ["dead:text:a", "missed:panel", `processing:${consumer}:1`]
  ) await server.run("RPUSH", `{queue}:${end}`, "text");
  const connection = {
    async command<Reply>(
      words: readonly (string | Uint8Array)[],
    ): Promise<Reply> {
      const [next, page] = await server.run<[string, string[]]>(...words);
      return [next, [...page, ...page]] as Reply;
    },
  };
  const found = await findKeys(connection, [new QueueKeys("queue")]);
  assert.deepEqual(found.get("{queue}:"), {
    batches: [consumer, "1"],
    subscribers: ["panel"],
    texts: ["a"],
  });
});
