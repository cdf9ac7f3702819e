import assert from "node:assert/strict";
import {
  DeadLetters,
  Inbox,
  Outbox,
  type RedisArgs,
  type RedisError,
} from "../../src/redis/mod.ts";
import { TestServer } from "../servers.ts";

const KEYS = "~queue ~{queue}:* ~platypush/responses/*";
const CONSUME = "+hello +ping +eval +evalsha +blmove +lpop +rpush +lpush " +
  "+llen +lrange +ltrim +lrem +lpos +type +del +unlink +exists +set +expire " +
  "+pexpire +hget +hset +hsetnx +hdel +hkeys +hgetall +zadd +zrange " +
  "+zrangebyscore +zremrangebyrank +time +blpop +blmpop";

async function startWith(rules: string): Promise<[TestServer, RedisArgs]> {
  const server = await TestServer.start({
    config: [`user listener on >secret resetkeys ${rules}`],
  });
  return [server, {
    ...server.args,
    username: "listener",
    password: "secret",
  }];
}

Deno.test("The commands that the documentation names are enough", async () => {
  const [started, args] = await startWith(`${KEYS} -@all ${CONSUME}`);
  await using server = started;
  for (const delivery of ["at-least-once", "at-most-once"] as const) {
    await using inbox = await Inbox.open(args, { queue: "queue", delivery });
    await using outbox = new Outbox(args);
    const waiting = inbox.next();
    await outbox.push("queue", "one");
    const batch = await waiting;
    await batch!.settle([
      { index: 0, reason: "malformed", error: new Error("no JSON") },
    ]);
    await outbox.pushResponse("1", "x");
    await outbox.waitForResponse("1", 1);
  }
  await using dead = new DeadLetters(args, { queue: "queue" });
  assert.equal(await dead.requeue("all"), 2);
  assert.equal(await server.run("LLEN", "queue"), 2);
});

Deno.test("Inbox says which permission it lacks", async () => {
  const [started, args] = await startWith(`${KEYS} +@all -evalsha -eval`);
  await using _server = started;
  await assert.rejects(
    Inbox.open(args, { queue: "queue" }),
    (error: RedisError) =>
      error.code === "permission" && /evalsha/i.test(error.message),
  );
});
