import { html, raw } from "hono/html";
import type { Context } from "hono";
import { Message } from "../../message/mod.ts";
import {
  type DeadLetter,
  hasPayload,
  isWhole,
} from "../../redis/dead_letter.ts";
import { amount, number, shorten, size } from "../../units.ts";
import {
  type DeadGroup,
  type DeadQuery,
  type DeadRow,
  type DeadView,
  idsOf,
  readDead,
  withTokens,
} from "../dead_view.ts";
import type { Desk, Html, Page, PagePart } from "../page.ts";
import { ago, chip, clock, typeChip } from "../words.ts";

/** So many are shown at first, and more with each click. */
const ROWS = 50;
/** The most that are shown. */
const MAX_ROWS = 1000;
/** Beyond so many the page follows only what it has done itself: reading them all takes its time. */
const MAX_FOLLOWED = 2000;

/** Names what is done with dead letters. */
const VERBS = { requeue: "Requeue", purge: "Purge" } as const;
type Verb = keyof typeof VERBS;

/** The page with the messages that could not be handled. */
export const deadPage: Page = {
  name: "dead",
  title: "Dead letters",
  render: async (desk, query) => {
    const wanted = readQuery(query);
    return html`
      <div class="page-head">
        <h1>Dead letters</h1>
        <p class="quiet">Messages that could not be handled, kept byte for byte.</p>
      </div>
      <form class="toolbar" role="search" method="get" data-search="dead-list">
        <label class="sr" for="q">Find</label>
        <input id="q" name="q" type="search" value="${wanted.text}"
          placeholder="Find in errors and messages" autocomplete="off">
        <input type="hidden" name="reason" value="${wanted.reason}">
        <input type="hidden" name="error" value="${wanted.error}">
      </form>
      ${await viewOf(desk, query).catch(problemOf)}
    `;
  },
  parts: async (desk, query) => {
    const state = stateOf(desk);
    if (state === undefined) return [];
    const key = JSON.stringify([state, query.toString()]);
    const views = VIEWS.get(desk) ?? new Map<string, PagePart[]>();
    VIEWS.set(desk, views);
    const known = views.get(key);
    if (known !== undefined) return known;
    let html: Html;
    try {
      html = await viewOf(desk, query);
    } catch {
      // What is shown stays, and what was chosen there; the next look may succeed.
      return [];
    }
    const parts = [{ id: "dead-list", html }];
    if (views.size >= MAX_VIEWS) views.clear();
    views.set(key, parts);
    return parts;
  },
  routes: (app, desk) => {
    for (const verb of Object.keys(VERBS) as Verb[]) {
      app.post(
        `/dead/${verb}`,
        (context) => change(context, desk, verb),
      );
    }
    app.post("/dead/edit", (context) => edit(context, desk));
  },
};

/** Keeps what was shown last, so that the letters are only read when something has changed. */
const VIEWS = new WeakMap<Desk, Map<string, PagePart[]>>();
const MAX_VIEWS = 8;
/** Ages are shown anew after so many seconds. */
const REPEAT = 10;

/** Tells what the list depends on; `undefined` where what was loaded is to stay. */
function stateOf({ survey, changes }: Desk): unknown {
  const queues = survey.current?.queues ?? [];
  const now = Date.now() / 1000;
  const states = queues.map(({ deadLetters: { count, oldest = 0 } }) =>
    [count, Math.round(now - oldest)] as const
  );
  const total = states.reduce((sum, [count]) => sum + count, 0);
  if (total > MAX_FOLLOWED) return changes.ended || undefined;
  return [states, Math.floor(now / REPEAT)];
}

function readQuery(query: URLSearchParams): DeadQuery {
  const limit = Number(query.get("limit")) || ROWS;
  return {
    text: query.get("q") ?? "",
    reason: query.get("reason") ?? "",
    error: query.get("error") ?? "",
    limit: Math.min(Math.max(limit, ROWS), MAX_ROWS),
  };
}

async function viewOf(desk: Desk, query: URLSearchParams): Promise<Html> {
  const wanted = readQuery(query);
  const view = await readDead(desk.dead, wanted);
  if (view.total === 0) {
    return html`
      <div id="dead-list">
        <div
          class="card empty big"><span class="sign" aria-hidden="true">✓</span><p><strong>No dead letters. Good.</strong></p><p class="quiet">What fails too often, or is no message, would be kept here.</p></div>
      </div>
    `;
  }
  return html`<div id="dead-list">${groupsOf(desk, view.groups, wanted)}${
    letterList(desk, view, wanted)
  }</div>`;
}

