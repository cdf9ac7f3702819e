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

const charts = new Charts(document);
const messages = new Messages(document);
localTimes(document);
handleForms(document);
// On a phone the pages are beside each other, and more than fit.
document.querySelector("nav [aria-current]")
  ?.scrollIntoView({ inline: "center", block: "nearest" });
followServer({
  page: document.documentElement.dataset["page"] ?? "",
  base: document.documentElement.dataset["base"] ?? "",
  newest: () => messages.newest,
  onPoints: (points) => charts.add(points),
  onRows: (html) => messages.add(html),
  onReconnect: () => messages.reload(),
});
