import { html, raw } from "hono/html";
import { VERSION } from "../version.ts";
import type { Change } from "./changes.ts";
import type { Desk, Html, Page, PagePart } from "./page.ts";
import { amount, number } from "../units.ts";
import {
  CHARTS_PATH,
  ICON_PATH,
  SCRIPT_PATH,
  STYLE_PATH,
} from "./serve_asset.ts";
import { verdictOf } from "./verdict.ts";

/** Pictures beside the names of the pages, each drawn on 20 × 20. */
const ICONS: Readonly<Record<string, string>> = {
  "": '<path d="M2 11h3l2.5-6 4 11 2.5-7 1 2h3"/>',
  messages:
    '<path d="M3 4.5h14v9H9L5.5 17v-3.5H3z"/><path d="M6.5 8h7M6.5 10.5h4"/>',
  queues: '<path d="M3 5h14M3 10h14M3 15h9"/>',
  dead:
    '<path d="M2.5 11 5 4h10l2.5 7v5h-15z"/><path d="M2.5 11H7l1 2h4l1-2h4.5"/>',
  peers:
    '<circle cx="10" cy="4.5" r="2"/><circle cx="4.5" cy="15" r="2"/><circle cx="15.5" cy="15" r="2"/><path d="m9 6.3-3.6 6.900M11 6.300l3.6 6.900M6.5 15h7"/>',
  actions: '<path d="M11.5 2 4 11.500h5L8.5 18 16 8.500h-5z"/>',
  settings:
    '<path d="M3 6h7m4 0h3M3 14h3m4 0h7"/><circle cx="12" cy="6" r="2"/><circle cx="8" cy="14" r="2"/>',
};

/** Draws the picture of a page. */
function icon(name: string): Html {
  return html`<svg viewBox="0 0 20 20" aria-hidden="true">${
    raw(ICONS[name] ?? "")
  }</svg>`;
}

/**
 * The beginning of a page: all that a browser needs to load what the page is made
 * of, so it is sent before anybody is asked what is in it.
 */
export function beginningOf({ path, backend }: Desk, page: Page): string {
  const head = headOf(path, `${page.title} · ${backend.deviceId}`);
  return `<!doctype html>
${html`
    <html lang="en" data-base="${path("")}" data-page="${page.name}"
      data-charts="${path(CHARTS_PATH)}">
      <head>${head}</head>
  `}
`;
}

/** The rest of a page, with what is in it. */
export function restOf(
  desk: Desk,
  pages: readonly Page[],
  page: Page,
  main: Html,
): Html {
  const { deviceId } = desk.backend;
  return html`
    <body>
    <a class="skip" href="#main">To the content</a>
    <header class="top">
      <a class="brand" aria-label="Platypush on Redis" href="${desk.path(
        "/",
      )}">${icon(
        "",
      )}<span>Platypush <span class="quiet">on Redis</span></span></a>
      <span class="device"><span class="quiet">Device</span> <strong>${deviceId}</strong></span>
      ${statusPart(desk).html}
      ${desk.hasToken
        ? html`
          <form method="post"
            action="${desk.path(
              "/logout",
            )}"><button class="link">Log out</button></form>
        `
        : ""}
    </header>
    <p id="offline" class="offline" role="alert" hidden>The connection to this page's server is lost. Trying again…</p>
    <noscript><p class="offline">This page needs JavaScript to follow what happens, and to show what its buttons have done.</p></noscript>
    <nav aria-label="Pages"><ul>${pages.map((each) =>
      html`<li><a href="${desk.path(`/${each.name}`)}"${
        each === page ? raw(' aria-current="page"') : ""
      }>${icon(each.name)}<span>${each.title}</span>${
        each.name === "dead" ? badgePart(desk).html : ""
      }</a></li>`
    )}</ul><p class="version">Version ${VERSION}${desk.isReadOnly
      ? html`<br>Read only`
      : ""}</p></nav>
    <main id="main" tabindex="-1">${main}</main>
    ${changesPart(desk).html}
    <div id="toasts" role="status" aria-live="polite"></div>
      </body>
    </html>
  `;
}

