import assert from "node:assert/strict";
import axe, { type AxeResults } from "axe-core";
import { Event, RedisBackend } from "../../mod.ts";
import { dashboard } from "../../src/dashboard/mod.ts";
import type { BrowserContext, Locator, Page } from "playwright-core";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { complaints, findChromium, openBrowser } from "./browser.ts";
import { go, QUEUE, QUIET, Scene } from "./scene.ts";

const EVIL = `<img src=x onerror="alert(1)">`;
const PAGES = [
  "",
  "messages",
  "queues",
  "dead",
  "peers",
  "actions",
  "settings",
];

const ignore = findChromium() === undefined;
if (ignore) {
  // deno-lint-ignore no-console -- so that nobody takes it for done
  console.log(
    "The tests of the dashboard in a browser are skipped: there is no chromium; scripts/provision.ts --peers installs one.",
  );
}

/** What axe finds wrong with a page, by all of its rules or by some. */
async function violations(
  page: Page,
  rules?: readonly string[],
): Promise<string[]> {
  // By the debugger, which the policy of the page does not concern.
  await page.evaluate(axe.source);
  const options = {
    resultTypes: ["violations"],
    ...(rules && { runOnly: { type: "rule", values: rules } }),
  };
  const results = await page.evaluate<AxeResults>(
    `axe.run(${JSON.stringify(options)})`,
  );
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, any }) =>
      `${id}: ${html.slice(0, 200)} ${any[0]?.message ?? ""}`
    )
  );
}