function problemOf(error: Error): Html {
  return html`
    <div id="dead-list">
      <p class="card problem" role="alert">${error.message}</p>
    </div>
  `;
}

function groupsOf(
  desk: Desk,
  groups: readonly DeadGroup[],
  wanted: DeadQuery,
): Html {
  const shown = groups.slice(0, 8);
  return html`
    <section class="card flush"
      aria-labelledby="groups-title"><h2 id="groups-title">Why they failed</h2><ul class="groups">${shown
        .map((group) => {
          const { reason, error, count, newest } = group;
          const isChosen = wanted.reason === reason && wanted.error === error;
          const query = new URLSearchParams(isChosen ? {} : { reason, error });
          return html`<li${
            isChosen ? raw(' class="chosen"') : ""
          }><a class="group" href="?${query.toString()}"${
            isChosen ? raw(' aria-current="true"') : ""
          }>${chip(reason)}<span class="error">${
            shorten(error, 200)
          }</span><span class="quiet">${
            newest > 0 ? html`last ${ago(newest)}` : ""
          }</span><span class="count">${number(count)}</span></a>${
            desk.isReadOnly ? "" : [
              groupForm(desk, group, "requeue"),
              groupForm(desk, group, "purge"),
            ]
          }</li>`;
        })}</ul>${groups.length > shown.length
        ? html`<p class="quiet foot">and ${
          amount(groups.length - shown.length, "other error")
        }</p>`
        : ""}</section>
  `;
}

/** A button that does something with all that failed for one reason. */
function groupForm(
  desk: Desk,
  { reason, error, count }: DeadGroup,
  verb: Verb,
): Html {
  const [word, title, kind] = verb === "requeue"
    ? ["Retry", "Retry all", ""]
    : ["Purge", "Purge", "danger"];
  return html`
    <form method="post" action="${desk.path(`/dead/${verb}`)}"
      data-post><input type="hidden" name="reason" value="${reason}"><input type="hidden" name="error" value="${error}"><button class="${kind}" aria-label="${word} all ${number(
        count,
      )} that are ${reason}: ${shorten(error, 80)}">${title}</button></form>
  `;
}

