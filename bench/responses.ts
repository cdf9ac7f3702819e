/**
 * What waiting for the response to a request costs: ours beside a `BLPOP` by
 * hand, which needs a connection for each request that waits.
 *
 *     deno task bench:responses
 *
 * An executor by hand answers: it takes a request (`BLPOP`), appends the response
 * (`RPUSH`) and lets it expire (`EXPIRE`). All commands are counted, the
 * executor's too. Lateness is the time from the executor's `RPUSH` to the moment
 * at which whoever asked has the response.
 */
// deno-lint-ignore-file no-console
import { createClient } from "@redis/client";
import { Connection, Outbox, startRedis } from "../src/redis/mod.ts";
import { median, percentile, report, type Row } from "./report.ts";

const QUEUE = "bench";
/** How many requests wait at the same time, and how many are asked in all. */
const CASES = [[1, 500], [100, 1000], [1000, 2000]] as const;
const ROUNDS = 2;

/** Asks, and resolves with the response. */
type Ask = (id: string) => Promise<unknown>;

/** What came out of one run. */
interface Figures {
  /** Commands a request, the executor's too. */
  readonly commands: number;
  /** How late each response was, in milliseconds. */
  readonly lateness: readonly number[];
}

await using server = await startRedis();
await using redis = await Connection.connect(server.redisArgs);
const socket = { path: String(server.redisArgs.unix_socket_path), tls: false };

async function connect(): Promise<ReturnType<typeof createClient>> {
  const client = createClient({ socket });
  await client.connect();
  return client as ReturnType<typeof createClient>;
}

/** Answers requests, with `waiting` of them open at any time. */
async function execute(
  count: number,
  waiting: number,
  sent: Map<string, number>,
): Promise<void> {
  const client = await connect();
  const open: string[] = [];
  for (let taken = 0, answered = 0; answered < count;) {
    while (taken < count && open.length < waiting) {
      const request = await client.blPop(QUEUE, 0);
      open.push(request!.element);
      taken++;
    }
    const [id] = open.splice(Math.floor(Math.random() * open.length), 1);
    const key = `platypush/responses/${id}`;
    sent.set(id!, performance.now());
    await Promise.all([client.rPush(key, "done"), client.expire(key, 60)]);
    answered++;
  }
  client.destroy();
}

async function commands(): Promise<number> {
  const stats = await redis.command<string>(["INFO", "stats"]);
  return Number(/total_commands_processed:(\d+)/.exec(stats)![1]);
}

/** Asks `count` times, so that `waiting` requests are open at any time. */
async function measure(
  ask: Ask,
  waiting: number,
  count: number,
): Promise<Figures> {
  const sent = new Map<string, number>();
  const lateness: number[] = [];
  const before = await commands();
  const executing = execute(count, waiting, sent);
  let asked = 0;
  await Promise.all(Array.from({ length: waiting }, async () => {
    while (asked < count) {
      asked++;
      const id = crypto.randomUUID().replaceAll("-", "");
      await ask(id);
      lateness.push(performance.now() - sent.get(id)!);
    }
  }));
  await executing;
  return { commands: (await commands() - before) / count, lateness };
}

async function ours(waiting: number, count: number): Promise<Figures> {
  await using outbox = new Outbox(server.redisArgs);
  await outbox.push("other", "connected");
  const ask: Ask = async (id) => {
    await outbox.push(QUEUE, id);
    return await outbox.waitForResponse(id, 60);
  };
  return await measure(ask, waiting, count);
}

async function byHand(waiting: number, count: number): Promise<Figures> {
  const pool = await Promise.all(Array.from({ length: waiting }, connect));
  const ask: Ask = async (id) => {
    const client = pool.pop()!;
    await client.rPush(QUEUE, id);
    const response = await client.blPop(`platypush/responses/${id}`, 60);
    pool.push(client);
    return response;
  };
  const figures = await measure(ask, waiting, count);
  for (const client of pool) client.destroy();
  return figures;
}

const rows: Row[] = [];
const HAND = "BLPOP by hand";
for (const [waiting, count] of CASES) {
  const all: Record<string, Figures[]> = { ours: [], [HAND]: [] };
  for (let round = 0; round < ROUNDS; round++) {
    all["ours"]!.push(await ours(waiting, count));
    all[HAND]!.push(await byHand(waiting, count));
  }
  const figure = (who: string, of: (figures: Figures) => number): number =>
    median(all[who]!.map(of));
  const figures: [string, string, (figures: Figures) => number][] = [
    ["commands a request", "", ({ commands }) => commands],
    ["late, the middle one", "ms", ({ lateness }) => median(lateness)],
    ["late, 99 of 100", "ms", ({ lateness }) => percentile(lateness, 0.99)],
  ];
  for (const [name, unit, of] of figures) {
    const [own, theirs] = [figure("ours", of), figure(HAND, of)];
    const what = `${waiting} waiting: ${name}`;
    rows.push({ what: `${what}, ${HAND}`, value: theirs, unit });
    rows.push({
      what: `${what}, ours`,
      value: own,
      unit,
      ratio: { to: HAND, value: own / theirs },
    });
  }
  console.error(`${waiting} waiting: done`);
}
const info = await redis.command<string>(["INFO", "server"]);
await report("responses", rows, {
  redis: /redis_version:(\S+)/.exec(info)![1]!,
});