Deno.test({ name: "The dashboard in a browser", ignore }, async (t) => {
  await using scene = await Scene.open();
  await using browser = await openBrowser();
  const context: BrowserContext = await browser.newContext({
    viewport: { width: 1200, height: 800 },
    permissions: ["clipboard-read", "clipboard-write"],
  });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const wrong = complaints(page);

  await t.step("Now says how everything stands, and follows it", async () => {
    await go(page, scene, "");
    await page.getByText("Messages a second").waitFor();
    await page.locator(".chart canvas").waitFor();
    await page.locator("#consumers").getByText(/^livingroom\./).waitFor();
    await page.locator("#findings").getByText("persistence").waitFor();
    await scene.send("attic", 2);
    await page.locator("#verdict").getByText(
      /2 messages .* could not be handled/,
    )
      .waitFor();
    await page.locator("#badge", { hasText: "2" }).waitFor();
    await page.getByRole("button", { name: "1 h" }).click();
    await page.locator("[data-range='3600'][aria-pressed=true]").waitFor();
  });

  await t.step("Nothing that can wait is loaded before the paint", async () => {
    const loaded = (name: string): Promise<[start: number, paint: number][]> =>
      page.evaluate(`(() => {
        const paint = performance.getEntriesByName("first-contentful-paint")[0];
        return performance.getEntriesByType("resource")
          .filter(({ name }) => name.includes(${JSON.stringify(name)}))
          .map(({ startTime }) => [startTime, paint.startTime]);
      })()`);
    await go(page, scene, "");
    await page.locator(".chart canvas").waitFor();
    const [times] = await loaded("/assets/charts");
    const [start, paint] = times!;
    assert.ok(start >= paint, `${start} is before ${paint}`);
    await go(page, scene, "settings");
    assert.deepEqual(await loaded("/assets/charts"), []);
  });

  await t.step("Messages come as they pass, and none is a script", async () => {
    await go(page, scene, "messages");
    await page.locator("#rows .message").first().waitFor();
    await scene.send("hall", 1, EVIL);
    const row = page.locator("#rows .message", { hasText: EVIL }).first();
    await row.waitFor();
    await row.locator("summary").first().click();
    await row.locator(".tree").getByText('"hall"').waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    await row.getByRole("button", { name: "Copy as JSON" }).click();
    await page.getByText("Copied.").waitFor();
    const copied = await page.evaluate<string>(
      "navigator.clipboard.readText()",
    );
    assert.equal(JSON.parse(copied).args.type, EVIL);
    await row.getByRole("button", { name: "Keep" }).click();
    await page.locator("#kept .message").waitFor();
    await row.getByRole("button", { name: "Kept" }).waitFor();
    await row.getByRole("button", { name: "Send again" }).click();
    await page.getByText("Sent to platypush/backend/redis").waitFor();
    await page.locator("#rows .message", { hasText: EVIL }).nth(1).waitFor();
    assert.equal(await page.locator("main img").count(), 0);
  });

  await t.step("What is kept stays in the tab until it is let go", async () => {
    await go(page, scene, "settings");
    await go(page, scene, "messages");
    const kept = page.locator("#kept .message", { hasText: EVIL });
    await kept.getByText('"hall"').waitFor();
    assert.equal(await page.locator("main img").count(), 0);
    const row = page.locator("#rows .message", { hasText: EVIL }).nth(1);
    await row.locator("summary").first().click();
    await row.getByRole("button", { name: "Kept" }).waitFor();
    await kept.getByRole("button", { name: "Let go" }).click();
    await row.getByRole("button", { name: "Keep" }).waitFor();
    await page.reload();
    await page.locator("#rows .message").first().waitFor();
    assert.equal(await page.locator("#kept .message").count(), 0);
  });

  await t.step("Messages are filtered while one types", async () => {
    await page.fill("#filter", "room:cellar");
    await page.getByText("Nothing like that has passed").waitFor();
    await scene.send("hall");
    await scene.send("cellar", 2);
    await page.locator("#rows .message").nth(1).waitFor();
    assert.equal(await page.locator("#rows .message").count(), 2);
    assert.match(page.url(), /filter=room%3Acellar/);
    await page.fill("#filter", '{"level": {"$more": 1}}');
    await page.locator("#filter-problem", { hasText: "$more" }).waitFor();
    await page.fill("#filter", '{"n": {"$gt": 0}, "room": "cellar"}');
    await page.locator("#rows .message").nth(1).waitFor({ state: "detached" });
    await page.locator("#rows .message").waitFor();
    await page.fill("#filter", "");
    await page.locator("#rows .message").nth(4).waitFor();
    await page.getByRole("button", { name: "Pause" }).click();
    await scene.send("pantry");
    await page.getByRole("button", { name: "Go on, there is more" }).click();
    await page.locator("#rows .message", { hasText: "pantry" }).waitFor();
  });

  await t.step("A flood is cut, and said to be", async () => {
    const before = scene.backend.stats().delivered;
    await scene.send("hall", 5000, "custom.Flood");
    await page.getByText(/\d messages were not shown: too many at once/).first()
      .waitFor();
    await until(() => scene.backend.stats().delivered >= before + 5000, "all");
    const rows = await page.locator("#rows > li").count();
    assert.ok(rows <= 200, `${rows} rows`);
    // What comes within the same second is left out, too.
    const late = page.locator("#rows .message", { hasText: "afterwards" });
    for (let tries = 0; tries < 40 && await late.count() === 0; tries++) {
      await scene.send("afterwards");
      await late.first().waitFor({ timeout: 1500 }).catch(() => {});
    }
    assert.ok(await late.count() > 0);
  });

  await t.step(
    "All that failed for one reason are retried with one button, and that is undone",
    async () => {
      scene.problem = undefined;
      await go(page, scene, "dead");
      const retry = page.getByRole("button", {
        name: /^Retry all 2 that are failed/,
      });
      await retry.click();
      await page.locator("#changes").getByText("Requeue 2 messages").waitFor();
      await page.getByRole("button", { name: "Undo" }).click();
      await page.getByText("Undone: nothing was changed").waitFor();
      assert.equal(await scene.dead(), 2);
      await retry.click();
      await page.getByText("No dead letters. Good.").waitFor();
      await page.locator("#changes").getByText("Done: 2 of 2").waitFor();
      assert.equal(await scene.dead(), 0);
      await page.locator("#badge").waitFor({ state: "hidden" });
    },
  );

  await t.step("Dead letters are found, edited and purged", async () => {
    scene.problem = "Another problem";
    await scene.send("attic", 3);
    await page.locator(".letter").nth(2).waitFor();
    await page.fill("#q", '"n":1');
    await page.locator(".letter").nth(1).waitFor({ state: "detached" });
    await page.locator(".letter").waitFor();
    const letter = page.locator(".letter");
    await letter.locator("summary").click();
    const box = letter.getByRole("textbox");
    const text = await box.inputValue();
    assert.match(text, /\n {2}"args"/);
    await box.fill(text.replace('"attic"', '"cellar"'));
    await letter.getByRole("checkbox").check();
    // One more comes, and what was opened, typed and chosen stays.
    await scene.send("attic", 2);
    await page.locator(".letter").nth(1).waitFor();
    const opened = page.locator(".letter", { has: page.locator("[open]") });
    const edited = opened.getByRole("textbox");
    assert.match(await edited.inputValue(), /"cellar"/);
    assert.ok(await opened.getByRole("checkbox").isChecked());
    await page.getByText("1 chosen").waitFor();
    await opened.getByRole("button", { name: "Requeue as edited" }).click();
    await until(async () => await scene.dead() === 4, "it is gone");
    await page.fill("#q", "");
    await page.locator(".letter").nth(3).waitFor();
    await page.getByRole("checkbox", { name: /^4 dead letters/ }).check();
    await page.getByText("4 chosen").waitFor();
    await page.locator(".list-head").getByRole("button", { name: "Purge" })
      .click();
    await page.getByText("No dead letters. Good.").waitFor();
    assert.equal(await scene.dead(), 0);
  });

  await t.step("Queues tell how long they are", async () => {
    await go(page, scene, "queues");
    await page.locator(".chart canvas").waitFor();
    await page.locator("#queues").getByText(QUEUE).waitFor();
  });

  await t.step("A queue is paused, and goes on", async () => {
    const card = page.locator("#queues .card", { hasText: QUEUE });
    await card.getByRole("button", { name: "Pause" }).click();
    await card.getByText(/is paused for \d+ s, by livingroom/).waitFor();
    await page.getByText(`${QUEUE} is paused: what is in hand`).waitFor();
    const before = scene.backend.stats().received;
    await scene.send("hall");
    await card.getByRole("definition").getByText("1", { exact: true }).first()
      .waitFor();
    assert.equal(scene.backend.stats().received, before);
    await card.getByRole("button", { name: "Resume" }).click();
    await until(() => scene.backend.stats().received > before, "it goes on");
    await card.getByRole("button", { name: "Pause" }).waitFor();
  });

  await t.step("A peer is seen, and gets a message", async () => {
    await go(page, scene, "peers");
    const card = page.locator(".peer", { hasText: "kitchen" });
    await card.waitFor();
    await card.getByText("Send a message").click();
    await card.getByRole("checkbox", { name: "Also if it does not prove" })
      .check();
    await card.getByRole("button", { name: "Send" }).click();
    await page.getByText("Sent to kitchen").waitFor();
    assert.equal(await scene.server.run("LLEN", "kitchen"), 1);
    await scene.kitchen.unregisterService();
    await card.getByText("gone").first().waitFor();
  });

  await t.step("An action is run, and its answer shown", async () => {
    await go(page, scene, "actions");
    await page.locator("#can").getByText("light.on").click();
    const form = page.locator("#can li", { hasText: "light.on" });
    await form.getByRole("textbox").fill('{"room": "hall"}');
    await form.getByRole("button", { name: "Run" }).click();
    await form.getByText(/Answered after \d+ ms/).waitFor();
    await form.getByText('"lit": "hall"').waitFor();
    await form.getByRole("textbox").fill('{"room": "attic"}');
    await form.getByRole("button", { name: "Run" }).click();
    await form.getByText("no light in the attic").waitFor();
    const event = page.getByRole("region", { name: "Send an event" });
    await event.getByLabel("Type").fill("custom.ByHand");
    await event.getByRole("button", { name: "Send" }).click();
    await page.getByText("Sent custom.ByHand to livingroom").waitFor();
  });

  await t.step("A form has a field for all that an action takes", async () => {
    await page.locator("#can").getByText("scene.set").click();
    const form = page.locator("#can li", { hasText: "scene.set" });
    const rowOf = (name: string): Locator =>
      form.locator(".field", { hasText: new RegExp(`^\s*${name} `) });
    const field = (name: string): Locator =>
      rowOf(name).locator("input, select, textarea");
    const run = (): Promise<void> =>
      form.getByRole("button", { name: "Run" }).click();
    await form.getByText("Where it is to be").waitFor();
    // The browser sends nothing without what is required.
    await run();
    await page.waitForFunction('document.activeElement.name === "text:room"');
    assert.equal(await form.locator("output > *").count(), 0);
    assert.deepEqual(await field("mood").locator("option").allTextContents(), [
      "Choose…",
      "warm",
      "cold",
    ]);
    assert.equal(await field("title").getAttribute("placeholder"), "evening");

    // What is of another type is told beside its field, all at once.
    await field("room").fill("x");
    await field("level").fill("bright");
    await field("steps").fill("1.5");
    await field("on").selectOption("yes");
    await field("mood").selectOption("cold");
    await field("lamps").fill('{"a": 1}');
    await field("place").fill("[");
    await run();
    for (
      const [name, problem] of [
        ["level", /"bright" is not a number, such as 1\.5/],
        ["steps", /"1\.5" is not a whole number/],
        ["lamps", /not a list in JSON, such as/],
        ["place", /not an object in JSON, such as/],
      ] as const
    ) {
      const shown = rowOf(name).getByRole("alert");
      await shown.filter({ hasText: problem }).waitFor();
      assert.equal(await field(name).getAttribute("aria-invalid"), "true");
    }
    assert.equal(await field("room").getAttribute("aria-invalid"), null);

    // What the schema refuses is told there, too.
    await field("level").fill("2");
    await field("steps").fill("3");
    await field("lamps").fill('["left", "right"]');
    await field("place").fill('{"floor": "first"}');
    await run();
    for (const name of ["room", "level", "place"]) {
      await rowOf(name).getByRole("alert").filter({ hasText: `args.${name}` })
        .waitFor();
    }
    await form.getByText("The fields above say what is wrong.").waitFor();
    assert.deepEqual(await violations(page), []);

    await field("room").fill("hall");
    await field("level").fill("0.5");
    await field("place").fill('{"floor": 1}');
    await field("note").fill("as before");
    await run();
    await form.getByText(/Answered after/).waitFor();
    const answer = await form.locator("output pre").textContent();
    assert.deepEqual(JSON.parse(answer!), {
      room: "hall",
      level: 0.5,
      steps: 3,
      on: true,
      mood: "cold",
      title: "evening",
      lamps: ["left", "right"],
      place: { floor: 1 },
      note: "as before",
    });
    assert.equal(await form.locator("[aria-invalid]").count(), 0);
  });

  await t.step("Settings are shown with where they come from", async () => {
    await go(page, scene, "settings");
    await page.getByRole("row", { name: /deviceId.*livingroom/ }).waitFor();
  });

  assert.deepEqual(wrong, []);

  await t.step(
    "The page goes on after its server was started anew",
    async () => {
      await go(page, scene, "messages");
      await scene.end();
      await page.getByText("The connection to this page's server is lost")
        .waitFor();
      scene.serve();
      await page.getByText("The connection to this page's server is lost")
        .waitFor({ state: "hidden" });
      await scene.send("again");
      await page.locator("#rows .message", { hasText: "again" }).waitFor();
      await scene.server.kill();
      await page.locator("#status", { hasText: "Redis does not answer" })
        .waitFor();
      // The browser says itself that it could not connect.
      const other = wrong.filter((text) => !/ERR_|Failed to load/.test(text));
      assert.deepEqual(other, []);
      wrong.length = 0;
    },
  );

  await context.close();
});

