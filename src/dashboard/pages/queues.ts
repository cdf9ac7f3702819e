import { html } from "hono/html";
import type { Desk, Html, Page, Part } from "../page.ts";
import type { QueueReading } from "../survey.ts";
import { amount, number, span } from "../../units.ts";

/** The page with the queues, and how long each was. */
export const queuesPage: Page = {
  name: "queues",
  title: "Queues",
  render: (desk) =>
    html`
      <div class="page-head">
        <h1>Queues</h1>
        <p
          class="quiet">How many messages wait, those that are to be tried again included.</p>
      </div>
      <section class="card chart-card" aria-label="Length over time">${lineOf(
        desk,
      )}
      <p class="quiet foot">The line begins when somebody looks; nothing is asked of Redis otherwise.</p></section>
      ${queuesPart(desk).html}
    `,
  parts: (desk) => [queuesPart(desk)],
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

function lineOf({ queues, survey }: Desk): Html {
  const columns = [
    survey.levels.map(({ time }) => Math.floor(time)),
    ...queues.map((_, at) =>
      survey.levels.map(({ lengths }) => lengths[at] ?? 0)
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

function queuesPart({ survey, queues }: Desk): Part {
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
        : rows.map(queueCard)
    }</div>`,
  };
}

function queueCard(
  { queue, length, paused, inFlight, age, consumers, deadLetters }:
    QueueReading,
): Html {
  const facts: [string, string][] = [
    ["Waiting", number(length)],
    [
      "Oldest",
      length === 0 ? "–" : age === undefined ? "not known" : span(age),
    ],
    ["Retries", number(paused)],
    ["In hand", number(inFlight)],
    ["Consumers", number(consumers.length)],
    ["Dead letters", number(deadLetters.count)],
  ];
  return html`
    <section class="card">
      <div class="card-head">
        <h2 class="mono">${queue}</h2>
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