function letterList(desk: Desk, view: DeadView, wanted: DeadQuery): Html {
  const { rows, fitting, total, isPartial } = view;
  const isFiltered = fitting < total;
  return html`
    <form class="card flush" method="post" action="${desk.path(
      "/dead/requeue",
    )}" data-post
      data-selection>
    <div class="card-head list-head"><label class="all"><input type="checkbox" data-all${desk
        .isReadOnly
      ? html`
        hidden
      `
      : ""}> <span>${isFiltered
      ? html`${number(fitting)} of ${amount(total, "dead letter")}`
      : amount(total, "dead letter")}${isPartial
      ? ", the oldest; there are more"
      : ""}</span></label>${total > MAX_FOLLOWED
      ? html`<span class="quiet">read at ${clock(Date.now() / 1000)}</span>`
      : ""}${isFiltered
      ? html`<a href="?">Show all</a>`
      : ""}<span class="spacer"></span>${desk.isReadOnly ? "" : html`
      <span class="quiet" data-chosen></span><button disabled
        data-bulk data-own="disabled">Requeue</button><button disabled data-bulk
        data-own="disabled"
        class="danger"
        formaction="${desk.path("/dead/purge")}">Purge</button>
    `}</div>
    ${rows.length === 0
      ? html`<p class="empty">None of them is like that.</p>`
      : html`<ol class="letters">${
        rows.map((row) => letterOf(desk, row))
      }</ol>`}
    ${fitting > rows.length && rows.length < MAX_ROWS
      ? html`<p class="foot"><a href="?${
        new URLSearchParams({
          q: wanted.text,
          reason: wanted.reason,
          error: wanted.error,
          limit: String(wanted.limit + 200),
        }).toString()
      }">Show more</a></p>`
      : ""}</form>
  `;
}

function letterOf(desk: Desk, row: DeadRow): Html {
  const { letter, subject, text, isCut } = row;
  const { id, reason, error, time, deliveries, queue } = letter;
  const mayEdit = text !== undefined && !isCut && !desk.isReadOnly;
  return html`
    <li class="letter"
      id="letter-${id}">${desk.isReadOnly ? "" : html`
        <input type="checkbox" name="id" value="${id}"
          aria-label="Choose ${shorten(subject, 60)}">
      `}<details><summary>${typeChip(subject)}${chip(
        reason,
      )}<span class="error">${shorten(
        error,
        160,
      )}</span><span class="quiet age">${time > 0
        ? ago(time)
        : "long ago"}</span></summary><div class="opened" data-letter="${id}"><dl class="facts"><div><dt>Error</dt><dd>${error}</dd></div><div><dt>Since</dt><dd>${time >
          0
        ? clock(time)
        : "not known"}</dd></div><div><dt>Delivered</dt><dd>${amount(
          deliveries,
          "time",
        )}</dd></div><div><dt>Queue</dt><dd class="mono">${queue}</dd></div><div><dt>Size</dt><dd>${size(
          letter.size,
        )}</dd></div></dl>${textOf(row, mayEdit)}${desk.isReadOnly
        ? ""
        : buttonsOf(desk, letter, mayEdit)}</div></details></li>
  `;
}

/** Shows the text of a dead letter, or says why it cannot be shown. */
function textOf({ letter, text, isCut }: DeadRow, mayEdit: boolean): Html {
  if (text === undefined) {
    return html`
      <p class="quiet">${hasPayload(letter)
        ? "It is not a text, so it can be requeued or purged, but not shown."
        : isWhole(letter)
        ? html`It is too large to be shown; it can be requeued or purged. In Redis it is at <code>${letter.key}</code>.`
        : "Of its text only the size is left: a newer one that is as large has taken the place."}</p>
    `;
  }
  const { id } = letter;
  const shown = pretty(text);
  return html`
    <label for="text-${id}">Message</label><textarea id="text-${id}"
      class="mono" spellcheck="false" rows="${Math.min(
        12,
        shown.split("\n").length + 1,
      )}"
      ${mayEdit ? "" : html`
        readonly
      `}>${shown}</textarea>${isCut
        ? html`
          <p
            class="quiet">This is the beginning. <code>platypush-redis dead show ${id}</code> shows all of it.</p>
        `
        : ""}
  `;
}

/** Offers what can be done with a dead letter. */
function buttonsOf(desk: Desk, letter: DeadLetter, mayEdit: boolean): Html {
  const { id } = letter;
  return html`
    <div
      class="actions">${isWhole(letter)
        ? html`<button name="only" value="${id}">Requeue</button>`
        : ""}${mayEdit
        ? html`<button type="button" data-edit="${
          desk.path("/dead/edit")
        }">Requeue as edited</button>`
        : ""}<button class="danger" name="only" value="${id}" formaction="${desk
        .path("/dead/purge")}">Purge</button></div>
  `;
}

/** Lays out JSON; what else it is stays as it is. Numbers keep their digits. */
function pretty(text: string): string {
  if (text.length > 65_536 || /\d{16}/.test(text)) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

/** Requeues or purges what was chosen, or all that failed for one reason. */
async function change(
  context: Context,
  desk: Desk,
  verb: Verb,
): Promise<Response> {
  const form = await context.req.formData();
  const field = (name: string): string => String(form.get(name) ?? "");
  const chosen = field("only")
    ? [field("only")]
    : form.getAll("id").map(String);
  const isGroup = field("reason") !== "";
  const ids = isGroup
    ? await idsOf(desk.dead, {
      text: "",
      reason: field("reason"),
      error: field("error"),
    })
    : chosen;
  if (ids.length === 0) {
    return context.json({ message: "None of them is there any more." }, 409);
  }
  const title = `${VERBS[verb]} ${amount(ids.length, "message")}`;
  desk.changes.begin(
    title,
    ids.length,
    (onProgress) => desk.dead[verb]({ id: ids }, { onProgress }),
  );
  return context.json({});
}

const GONE = "It is not there any more, so nothing was sent.";

/** Requeues a message in other words, unless somebody else has dealt with it meanwhile. */
async function edit(context: Context, desk: Desk): Promise<Response> {
  const form = await context.req.formData();
  const id = String(form.get("id") ?? "");
  const typed = String(form.get("text") ?? "");
  const { deviceId } = desk.backend;
  // What is no message would be back at once.
  Message.build(typed, { deviceId });
  const [letter] = await Array.fromAsync(desk.dead.list({ id }));
  if (letter === undefined) return context.json({ message: GONE }, 409);
  const text = withTokens(typed, letter);
  const payload = compact(text) ?? String(Message.build(text, { deviceId }));
  desk.changes.begin("Requeue 1 message as edited", 1, async () => {
    const count = await desk.dead.requeue({ id }, { payload });
    if (count === 0) throw new RangeError(GONE);
    return count;
  });
  return context.json({});
}

/** Writes JSON on one line, with every digit as it was typed. */
function compact(text: string): string | undefined {
  if (/\d{16}/.test(text)) return text.trim();
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return undefined;
  }
}