Deno.test(
  { name: "A browser logs in and out, and keeps nothing then", ignore },
  async () => {
    const token = "correct horse battery";
    await using server = await TestServer.start();
    await using backend = new RedisBackend({ redisArgs: server.args });
    const seen = Promise.withResolvers<void>();
    backend.bus.registerHandler(Event, () => seen.resolve());
    await using dashed = dashboard({ backend, token, logger: QUIET });
    await backend.start();
    await backend.sendEvent({ args: { type: "custom.Secret" } });
    await seen.promise;
    const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
    await using http = Deno.serve(options, dashed);
    const url = `http://127.0.0.1:${http.addr.port}`;
    await using browser = await openBrowser();
    // As wide as a phone: the way out is there, and the name is not cut.
    const page = await browser.newPage({
      viewport: { width: 360, height: 700 },
    });
    const logIn = async (password: string): Promise<void> => {
      await page.fill("#token", password);
      await page.getByRole("button", { name: "Log in" }).click();
    };
    const asked: string[] = [];
    page.on(
      "request",
      (request) => asked.push(new URL(request.url()).pathname),
    );
    await page.goto(url);
    assert.deepEqual(await violations(page), []);
    // Nothing is followed before somebody has logged in.
    assert.ok(!asked.includes("/live"), asked.join(" "));
    await logIn("wrong horse battery");
    await page.getByText("That is not the password.").waitFor();
    await logIn(token);
    await page.waitForSelector("html[data-live=yes]", { state: "attached" });
    assert.deepEqual(await violations(page), []);
    await page.goto(`${url}/messages`);
    await page.locator("#rows summary").first().click();
    await page.getByRole("button", { name: "Keep" }).click();
    await page.locator("#kept .message").waitFor();
    await page.getByRole("button", { name: "Log out" }).click();
    await page.locator("#token").waitFor();
    await logIn(token);
    await page.waitForSelector("html[data-live=yes]", { state: "attached" });
    await page.goto(`${url}/messages`);
    await page.locator("#rows .message").first().waitFor();
    assert.equal(await page.locator("#kept .message").count(), 0);
  },
);

