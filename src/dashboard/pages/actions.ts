import { html } from "hono/html";
import type { Context } from "hono";
import { REQUEST_OPTIONS } from "../../backend/message_sender.ts";
import {
  anythingField,
  fieldsOf,
  problemsIn,
  readArgs,
} from "../action_form.ts";
import { type ActionDescription, askForActions } from "../ask_for_actions.ts";
import type { Desk, Html, Page } from "../page.ts";
import { showTurnsInHtml } from "../turns.ts";
import { amount } from "../../units.ts";

/** The longest time that somebody waits for a response, in seconds. */
const MAX_WAIT = 60;
/** The time to wait where nobody says another, in seconds. */
const WAIT = REQUEST_OPTIONS.responseTimeout.default;

/** The page with what the device can do, and to send something by hand. */
export const actionsPage: Page = {
  name: "actions",
  title: "Actions",
  render: (desk) =>
    html`
      <div class="page-head">
        <h1>Actions</h1>
        <p class="quiet">What the device can do, and messages by hand.</p>
      </div>
      <section class="card" aria-labelledby="can-title">
        <h2 id="can-title">What ${desk.backend.deviceId} can do</h2>
        <div id="can" data-load="${desk.path("/actions/list")}">
          <p class="empty">Asking…</p>
        </div>
      </section>
      ${desk.isReadOnly ? "" : html`${requestForm(desk)}${eventForm(desk)}`}
    `,
  routes: (app, desk) => {
    app.get("/actions/list", async (context) => {
      return context.html(showTurnsInHtml(String(await actionList(desk))));
    });
    app.post("/actions/request", (context) => sendRequest(context, desk));
    app.post("/actions/event", (context) => sendEvent(context, desk));
  },
};

async function actionList(desk: Desk): Promise<Html> {
  const { backend } = desk;
  try {
    const actions = await askForActions(backend, backend.deviceId);
    if (actions.length === 0) {
      return html`
        <p
          class="empty">Nothing yet. <span class="quiet"><code>backend.registerAction()</code> adds something.</span></p>
      `;
    }
    return html`
      <p class="quiet">${amount(
        actions.length,
        "action",
      )}, as the device describes them</p>
      <ul class="can">${actions.map((action) => actionOf(desk, action))}</ul>
    `;
  } catch (error) {
    const { name, message } = error as Error;
    return html`<p class="empty">${
      name === "TimeoutError"
        ? "Nobody answers: no program that takes the messages of this device runs now."
        : message
    }</p>`;
  }
}

function actionOf(
  desk: Desk,
  { name, description, parameters, takesMore }: ActionDescription,
): Html {
  return html`
    <li>
      <details>
        <summary><strong class="mono">${name}</strong> <span class="quiet">${description
          .split("\n")[0]}</span></summary>
        <form class="opened fields" method="post" action="${desk.path(
          "/actions/request",
        )}" data-post
          data-show><input type="hidden" name="action" value="${name}"><input type="hidden" name="target" value="${desk
            .backend.deviceId}">${fieldsOf(
              name,
              parameters,
              takesMore,
            )}${desk.isReadOnly
            ? ""
            : html`<button class="primary">Run</button><output></output>`}</form>
      </details>
    </li>
  `;
}

function requestForm(desk: Desk): Html {
  return html`
    <section class="card" aria-labelledby="request-title">
      <h2 id="request-title">Send a request</h2>
      <form class="fields" method="post" action="${desk.path(
        "/actions/request",
      )}" data-post
        data-show><div class="row"><label>Target<input name="target" value="${desk
          .backend
          .deviceId}" required></label><label>Action<input name="action" class="mono" placeholder="light.on" required></label><label class="short">Wait for, s<input name="wait" inputmode="decimal" value="${String(
            WAIT,
          )}"></label></div>${anythingField(
            "request",
            "{}",
          )}<button class="primary">Send</button><output></output></form>
    </section>
  `;
}

function eventForm(desk: Desk): Html {
  return html`
    <section class="card" aria-labelledby="event-title">
      <h2 id="event-title">Send an event</h2>
      <form class="fields" method="post" action="${desk.path("/actions/event")}"
        data-post><div class="row"><label>Target<input name="target" value="${desk
          .backend
          .deviceId}" required></label><label>Type<input name="type" class="mono" placeholder="custom.Motion" required></label></div>${anythingField(
            "event",
            '{"room": "hall"}',
          )}<button class="primary">Send</button></form>
    </section>
  `;
}

async function sendRequest(context: Context, desk: Desk): Promise<Response> {
  const form = await context.req.formData();
  const { args, problems } = readArgs(form);
  if (Object.keys(problems).length > 0) return context.json({ problems });
  const target = String(form.get("target") ?? "");
  const action = String(form.get("action") ?? "").trim();
  const wait = Number(form.get("wait") ?? WAIT);
  const start = performance.now();
  const response = await desk.backend.sendRequest(
    { target, action, args },
    { responseTimeout: Math.min(Math.max(wait || WAIT, 0.1), MAX_WAIT) },
  );
  const milliseconds = performance.now() - start;
  const took = milliseconds < 1000
    ? `${Math.round(milliseconds)} ms`
    : `${(milliseconds / 1000).toFixed(1)} s`;
  const { output, errors } = response;
  const refused = problemsIn(form, errors);
  return context.json({
    problems: refused.problems,
    shown: errors.length > 0
      ? {
        title: `Answered with an error after ${took}`,
        failed: true,
        value: refused.others.length > 0
          ? JSON.stringify(refused.others, null, 2)
          : "The fields above say what is wrong.",
      }
      : {
        title: `Answered after ${took}`,
        failed: false,
        value: JSON.stringify(output, null, 2),
      },
  });
}

async function sendEvent(context: Context, desk: Desk): Promise<Response> {
  const form = await context.req.formData();
  const { args, problems } = readArgs(form);
  if (Object.keys(problems).length > 0) return context.json({ problems });
  const target = String(form.get("target") ?? "");
  const type = String(form.get("type") ?? "").trim();
  await desk.backend.sendEvent({ target, args: { ...args, type } });
  return context.json({ message: `Sent ${type} to ${target}` });
}
