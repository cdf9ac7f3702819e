/**
 * Runs in the browser: follows the server's events, sends what
 * somebody has changed, and draws lines. All texts come escaped from the server,
 * or are set as text.
 *
 * @module
 */

import type { Charts } from "./charts.ts";
import { followServer } from "./follow.ts";
import { handleForms } from "./forms.ts";
import { Messages } from "./messages.ts";
import { localTimes } from "./morph.ts";

const { page = "", base = "", charts: chartsFile = "" } =
  document.documentElement.dataset;
const messages = new Messages(document);
localTimes(document);
handleForms(document);
// On a phone the pages are beside each other, and more than fit.
if (matchMedia("(max-width: 760px)").matches) {
  document.querySelector("nav [aria-current]")
    ?.scrollIntoView({ inline: "center", block: "nearest" });
}
// Nobody waits for lines, nor for news, before there is a page to see.
await painted();
const charts = drawLines();
// The page that asks for the password has nothing to follow yet.
if (document.querySelector("#offline") !== null) {
  followServer({
    page,
    base,
    newest: () => messages.newest,
    onPoints: async (points) => (await charts)?.add(points),
    onRows: (html) => messages.add(html),
    onReconnect: () => messages.reload(),
  });
}

/** Loads what draws lines, where there are any. */
async function drawLines(): Promise<Charts | undefined> {
  if (document.querySelector("[data-chart]") === null) return undefined;
  const { Charts }: typeof import("./charts.ts") = await import(chartsFile);
  return new Charts(document);
}

/** Waits until the page has been painted; one that is not in sight never is. */
function painted(): Promise<unknown> {
  const { promise, resolve } = Promise.withResolvers<unknown>();
  document.addEventListener("visibilitychange", resolve, { once: true });
  if (document.hidden) resolve(undefined);
  if (PerformanceObserver.supportedEntryTypes.includes("paint")) {
    new PerformanceObserver(resolve).observe({ type: "paint", buffered: true });
  } else requestAnimationFrame(() => setTimeout(resolve));
  return promise;
}
