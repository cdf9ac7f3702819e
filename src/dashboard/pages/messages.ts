import { html } from "hono/html";
import type { Hono } from "hono";
import { detailsLine } from "../../message/details_line.ts";
import { readFilter, type Wanted } from "../read_filter.ts";
import type { Viewer } from "../live.ts";
import type { Desk, Html, Page } from "../page.ts";
import type { PassedMessage } from "../passed.ts";
import { showTurnsInHtml } from "../turns.ts";
import { number, shorten } from "../../units.ts";
import { Alarm } from "../../waiting.ts";
import { chip, clock, typeChip } from "../words.ts";

/** So many rows are shown at first, and kept by the browser. */
const ROWS = 200;
/** A message of up to so many characters goes with its row; a longer one is asked for when it is opened. */
const SMALL = 4096;
/** So many rows are sent to one browser in a second. */
const ROWS_PER_SECOND = 40;
/** So long rows wait for others to be sent with, in seconds. */
const PORTION = 0.05;

/** The page with the messages as they pass. */
export const messagesPage: Page = {
  name: "messages",
  title: "Messages",
  render: (desk, query) => {
    const text = query.get("filter") ?? "";
    return html`
      <div class="page-head">
        <h1>Messages</h1>
        <p
          class="quiet">As they pass, the newest first. To look takes nothing away from anybody.</p>
      </div>
      ${desk.bus === undefined
        ? html`
          <div class="card note">
            <p><strong>Messages can only be seen by the program that takes them off the queue.</strong></p>
            <p>Redis hands each message out once: showing it here would take it away there.</p>
            <ul>
              <li>In the program that takes them, <code>dashboard({ backend })</code> serves this page with all that passes.</li>
              <li>The command line shows what passes on the main bus of a Platypush with <code>dashboard --bus</code>.</li>
              <li>The other pages show how many wait, are in hand and have failed, here, too.</li>
            </ul>
          </div>
        `
        : html`
          <form class="toolbar" role="search" data-filter>
            <label class="sr" for="filter">Filter</label>
            <input id="filter" name="filter" type="search" value="${text}"
              placeholder="type:Motion room:hall" autocomplete="off" spellcheck="false"
              aria-describedby="filter-problem">
            <button type="button" data-pause aria-pressed="false">Pause</button>
            <details class="help">
              <summary>How to filter</summary>
              <div>
                <p><code>hall</code> finds it anywhere. <code>type:Motion</code>, <code>kind:request</code>, <code>from:lamp</code>, <code>to:hall</code> and <code>id:3f</code> look there, and any other name is that of an argument: <code>room:hall</code>. <code>-room:attic</code> leaves out.</p>
                <p>A condition as <code>bus.on</code> takes it works, too: <code>{"type": "custom.Motion", "level": {"$gt": 3}}</code></p>
              </div>
            </details>
          </form>
          <section id="kept-card" class="card" hidden>
            <h2>Kept <span class="quiet">in this tab, until it is closed</span></h2>
            <ol id="kept" class="messages"></ol>
          </section>
        `}
      ${resultOf(desk, text)}
    `;
  },
  follow: followMessages,
  routes: (app, desk) => {
    app.get("/messages/list", async (context) => {
      const text = context.req.query("filter") ?? "";
      return context.html(showTurnsInHtml(String(await resultOf(desk, text))));
    });
    app.get("/messages/:id", (context) => {
      const found = desk.passed.find(context.req.param("id"));
      return found === undefined
        ? context.text("This message is no longer kept.", 404)
        : context.body(found.json, 200, { "content-type": "application/json" });
    });
    sendAgain(app, desk);
  },
};

function sendAgain(app: Hono, { backend, passed }: Desk): void {
  app.post("/messages/send", async (context) => {
    const form = await context.req.formData();
    const kept = passed.find(String(form.get("id")));
    if (kept === undefined) {
      return context.json({
        message:
          "The server has forgotten this message: copy it as JSON, and send that.",
      }, 409);
    }
    await backend.sendMessage(kept.message);
    return context.json({ message: `Sent to ${[backend.queue].flat()[0]}` });
  });
}

/** The rows, or what is wrong with the filter. */
function resultOf(desk: Desk, text: string): Html {
  if (desk.bus === undefined) return html``;
  let wanted: Wanted;
  try {
    wanted = readFilter(text);
  } catch (error) {
    return html`
      <div id="passed">
        <p id="filter-problem" class="problem" role="alert">${(error as Error)
          .message}</p>
      </div>
    `;
  }
  const rows = newestOf(desk, text, wanted);
  return html`
    <div id="passed">
      <p id="filter-problem" hidden></p>
      <div class="card flush">
        <p class="empty" data-empty${rows.length > 0
          ? html`
            hidden
          `
          : ""}>${text === ""
          ? "Nothing has passed within the last hour. What comes is here at once."
          : "Nothing like that has passed within the last hour. What comes is here at once."}</p>
        <ol id="rows" class="messages" data-limit="${ROWS}">${rows.map((row) =>
          rowOf(desk, row)
        )}</ol>
      </div>
    </div>
  `;
}

