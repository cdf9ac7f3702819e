/**
 * Takes the pictures of the dashboard in `docs/images`, from a scene that is
 * played for them: a server, and a backend with a house that has sensors. It
 * needs a Chromium (`scripts/provision.ts --peers`).
 *
 * ```sh
 * deno task screenshots
 * ```
 *
 * @module
 */

import { Event, Message, RedisBackend, startRedis } from "../mod.ts";
import { dashboard } from "../src/dashboard/mod.ts";
import { freePort } from "../tests/servers.ts";
import { findChromium, openBrowser } from "../tests/dashboard/browser.ts";
import type { Browser, Page } from "playwright-core";

const IMAGES = new URL("../docs/images/", import.meta.url).pathname;
const LOOPBACK = ["127.0.0.1"];

/** The clock of the scene runs behind ours while its past is played. */
const realNow = Date.now;
let behind = 0;
Date.now = () => realNow() - behind;

/** Something that happens in the house, by the second in which it does. */
function happens(second: number): Record<string, unknown>[] {
  const wave = 4 + 3 * Math.sin(second / 23) + 2 * Math.sin(second / 7);
  const peak = second > 190 && second < 215 ? 9 : 0;
  return Array.from(
    { length: Math.max(1, Math.round(wave + peak)) },
    (_, n) => {
      const kind = (second * 7 + n * 3) % 11;
      return MESSAGES[kind % MESSAGES.length]!(second, n);
    },
  );
}

const event = (
  origin: string,
  args: Record<string, unknown>,
): Record<string, unknown> => ({
  type: "event",
  target: "livingroom",
  origin,
  args,
});

const MESSAGES: readonly ((
  second: number,
  n: number,
) => Record<string, unknown>)[] = [
  (second) =>
    event("hall-sensor", {
      type: "custom.Motion",
      room: "hall",
      level: 2 + second % 5,
    }),
  (second) =>
    event("garden", {
      type: "platypush.message.event.sensor.SensorDataChangeEvent",
      data: { temperature: 21 + second % 7 / 10, humidity: 48 },
    }),
  () =>
    event("kitchen", {
      type: "platypush.message.event.music.NewPlayingTrackEvent",
      track: { artist: "Nina Simone", title: "Sinnerman" },
    }),
  (second) =>
    event("front-door", { type: "custom.Door", open: second % 2 === 0 }),
  (second) => ({
    type: "request",
    target: "livingroom",
    origin: "kitchen",
    action: "light.on",
    args: { room: "stairs", level: 20 + second % 60 },
  }),
];

async function takePictures(): Promise<void> {
  await using server = await startRedis({
    port: freePort(),
    config: [
      "appendonly yes",
      "maxmemory 256mb",
      "maxmemory-policy noeviction",
    ],
  });
  const { redisArgs } = server;
  await using backend = new RedisBackend({
    redisArgs,
    deviceId: "livingroom",
    maxDeliveries: 1,
    logger: QUIET,
  });
  let isBroken = false;
  backend.bus.registerHandler(Event, ({ args }) => {
    if (!isBroken) return;
    if (args.type === "custom.Door") {
      throw new Error("The lock does not answer");
    }
    if (args.type.endsWith("TrackEvent")) {
      throw new TypeError(
        "The display has no line for a track without an album",
      );
    }
  });
  backend.registerAction("light.on", ({ room }) => ({ lit: room }), {
    description: "Switches a light on",
  });
  await backend.start();
  await using page = dashboard({
    backend,
    interfaces: LOOPBACK,
    logger: QUIET,
  });
  await using http = Deno.serve({
    hostname: "127.0.0.1",
    port: 0,
    onListen: () => {},
  }, page);
  const url = `http://127.0.0.1:${http.addr.port}`;

  for (let second = 0; second < 300; second++) {
    behind = (300 - second) * 1000;
    for (const wire of happens(second)) {
      await backend.bus.post(Message.build(wire));
    }
    await backend.bus.flush();
  }
  behind = 0;
  let second = 300;
  const timer = setInterval(() => {
    backend.bus.post(happens(second++).map((wire) => Message.build(wire)));
  }, 1000);
  using _timer = { [Symbol.dispose]: () => clearInterval(timer) };
  await using browser = await openBrowser(findChromium());
  await picture(browser, "now", `${url}/`, {}, async (page) => {
    await page.locator(".finding").first().waitFor();
    await page.locator("#verdict", { hasText: "All is well" }).waitFor();
  });
  await picture(
    browser,
    "messages",
    `${url}/messages`,
    { dark: true },
    async (page) => {
      // What comes would push it away.
      await page.getByRole("button", { name: "Pause" }).click();
      await page.locator("#rows .message", { hasText: "Sinnerman" }).first()
        .locator("summary").first().click();
      await page.locator(".tree").getByText('"Sinnerman"').waitFor();
    },
  );

  isBroken = true;
  const failing = Array.from({ length: 9 }, (_, second) => happens(second))
    .flat().filter((wire) => /Door|Track/.test(JSON.stringify(wire)));
  await backend.sendMessage(failing);
  await backend.sendMessage(
    event("front-door", { type: "custom.Door", open: true }),
  );
  await picture(browser, "dead", `${url}/dead`, {}, async (page) => {
    await page.locator(".groups li").nth(1).waitFor();
    await page.locator(".letter summary").first().click();
  });
  await picture(
    browser,
    "phone",
    `${url}/`,
    { dark: true, phone: true },
    async (page) => {
      await page.locator("#verdict", { hasText: "to look at" }).waitFor();
      await page.locator(".chart canvas").waitFor();
    },
  );
}

const nothing = (): void => {};
const QUIET = { debug: nothing, info: nothing, warn: nothing, error: nothing };

/** Opens a page, lets something happen on it, and takes a picture. */
async function picture(
  browser: Browser,
  name: string,
  url: string,
  { dark = false, phone = false }: { dark?: boolean; phone?: boolean },
  act: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({
    viewport: phone
      ? { width: 390, height: 800 }
      : { width: 1160, height: 740 },
    colorScheme: dark ? "dark" : "light",
    reducedMotion: "reduce",
  });
  const page = await context.newPage();
  await page.goto(url);
  await page.locator("html[data-live=yes]").waitFor({ state: "attached" });
  await act(page);
  await page.mouse.move(0, 0);
  await page.screenshot({ path: `${IMAGES}dashboard-${name}.png` });
  await context.close();
}

await takePictures();
