import assert from "node:assert/strict";
import { chromium, type Page, type Route } from "playwright-core";
import { Event } from "../../mod.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { complaints, findChromium, openBrowser } from "./browser.ts";
import { go, Scene } from "./scene.ts";

const ignore = findChromium() === undefined;
/** Turns all that follows, from right to left. */
const TURN = "\u202e";

/** The pages with texts from elsewhere. */
const PAGES = ["", "messages", "queues", "dead", "peers", "settings"];

Deno.test(
  {
    name: "A text that turns its direction is seen to, and turns nothing else",
    ignore,
  },
  async () => {
    await using scene = await Scene.open();
    await using browser = await openBrowser();
    const page = await browser.newPage();
    scene.problem = `There is ${TURN}cittа on`;
    await go(page, scene, "messages");
    const args = { type: `custom.${TURN}live`, room: "attic" };
    const origin = `hall${TURN}`;
    await scene.backend.sendMessage({
      type: "event",
      target: "livingroom",
      origin,
      args,
    });
    const row = page.locator("#rows .message");
    await row.getByText("custom.\\u202elive").waitFor();
    await row.getByText("hall\\u202e → livingroom").waitFor();
    await row.locator("summary").first().click();
    await row.locator(".tree").getByText('"custom.\\u202elive"').waitFor();
    // What is copied is the same message.
    const json = await row.getAttribute("data-json");
    assert.deepEqual([JSON.parse(json!).args, JSON.parse(json!).origin], [
      args,
      origin,
    ]);
    await go(page, scene, "dead");
    const letter = page.locator(".letter");
    await letter.getByText("There is \\u202ecittа on").first().waitFor();
    await letter.locator("summary").click();
    const text = await letter.getByRole("textbox").inputValue();
    assert.deepEqual(JSON.parse(text).args, args);
    for (const name of PAGES) {
      await go(page, scene, name);
      const shown = await page.evaluate<string>("document.body.textContent");
      assert.doesNotMatch(shown, /\p{Bidi_Control}/u, name);
      const told = await page.evaluate<string>(`
        [...document.querySelectorAll("[title], [aria-label]")]
          .map(({ title, ariaLabel }) => [title, ariaLabel]).join()`);
      assert.doesNotMatch(told, /\p{Bidi_Control}/u, name);
      // Letters that are read from right to left stay where they belong, too.
      const mixed = await page.evaluate<string[]>(`
        [...document.body.querySelectorAll("*")].filter((element) => {
          const { display, unicodeBidi } = getComputedStyle(element);
          return display === "inline" && unicodeBidi !== "isolate" &&
            !element.closest("svg") && element.textContent.trim() !== "";
        }).map(({ outerHTML }) => outerHTML)`);
      assert.deepEqual(mixed, [], name);
    }
    // All that failed for it are found by its error, as it is.
    await go(page, scene, "dead");
    scene.problem = undefined;
    await page.getByRole("button", { name: /^Retry all 1/ }).click();
    await page.getByText("No dead letters. Good.").waitFor();
  },
);

Deno.test(
  { name: "Of two answers to what is typed, the later one stays", ignore },
  async () => {
    await using scene = await Scene.open();
    await using browser = await openBrowser();
    const page = await browser.newPage();
    await scene.send("attic", 12);
    await until(async () => await scene.dead() === 12, "they have failed");
    // What is live would show the right list again, unless there are too many.
    await page.route(/[/]live/, (route) => route.abort());
    const held = Promise.withResolvers<Route>();
    await page.route(/q=attic$/, (route) => held.resolve(route));
    await page.goto(`${scene.url}/dead`);
    await page.waitForSelector("html[data-live=no]", { state: "attached" });
    await page.fill("#q", "attic");
    const late = await held.promise;
    await page.fill("#q", '"n":11');
    await page.locator(".letter").nth(1).waitFor({ state: "detached" });
    const response = page.waitForResponse(/q=attic$/);
    await late.continue();
    await (await response).finished();
    // The page has dealt with it when it has answered one more.
    await page.evaluate("fetch('/').then((response) => response.text())");
    assert.equal(await page.locator(".letter").count(), 1);
  },
);

Deno.test(
  {
    name: "A connection that is silent counts as lost, also without an end",
    ignore,
  },
  async () => {
    await using scene = await Scene.open();
    await using proxy = new TcpProxy(scene.port);
    await using browser = await openBrowser();
    const page = await browser.newPage();
    await page.clock.install();
    await go(page, { url: `http://127.0.0.1:${proxy.port}` }, "settings");
    // While nothing changes, the server says that it is there.
    await page.clock.runFor(10_000);
    const lost = page.getByText("The connection to this page's server is lost");
    await page.clock.resume();
    proxy.freeze();
    await page.clock.fastForward(20_000);
    await lost.waitFor();
    proxy.thaw();
    await page.clock.fastForward(10_000);
    await lost.waitFor({ state: "hidden" });
  },
);