function newestOf(
  { passed }: Desk,
  text: string,
  wanted: Wanted,
): PassedMessage[] {
  const all = passed.newest();
  if (text.trim() === "") return all.slice(0, ROWS);
  const found: PassedMessage[] = [];
  for (const each of all) {
    if (wanted(each.message)) found.push(each);
    if (found.length === ROWS) break;
  }
  return found;
}

/** Shows a viewer what passes, until that is ended. */
function followMessages(
  desk: Desk,
  viewer: Viewer,
  query: URLSearchParams,
): () => void {
  if (desk.bus === undefined) return () => {};
  const text = query.get("filter") ?? "";
  let wanted: Wanted;
  try {
    wanted = readFilter(text);
  } catch {
    return () => {}; // The page says what is wrong with it.
  }
  const rows = new LiveRows(desk, viewer, text.trim() !== "");
  const take = (passed: PassedMessage): void => {
    if (wanted(passed.message)) rows.add(passed);
  };
  // What has passed since the page was made, which shows the one that is named.
  for (const passed of desk.passed.after(query.get("after") ?? "")) {
    take(passed);
  }
  const end = desk.passed.listen(take);
  return () => {
    end();
    rows[Symbol.dispose]();
  };
}

/** Sends rows to a viewer, in portions, and says how many are left out. */
class LiveRows implements Disposable {
  readonly #desk: Desk;
  readonly #viewer: Viewer;
  readonly #isFiltered: boolean;
  readonly #alarm = new Alarm(() => this.#flush());
  readonly #second: ReturnType<typeof setInterval>;
  #rows: PassedMessage[] = [];
  #takenThisSecond = 0;
  /** The number of rows that were left out since the last portion. */
  #skipped = 0;
  /** Those of {@linkcode Passed.skipped} that the viewer knows of. */
  #missedBefore: number;

  constructor(desk: Desk, viewer: Viewer, isFiltered: boolean) {
    this.#desk = desk;
    this.#viewer = viewer;
    this.#isFiltered = isFiltered;
    this.#missedBefore = desk.passed.skipped;
    this.#second = setInterval(() => {
      this.#takenThisSecond = 0;
      this.#flush();
    }, 1000);
    Deno.unrefTimer(this.#second);
  }

  add(passed: PassedMessage): void {
    if (this.#takenThisSecond >= ROWS_PER_SECOND) {
      this.#skipped++;
      return;
    }
    this.#takenThisSecond++;
    this.#rows.push(passed);
    this.#alarm.advance(PORTION);
  }

  #flush(): void {
    this.#alarm.set(Infinity);
    const missed = this.#desk.passed.skipped - this.#missedBefore;
    const left = this.#skipped + missed;
    if (this.#rows.length === 0 && left === 0) return;
    const rows = this.#rows.toReversed();
    this.#rows = [];
    const items = rows.map((row) => rowOf(this.#desk, row));
    const note = left > 0
      ? [skippedRow(left, missed > 0 && this.#isFiltered)]
      : [];
    const text = String(html`${[...note, ...items]}`);
    if (this.#viewer.sendHtml("rows", text)) {
      this.#missedBefore += missed;
      this.#skipped = 0;
    } else this.#skipped += rows.length;
  }

  [Symbol.dispose](): void {
    clearInterval(this.#second);
    this.#alarm[Symbol.dispose]();
  }
}

function skippedRow(count: number, isUnfiltered: boolean): Html {
  return html`
    <li
      class="skipped">${number(count)} ${count === 1
        ? "message was"
        : "messages were"} not shown: too many at once${isUnfiltered
        ? ", so the filter has not seen all of them"
        : ""}.</li>
  `;
}

function rowOf(desk: Desk, row: PassedMessage): Html {
  const { id, time, label, subject, failed, origin, target } = row;
  const route = origin === target ? target : `${origin} → ${target}`;
  const isSmall = row.json.length <= SMALL;
  return html`
    <li class="message" data-id="${id}" ${isSmall
      ? html`
        data-json="${row.json}"
      `
      : ""}>
      <details>
        <summary>${clock(time)}${chip(
          failed ? "failed" : label,
          label,
        )}${typeChip(subject)}<span class="route">${shorten(
          route,
          60,
        )}</span><span class="details">${shorten(
          detailsLine(row.details),
          160,
        )}</span></summary>
        <div class="opened">
          <div class="tree"></div>
          <div
            class="actions"><button type="button" data-copy>Copy as JSON</button><button type="button" data-keep>Keep</button>${desk
                .isReadOnly
              ? ""
              : html`<button type="button" data-send>Send again</button>`}</div>
        </div>
      </details>
    </li>
  `;
}