function headOf(path: Desk["path"], title: string): Html {
  return html`<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<link rel="icon" href="${path(ICON_PATH)}" type="image/svg+xml">
<link rel="stylesheet" href="${path(STYLE_PATH)}">
<script type="module" src="${path(SCRIPT_PATH)}"></script>`;
}

/** The page that asks for the password. */
export function loginPage(path: Desk["path"], problem = ""): Html {
  return html`
    <!doctype html>
    <html lang="en" data-base="${path("")}">
      <head>${headOf(path, "Log in")}</head>
      <body class="alone">
        <main id="main">
          <form class="card login" method="post" action="${path("/login")}">
      <h1>${icon("")} Platypush on Redis</h1>
      <label for="token">Password</label>
      <input id="token" name="token" type="password" autocomplete="current-password" required autofocus>
      ${problem ? html`<p class="problem" role="alert">${problem}</p>` : ""}
      <button class="primary">Log in</button>
      <p class="quiet">It is the token that this page was started with.</p>
          </form>
        </main>
      </body>
    </html>
  `;
}

/** A page that only says something. */
export function noticePage(
  path: Desk["path"],
  title: string,
  text: string,
): Html {
  return html`
    <!doctype html>
    <html lang="en">
      <head>${headOf(path, title)}</head>
      <body class="alone">
        <main id="main">
          <div class="card login">
            <h1>${title}</h1>
            <p>${text}</p>
            <p><a href="${path("/")}">To the first page</a></p>
          </div>
        </main>
      </body>
    </html>
  `;
}

/** The parts that every page has. */
export function commonParts(desk: Desk): PagePart[] {
  return [statusPart(desk), badgePart(desk), changesPart(desk)];
}

function statusPart(desk: Desk): PagePart {
  const { level, title } = verdictOf(desk);
  return {
    id: "status",
    html: html`
      <a id="status" class="status status-${level}" aria-live="polite"
        href="${desk.path("/")}"><span class="dot"></span>${title}</a>
    `,
  };
}

function badgePart({ survey }: Desk): PagePart {
  const count = survey.current?.queues
    .reduce((sum, { deadLetters }) => sum + deadLetters.count, 0) ?? 0;
  return {
    id: "badge",
    html: count === 0
      ? html`<span id="badge" hidden></span>`
      : html`<span id="badge" class="badge" title="${
        amount(count, "dead letter")
      }">${number(count)}</span>`,
  };
}

/** Shows what is being changed, with a way to undo it. */
function changesPart(desk: Desk): PagePart {
  return {
    id: "changes",
    html: html`
      <section id="changes" class="changes" aria-label="Changes"
        aria-live="polite">${desk.changes.shown.map((change) =>
          changeCard(desk, change)
        )}</section>
    `,
  };
}

function changeCard(desk: Desk, change: Change): Html {
  const { id, title, state, due, total, count, error } = change;
  const left = Math.max(0, Math.ceil(due - Date.now() / 1000));
  const text: Record<Change["state"], string> = {
    waiting: left === 0 ? "now" : `in ${left} s`,
    running: `${number(count)} of ${number(total)}`,
    done: `Done: ${number(count)} of ${number(total)}`,
    undone: "Undone: nothing was changed",
    failed: error,
  };
  return html`
    <div class="change change-${state}"
      id="change-${id}"><div><strong>${title}</strong> <span class="quiet"${// What changes each second is not spoken.
      state === "waiting" || state === "running"
        ? raw(' aria-live="off"')
        : ""}>${text[state]}</span></div>${state === "waiting"
        ? html`<form method="post" action="${
          desk.path(`/changes/${id}/undo`)
        }" data-post><button>Undo</button></form>`
        : state === "running"
        ? html`
          <progress max="${Math.max(total, 1)}" value="${count}"
            aria-label="${title}"></progress>
        `
        : ""}</div>
  `;
}