Deno.test(
  { name: "The dashboard in both themes and widths", ignore },
  async (t) => {
    await using scene = await Scene.open();
    await using browser = await openBrowser();
    await scene.send("attic", 2);
    await scene.send("hall", 3);
    for (
      const [width, colorScheme] of [[1200, "light"], [360, "dark"]] as const
    ) {
      await t.step(`${width} pixels, ${colorScheme}`, async () => {
        const context = await browser.newContext({
          viewport: { width, height: 700 },
          colorScheme,
          reducedMotion: "reduce",
        });
        const page = await context.newPage();
        const wrong = complaints(page);
        for (const name of PAGES) {
          await go(page, scene, name);
          if (name === "") await page.locator(".finding").first().waitFor();
          if (name === "dead" || name === "messages") {
            await page.locator("main li summary").first().click();
          }
          if (name === "actions") {
            await page.locator("#can li").first().waitFor();
          }
          if (name === "queues") {
            // A name may be long, and have no place to break at.
            await page.locator(".card-head h2").first()
              .evaluate((title) => title.textContent = "q".repeat(200));
          }
          const overflow = await page.evaluate<number>(
            "document.documentElement.scrollWidth - innerWidth",
          );
          assert.ok(overflow <= 0, `${name} is ${overflow} too wide`);
          // The structure is the same as before; colours and sizes are not.
          const rules = ["color-contrast", "target-size"];
          const found = await violations(
            page,
            colorScheme === "dark" ? rules : undefined,
          );
          assert.deepEqual(found, [], name);
        }
        // Everything can be reached by the keyboard, first of all the content.
        await page.keyboard.press("Tab");
        const focused = await page.evaluate<string>(
          "document.activeElement.textContent",
        );
        assert.equal(focused, "To the content");
        assert.deepEqual(wrong, []);
        await context.close();
      });
    }
  },
);