Deno.test(
  {
    name: "A dead letter that two people requeue as edited is sent once",
    ignore,
  },
  async () => {
    await using scene = await Scene.open();
    await using browser = await openBrowser();
    const pages = await Promise.all([browser.newPage(), browser.newPage()]);
    await scene.send("attic");
    await until(async () => await scene.dead() === 1, "it has failed");
    scene.problem = undefined;
    const sent: unknown[] = [];
    scene.backend.bus.registerHandler(
      Event,
      (event) => void sent.push(event.args),
    );
    const [one, other] = pages as [Page, Page];
    for (const page of pages) {
      await go(page, scene, "dead");
      await page.locator(".letter summary").click();
    }
    const edit = (page: Page): Promise<void> =>
      page.getByRole("button", { name: "Requeue as edited" }).click();
    await edit(one);
    await edit(other);
    await one.getByText("Done: 1 of 1").waitFor();
    await one.getByText(/It is not there any more/).waitFor();
    assert.equal(sent.length, 1);
    assert.equal(await scene.dead(), 0);
  },
);

Deno.test(
  {
    name: "Messages are shown where the browser keeps nothing for a page",
    ignore,
  },
  async () => {
    await using scene = await Scene.open();
    const profile = await Deno.makeTempDir();
    try {
      await Deno.mkdir(`${profile}/Default`);
      await Deno.writeTextFile(
        `${profile}/Default/Preferences`,
        '{"profile": {"default_content_setting_values": {"cookies": 2}}}',
      );
      const context = await chromium.launchPersistentContext(profile, {
        executablePath: findChromium()!,
        chromiumSandbox: false,
        args: ["--disable-gpu", "--disable-dev-shm-usage"],
      });
      try {
        const page = await context.newPage();
        const wrong = complaints(page);
        await go(page, scene, "messages");
        await assert.rejects(page.evaluate("sessionStorage.length"), /denied/);
        await scene.send("hall");
        await page.locator("#rows .message").waitFor();
        assert.deepEqual(wrong, []);
      } finally {
        await context.close();
      }
    } finally {
      await Deno.remove(profile, { recursive: true });
    }
  },
);

Deno.test(
  {
    name: "What is chosen is seen where the system forces its colours",
    ignore,
  },
  async () => {
    await using scene = await Scene.open();
    await using browser = await openBrowser();
    const context = await browser.newContext({ forcedColors: "active" });
    const page = await context.newPage();
    await go(page, scene, "");
    const background = (selector: string): Promise<string> =>
      page.evaluate<string>(
        `getComputedStyle(document.querySelector("${selector}")).backgroundColor`,
      );
    for (
      const [chosen, other] of [
        ["nav [aria-current]", "nav a:not([aria-current])"],
        ["[data-range][aria-pressed=true]", "[data-range][aria-pressed=false]"],
        [".status .dot", ".top"],
        [".beat", ".top"],
      ] as const
    ) {
      assert.notEqual(
        await background(chosen),
        await background(other),
        chosen,
      );
    }
    await context.close();
  },
);

Deno.test(
  { name: "A screen reader hears what has changed, and no clock", ignore },
  async () => {
    await using scene = await Scene.open();
    await using browser = await openBrowser();
    const page = await browser.newPage();
    await go(page, scene, "queues");
    await page.getByRole("button", { name: "Pause" }).first().click();
    await scene.send("attic");
    await go(page, scene, "");
    await page.getByText(/is paused for [3-9] s/).waitFor();
    // What of the page is live for a screen reader, by the nearest that says so.
    const spoken = (): Promise<string> =>
      page.evaluate<string>(`
        [...document.querySelectorAll("[aria-live], [role=status], [role=alert]")]
          .filter((region) => region.ariaLive !== "off")
          .map((region) => {
            const copy = region.cloneNode(true);
            for (const off of copy.querySelectorAll("[aria-live=off]")) off.remove();
            return copy.textContent.trim();
          }).filter(Boolean).join("\\n")`);
    const before = await spoken();
    const troubles = page.locator("#verdict .troubles");
    const clock = await troubles.textContent();
    await until(
      async () => await troubles.textContent() !== clock,
      "the clock goes on",
    );
    assert.equal(await spoken(), before);
    assert.match(before, /to look at|does not work/);
    assert.equal(await page.locator("#offline").getAttribute("role"), "alert");
  },
);

Deno.test(
  {
    name: "Too many dead letters to follow are read anew after a change",
    ignore,
  },
  async () => {
    await using scene = await Scene.open();
    await using browser = await openBrowser();
    const page = await browser.newPage();
    await scene.send("attic", 2002);
    await until(async () => await scene.dead() === 2002, "they have failed");
    await go(page, scene, "dead");
    const head = page.locator(".list-head");
    await head.getByText("2,002 dead letters").waitFor();
    await head.getByText(/^read at \d\d:\d\d:\d\d$/).waitFor();
    await page.locator(".letter").getByRole("checkbox").first().check();
    await head.getByRole("button", { name: "Purge" }).click();
    await head.getByText("2,001 dead letters").waitFor();
  },
);
