/**
 * What each shape of the core survives: workers that are killed, commands that
 * are denied, keys of another type, a lost index, a handler that blocks.
 *
 *     deno run -A bench/shapes/cases.ts
 *
 * For each case and shape it prints how many messages were lost (neither handled
 * nor anywhere in Redis afterwards) and how many were handled more than once.
 */
// deno-lint-ignore-file no-console -- this is a program
import { Connection, startRedis } from "../../src/redis/mod.ts";
import { sensorEvent } from "../sensor_event.ts";
import { Consumer } from "./process.ts";

const QUEUE = "cases";
const TIMEOUT = 1;
/** What the prototypes run on the server, of which each is denied in turn. */
const COMMANDS = {
  lists:
    "evalsha blmove del exists hdel hget hgetall hincrby lmove lpush lrange lrem ltrim rpush type",
  streams:
    "evalsha blmove lrange ltrim rpush xack xadd xautoclaim xclaim xdel xpending xreadgroup",
};
type Name = keyof typeof COMMANDS;

await using server = await startRedis();
const path = server.redisArgs.unix_socket_path!;
await using redis = await Connection.connect(server.redisArgs);
const log = await Deno.makeTempFile();

let ids = 0;
async function push(
  count: number,
  args: Record<string, unknown> = {},
): Promise<string[]> {
  const sent: string[] = [];
  const payloads = Array.from({ length: count }, () => {
    const id = `m${ids++}`;
    sent.push(id);
    return JSON.stringify({ ...sensorEvent(args), id });
  });
  await redis.command(["RPUSH", QUEUE, ...payloads]);
  return sent;
}

function rest(seconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, seconds * 1000));
}

async function handled(): Promise<string[]> {
  return (await Deno.readTextFile(log)).split("\n").slice(0, -1);
}

async function buried(): Promise<string[]> {
  const dead = await redis.command<string[]>(
    ["LRANGE", `{${QUEUE}}:dead`, "0", "-1"],
  ).catch(() => []);
  return dead.map((text) => JSON.parse(text).id);
}

/** Waits until all have been handled or are dead letters, and says what became of them. */
async function outcome(sent: readonly string[], seconds = 8): Promise<string> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    const there = await handled();
    const dead = await buried();
    const known = new Set([...there, ...dead]);
    const lost = sent.filter((id) => !known.has(id)).length;
    if (lost === 0 || performance.now() > end) {
      const more = there.length - new Set(there).size;
      return `${lost} lost, ${more} more than once, ${dead.length} dead letters`;
    }
    await rest(0.1);
  }
}

async function fresh(): Promise<void> {
  await redis.command(["FLUSHALL"]);
  await Deno.writeTextFile(log, "");
}

const open = (
  shape: string,
  username?: string,
  who: { log?: string } = { log },
): Promise<Consumer> =>
  Consumer.start({
    shape,
    path,
    queue: QUEUE,
    timeout: TIMEOUT,
    ...who,
    ...(username && { username }),
  });

const cases: Record<string, (shape: Name) => Promise<string>> = {
  "20,000 messages, two consumers, 10 × kill -9": async (shape) => {
    const sent: string[] = [];
    const consumers = [await open(shape), await open(shape)];
    for (let kill = 0; kill < 10; kill++) {
      sent.push(...await push(2000, { block: 0.2 }));
      await rest(0.15);
      const [one] = consumers.splice(kill % 2, 1, await open(shape));
      await one!.kill();
    }
    const came = await outcome(sent, 30);
    for (const one of consumers) await one.stop();
    return came;
  },
  "each command denied in turn": async (shape) => {
    const bad: string[] = [];
    for (const command of COMMANDS[shape].split(" ")) {
      await fresh();
      await redis.command(
        ["ACL", "SETUSER", "worker", "reset", "on", ">secret", "~*", "+@all"],
      );
      const sent = await push(20);
      sent.push(...await push(5, { fail: true }));
      const first = await open(shape, "worker").catch(() => undefined);
      await redis.command(["ACL", "SETUSER", "worker", `-${command}`]);
      sent.push(...await push(20));
      sent.push(...await push(5, { fail: true }));
      await rest(0.5);
      await first?.kill();
      const second = await open(shape, "worker").catch(() => undefined);
      await rest(0.3);
      await second?.stop().catch(() => {});
      await using _last = await open(shape);
      const came = await outcome(sent);
      if (!came.startsWith("0 lost")) bad.push(`${command}: ${came}`);
    }
    return bad.join("; ") || "nothing lost with any";
  },
  "the dead letters are a text": async (shape) => {
    await redis.command(["SET", `{${QUEUE}}:dead`, "x"]);
    const sent = await push(5, { fail: true });
    {
      await using _one = await open(shape);
      await rest(3);
    }
    await redis.command(["DEL", `{${QUEUE}}:dead`]);
    await using _two = await open(shape);
    return await outcome(sent);
  },
  "the queue is overwritten while 20 are in hand, then stop()": async (
    shape,
  ) => {
    const sent = await push(20, { hang: true });
    const one = await open(shape);
    await rest(0.5);
    await redis.command(["SET", QUEUE, "x"]);
    await one.stop();
    await redis.command(["DEL", QUEUE]);
    const keys = await redis.command<string[]>(["KEYS", "*"]);
    let there = 0;
    for (const key of keys) {
      const type = await redis.command<string>(["TYPE", key]);
      const length = { list: "LLEN", stream: "XLEN" }[type];
      if (length) there += await redis.command<number>([length, key]);
    }
    return `${sent.length - there} lost`;
  },
  "the index is deleted, then the consumer is killed": async (shape) => {
    const sent = await push(20, { hang: true });
    const one = await open(shape);
    await rest(0.5);
    if (shape === "lists") await redis.command(["DEL", `{${QUEUE}}:consumers`]);
    else {
      await redis.command(
        ["XGROUP", "DESTROY", `{${QUEUE}}:stream`, "subscriber"],
      );
    }
    await one.kill();
    // Another one gets them: they hang there too, so that they are in hand.
    const two = await open(shape);
    await rest(3 * TIMEOUT);
    const found = shape === "lists" ? await inHand() : Number(
      (await redis.command<unknown[]>(
        ["XPENDING", `{${QUEUE}}:stream`, "subscriber"],
      ))[0],
    );
    await two.kill();
    return `${sent.length - found} out of sight`;
  },
  "two consumers, a handler blocks three times as long": async (shape) => {
    const one = await open(shape);
    const two = await open(shape);
    const [id] = await push(1, { block: 3000 * TIMEOUT });
    await rest(10 * TIMEOUT);
    await one.kill();
    await two.kill();
    const times = (await handled()).filter((other) => other === id).length;
    return `executed ${times} times, ${(await buried()).length} dead letters`;
  },
};

async function inHand(): Promise<number> {
  let count = await redis.command<number>(["LLEN", QUEUE]);
  const keys = await redis.command<string[]>(["KEYS", `{${QUEUE}}:hand:*`]);
  for (const key of keys) count += await redis.command<number>(["LLEN", key]);
  return count;
}

for (const [what, run] of Object.entries(cases)) {
  console.log(what);
  for (const shape of ["lists", "streams"] as const) {
    if (Deno.args[0] !== undefined && !what.includes(Deno.args[0])) continue;
    await fresh();
    console.log(`  ${shape}: ${await run(shape)}`);
  }
}
await Deno.remove(log);
