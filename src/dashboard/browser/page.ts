/**
 * Runs in the browser: follows the server's events, sends what
 * somebody has changed, and draw lines. All texts come escaped from the server,
 * or are set as text.
 *
 * @module
 */

import { Charts } from "./charts.ts";
import { followServer } from "./follow.ts";
import { handleForms } from "./forms.ts";
import { Messages } from "./messages.ts";
import { localTimes } from "./morph.ts";

const messages = new Messages(document);
localTimes(document);
handleForms(document);
// On a phone the pages are beside each other, and more than fit.
document.querySelector("nav [aria-current]")
  ?.scrollIntoView({ inline: "center", block: "nearest" });
// Nobody waits for lines before there is a page to see.
await painted();
const charts = new Charts(document);
followServer({
  page: document.documentElement.dataset["page"] ?? "",
  base: document.documentElement.dataset["base"] ?? "",
  newest: () => messages.newest,
  onPoints: (points) => charts.add(points),
  onRows: (html) => messages.add(html),
  onReconnect: () => messages.reload(),
});

/** Waits until the page has been painted; one that is not in sight never is. */
function painted(): Promise<void> {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve));
    if (document.hidden) resolve();
  });
}
