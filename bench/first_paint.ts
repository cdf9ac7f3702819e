/**
 * How long the dashboard takes until something is seen, in a Chromium on the
 * same host: its first page beside a page with one line that is served alike.
 * Each time is a new context, so that nothing is cached.
 *
 *     deno task bench:first-paint [rounds]
 *
 * `cold` is the first page after nobody has looked for a while: the connection
 * to Redis has to be made.
 */
import type { Browser } from "playwright-core";
import { RedisBackend } from "../src/backend/mod.ts";
import { Event } from "../src/message/mod.ts";
import { dashboard } from "../src/dashboard/mod.ts";
import { startRedis } from "../src/redis/mod.ts";
import { findChromium, openBrowser } from "../tests/dashboard/browser.ts";
import { report, type Row, Series } from "./report.ts";

const ROUNDS = Number(Deno.args[0] ?? 15);
const PAINT = "first paint, ";
const ANSWER = "first byte, ";
const EMPTY = "a page with one line";
const COLD = "the dashboard, cold";
const WARM = "the dashboard";

if (findChromium() === undefined) {
  throw new Error("There is no chromium: scripts/provision.ts --peers");
}
const nothing = (): void => {};
await using server = await startRedis();
await using backend = new RedisBackend({
  redisArgs: server.redisArgs,
  deviceId: "livingroom",
  logger: { debug: nothing, info: nothing, warn: nothing, error: nothing },
});
backend.bus.registerHandler(Event, () => {});
await backend.start();
await using page = dashboard({ backend });
const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
await using ours = Deno.serve(options, page);
await using plain = Deno.serve(
  options,
  () =>
    new Response("<!doctype html><title>One</title><p>One line", {
      headers: { "content-type": "text/html" },
    }),
);
await using browser = await openBrowser();
const series = new Series();

/** Opens a page as if for the first time; gives the time of its first byte and its first paint. */
async function look(
  browser: Browser,
  url: string,
): Promise<[answer: number, paint: number]> {
  const context = await browser.newContext({
    viewport: { width: 1200, height: 800 },
  });
  try {
    const page = await context.newPage();
    await page.goto(url);
    return await page.evaluate<[number, number]>(`new Promise((resolve) => {
      const answer = performance.getEntriesByType("navigation")[0].responseStart;
      new PerformanceObserver((list) => {
        for (const { name, startTime } of list.getEntries()) {
          if (name === "first-contentful-paint") resolve([answer, startTime]);
        }
      }).observe({ type: "paint", buffered: true });
    })`);
  } finally {
    await context.close();
  }
}

const urlOf = ({ addr: { port } }: typeof ours): string =>
  `http://127.0.0.1:${port}/`;
await look(browser, urlOf(plain));
await look(browser, urlOf(ours));
for (let round = 0; round < ROUNDS; round++) {
  // The streams of closed pages have ended by then, and the connection with them.
  await new Promise((resolve) => setTimeout(resolve, 3000));
  for (
    const [what, url] of [
      [COLD, urlOf(ours)],
      [EMPTY, urlOf(plain)],
      [WARM, urlOf(ours)],
    ] as const
  ) {
    const [answer, paint] = await look(browser, url);
    await series.measure(ANSWER + what, () => Promise.resolve(answer));
    await series.measure(PAINT + what, () => Promise.resolve(paint));
  }
}

const row = (prefix: string, what: string, must?: string): Row => {
  const value = series.median(prefix + what);
  return {
    what: prefix + what,
    value,
    unit: "ms",
    ...(what !== EMPTY && {
      ratio: {
        to: EMPTY,
        value: value / series.median(prefix + EMPTY),
        ...(must && { must }),
      },
    }),
  };
};
const contenders = [EMPTY, COLD, WARM];
await report("first_paint", [
  ...contenders.map((what) => row(ANSWER, what)),
  ...contenders.map((what) => row(PAINT, what)),
]);
