/**
 * What share of a slow link consuming makes use of: ours beside redis-py, which
 * takes message by message (`BLPOP`) and acknowledges none.
 *
 *     deno task bench:link
 *
 * A proxy on loopback lets through so many bytes a second from the server. What
 * it really carries is measured in the same run: the bare client reads all of the
 * messages by one `LRANGE`. Each share is that time divided by the contender's.
 * A run that was interrupted by a reconnect says so. The last rows are for a small
 * message that was pushed behind a large one.
 */
// deno-lint-ignore-file no-console
import { createClient } from "@redis/client";
import { Connection, Inbox, startRedis } from "../src/redis/mod.ts";
import { PYTHON } from "../tests/python.ts";
import { ThrottledProxy } from "../tests/throttled_proxy.ts";
import { report, type Row } from "./report.ts";

/** Bytes a second, bytes a message, and how many messages; 4 s each, or more. */
const CASES = [
  [20_000, 1_000, 60],
  [20_000, 8_000, 10],
  [400_000, 1_000, 1_200],
  [400_000, 8_000, 200],
  [400_000, 8_000_000, 1],
  [5_000_000, 1_000, 10_000],
  [5_000_000, 8_000, 2_500],
  [5_000_000, 8_000_000, 3],
] as const;
const QUEUE = "bench";

await using server = await startRedis({ port: freePort() });
await using redis = await Connection.connect(server.redisArgs);
const port = server.redisArgs.port!;

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

async function fill(size: number, count: number): Promise<void> {
  await redis.command(["DEL", QUEUE]);
  const message = "x".repeat(size);
  for (let left = count; left > 0; left -= 100) {
    const some = new Array<string>(Math.min(left, 100)).fill(message);
    await redis.command(["RPUSH", QUEUE, ...some]);
  }
}

/** Consumes all, and returns the seconds and the reconnects. */
async function ours(
  proxy: ThrottledProxy,
  count: number,
): Promise<{ seconds: number; reconnects: number }> {
  const args = { port: proxy.port };
  const options = { queue: QUEUE, paused: true };
  await using inbox = await Inbox.open(args, options);
  const start = performance.now();
  inbox.resume();
  for (let received = 0; received < count;) {
    const batch = await inbox.next();
    received += batch!.payloads.length;
    // Waiting for the acknowledgement would leave the link idle.
    batch!.settle();
  }
  const seconds = (performance.now() - start) / 1000;
  return { seconds, reconnects: inbox.stats().reconnects };
}

async function redisPy(proxy: ThrottledProxy, count: number): Promise<number> {
  const file = new URL("link_redis_py.py", import.meta.url).pathname;
  const child = new Deno.Command(PYTHON, {
    args: [file, String(proxy.port), QUEUE, String(count)],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  const next = async (): Promise<string> => {
    let line = "";
    while (!line.endsWith("\n")) line += (await lines.read()).value ?? "\n";
    return line;
  };
  await next();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode("go\n"));
  const seconds = Number(await next());
  await writer.close();
  await lines.cancel();
  await child.status;
  return seconds;
}

/** Reads all messages in one go, and returns the seconds. */
async function bare(proxy: ThrottledProxy): Promise<number> {
  const socket = { host: "127.0.0.1", port: proxy.port, tls: false } as const;
  const client = createClient({ socket, commandOptions: { timeout: 0 } });
  await client.connect();
  const start = performance.now();
  await client.lRange(QUEUE, 0, -1);
  const seconds = (performance.now() - start) / 1000;
  client.destroy();
  return seconds;
}

const rows: Row[] = [];
for (const [speed, size, count] of CASES) {
  await using proxy = new ThrottledProxy(port, speed);
  await fill(size, count);
  const whole = await bare(proxy);
  const { seconds, reconnects } = await ours(proxy, count);
  await fill(size, count);
  const theirs = await redisPy(proxy, count);
  const what = `${count} × ${size} bytes at ${speed} bytes/s`;
  rows.push({
    what: `${what}, redis-py`,
    value: whole / theirs,
    unit: "of the link",
  });
  rows.push({
    what: `${what}, ours${reconnects > 0 ? ` (${reconnects} reconnects)` : ""}`,
    value: whole / seconds,
    unit: "of the link",
    must: "≥ 0.8",
    ratio: { to: "redis-py", value: theirs / seconds },
  });
  console.error(what, (whole / seconds).toFixed(2), reconnects);
}

// A small message behind a large one waits until that is through.
for (const speed of [400_000, 5_000_000]) {
  await using proxy = new ThrottledProxy(port, speed);
  await redis.command(["DEL", QUEUE]);
  await redis.command(["RPUSH", QUEUE, "x".repeat(2_000_000), "small"]);
  const { seconds } = await ours(proxy, 2);
  rows.push({
    what: `a small message behind 2 MB at ${speed} bytes/s, ours`,
    value: seconds,
    unit: "s",
    ratio: {
      to: "the large one's own time",
      value: seconds * speed / 2_000_000,
    },
  });
}
const info = await redis.command<string>(["INFO", "server"]);
await report("link", rows, { redis: /redis_version:(\S+)/.exec(info)![1]! });
