import { html } from "hono/html";
import type { Context } from "hono";
import type { Desk, Html, Page, PagePart } from "../page.ts";
import type { QueueReading, UnreadQueue } from "../survey.ts";
import { amount, number, span } from "../../units.ts";
import { chip, pausedFor, stepsOf } from "../words.ts";

/** The page with the queues, and how long each was. */
export const queuesPage: Page = {
  name: "queues",
  title: "Queues",
  render: (desk) =>
    html`
      <div class="page-head">
        <h1>Queues</h1>
        <p
          class="quiet">How many messages wait, with those that are to be tried again.</p>
      </div>
      <section class="card chart-card" aria-label="Length over time">${lineOf(
        desk,
      )}
      <p class="quiet foot">The line begins when somebody looks; nothing is asked of Redis otherwise.</p></section>
      ${queuesPart(desk).html}
    `,
  parts: (desk) => [queuesPart(desk)],
  routes: (app, desk) => {
    for (const verb of ["pause", "resume"] as const) {
      app.post(`/queues/${verb}`, async (context) => {
        const queue = await queueOf(context, desk);
        await desk.backend[`${verb}Queue`](queue);
        desk.live.wake();
        return context.json({ message: `${queue} ${DONE[verb]}` });
      });
    }
  },
  tick: ({ survey }, viewer) => {
    const level = survey.levels.at(-1);
    if (level === undefined) return;
    const point = {
      chart: "lengths",
      time: Math.floor(level.time),
      values: level.lengths,
    };
    viewer.send("points", JSON.stringify(point));
  },
};

/** Says what has become of a queue. */
const DONE = {
  pause: "is paused: what is in hand is finished.",
  resume: "goes on.",
} as const;

/** Reads which queue is meant; only those that are shown can be. */
async function queueOf(context: Context, desk: Desk): Promise<string> {
  const queue = String((await context.req.formData()).get("queue") ?? "");
  if (!desk.queues.includes(queue)) {
    throw new TypeError(`There is no queue "${queue}" on this page`);
  }
  return queue;
}

function lineOf({ queues, survey }: Desk): Html {
  const columns = [
    stepsOf(survey.levels.map(({ time }) => Math.floor(time))),
    ...queues.map((_, at) =>
      survey.levels.map(({ lengths }) => lengths[at] ?? null)
    ),
  ];
  return html`
    <div class="chart" data-chart="lengths" data-series="${JSON.stringify(
      queues,
    )}"
      data-columns="${JSON.stringify(columns)}" role="img"
      aria-label="The length of each queue over time"></div>
  `;
}

function queuesPart(desk: Desk): PagePart {
  const { survey, queues } = desk;
  const reading = survey.current;
  const rows = reading?.queues ?? [];
  return {
    id: "queues",
    html: html`<div id="queues" class="stack">${
      reading?.error !== undefined
        ? html`<p class="card problem" role="alert">${reading.error.message}</p>`
        : rows.length === 0
        ? html`<p class="card empty">Looking at ${
          amount(queues.length, "queue")
        }…</p>`
        : [
          ...reading!.unread.map(unreadCard),
          ...rows.map((reading) => queueCard(desk, reading)),
        ]
    }</div>`,
  };
}

function unreadCard({ queue, error }: UnreadQueue): Html {
  return html`
    <section class="card">
      <div class="card-head">
        <h2 class="mono">${queue}</h2>
      </div>
      <p class="problem" role="alert">${error.message}</p>
    </section>
  `;
}

function queueCard(
  desk: Desk,
  {
    queue,
    length,
    retrying,
    delayed,
    pause,
    inFlight,
    age,
    consumers,
    deadLetters,
  }: QueueReading,
): Html {
  const facts: [string, string][] = [
    ["Waiting", number(length)],
    [
      "Oldest",
      length === 0 ? "–" : age === undefined ? "not known" : span(age),
    ],
    ["Retrying", number(retrying)],
    ["Delayed", number(delayed)],
    ["In hand", number(inFlight)],
    ["Consumers", number(consumers.length)],
    ["Dead letters", number(deadLetters.count)],
  ];
  return html`
    <section class="card">
      <div class="card-head">
        <h2 class="mono">${queue}</h2>${pause === undefined
          ? ""
          : chip("paused", pausedFor(pause))}${desk.isReadOnly
          ? ""
          : switchOf(desk, queue, pause !== undefined)}
      </div>
      <dl class="facts">${facts.map(([name, value]) =>
        html`
          <div>
            <dt>${name}</dt>
            <dd>${value}</dd>
          </div>
        `
      )}</dl>
    </section>
  `;
}

/** A button that pauses a queue, or lets it go on. */
function switchOf(desk: Desk, queue: string, isPaused: boolean): Html {
  const [verb, title] = isPaused ? ["resume", "Resume"] : ["pause", "Pause"];
  return html`
    <form data-post method="post"
      action="${desk.path(
        `/queues/${verb}`,
      )}"><input type="hidden" name="queue" value="${queue}"><button
        title="${title} it for all consumers">${title}</button></form>
  `;
}
