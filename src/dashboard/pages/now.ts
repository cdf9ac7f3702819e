import { html } from "hono/html";
import type { Finding } from "../../doctor/mod.ts";
import type { Viewer } from "../live.ts";
import type { Desk, Html, Page, PagePart } from "../page.ts";
import type { QueueReading } from "../survey.ts";
import { number, size, span } from "../../units.ts";
import { verdictOf } from "../verdict.ts";
import { stepsOf } from "../words.ts";

/** The line goes back so far, in seconds. */
const LINE = 3600;

/** The first page: says in one glance how everything stands. */
export const nowPage: Page = {
  name: "",
  title: "Now",
  render: (desk) =>
    html`<h1 class="sr">Now</h1>
${verdictPart(desk).html}
<section class="card chart-card" aria-labelledby="rate-title">
  <div class="card-head">${rateHead(desk)}
  <div class="choice" role="group" aria-label="How far back"><button data-range="300" aria-pressed="true">5 min</button><button data-range="3600" aria-pressed="false">1 h</button></div></div>
  ${lineOf(desk)}
</section>
${tilesPart(desk).html}
${consumersPart(desk).html}
${findingsPart(desk).html}`,
  parts: (desk) => {
    desk.checkup.look();
    return [
      verdictPart(desk),
      ratePart(desk),
      tilesPart(desk),
      consumersPart(desk),
      findingsPart(desk),
    ];
  },
  tick: sendPoint,
};

/** The line needs what is new of it, once a second. */
function sendPoint(desk: Desk, viewer: Viewer): void {
  const second = Math.floor(Date.now() / 1000) - 1;
  const values = desk.bus === undefined ? levelNow(desk) : desk.passed.rates(1);
  viewer.send(
    "points",
    JSON.stringify({ chart: "rate", time: second, values }),
  );
}

function levelNow({ survey }: Desk): number[] {
  const level = survey.levels.at(-1);
  return [sumOf(level?.lengths ?? [])];
}

/** Sums up what is known. */
function sumOf(values: readonly (number | null)[]): number {
  return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}

function rateHead(desk: Desk): Html {
  return html`<div><h2 id="rate-title">${
    desk.bus === undefined ? "Messages that wait" : "Messages a second"
  }</h2>${ratePart(desk).html}</div>`;
}

function ratePart(desk: Desk): PagePart {
  const recent = desk.passed.rates(5);
  const [value, note] = desk.bus === undefined
    ? [
      levelNow(desk)[0]!,
      "How many pass can only be seen by the program that takes them.",
    ]
    : [
      sumOf(recent) / Math.max(recent.length, 1),
      "on average over 5 s",
    ];
  return {
    id: "rate",
    html: html`
      <p id="rate"
        class="figure"><strong>${number(
          value,
        )}</strong> <span class="quiet">${note}</span></p>
    `,
  };
}

function lineOf(desk: Desk): Html {
  const now = Math.floor(Date.now() / 1000);
  const [name, columns] = desk.bus === undefined
    ? [
      "Waiting",
      [
        stepsOf(desk.survey.levels.map(({ time }) => Math.floor(time))),
        desk.survey.levels.map(({ lengths }) => sumOf(lengths)),
      ],
    ]
    : [
      "Messages a second",
      (() => {
        const rates = desk.passed.rates(LINE);
        const times = rates.map((_, at) => now - rates.length + at);
        return [stepsOf(times), rates];
      })(),
    ];
  return html`
    <div class="chart" data-chart="rate" data-series="${JSON.stringify([name])}"
      data-columns="${JSON.stringify(
        columns,
      )}" role="img" aria-labelledby="rate-title"></div>
  `;
}

const SIGNS = { ok: "✓", warning: "!", failure: "✕", unknown: "…" } as const;

function verdictPart(desk: Desk): PagePart {
  const { level, title, troubles } = verdictOf(desk);
  return {
    id: "verdict",
    html: html`
      <section id="verdict"
        class="card verdict verdict-${level}"><span class="sign" aria-hidden="true">${SIGNS[
          level
        ]}</span><div><p class="headline">${title}</p>${troubles.length === 0
          ? html`<p class="quiet">${
            level === "unknown"
              ? "The first look takes a moment."
              : "The server answers, messages are taken, and nothing is left behind."
          }</p>`
          : html`<ul class="troubles">${
            troubles.map(({ level, text, advice }) =>
              html`
                <li
                  class="trouble-${level}"><strong>${text}</strong> <span class="quiet">${advice}</span></li>
              `
            )
          }</ul>`}</div></section>
    `,
  };
}

function sum(
  queues: readonly QueueReading[],
  of: (queue: QueueReading) => number,
): number {
  return sumOf(queues.map(of));
}

/** A figure with its name, and where there is more of it. */
type Tile = [title: string, value: string, note: string, link?: string];

function tilesPart(desk: Desk): PagePart {
  return {
    id: "tiles",
    html: html`<dl id="tiles" class="tiles">${
      tilesOf(desk).map(([title, value, note, link]) =>
        html`
          <div class="tile">
            <dt>${link === undefined
              ? title
              : html`<a href="${desk.path(link)}">${title}</a>`}</dt>
            <dd><span class="value">${value}</span><span class="quiet">${note}</span></dd>
          </div>
        `
      )
    }</dl>`,
  };
}

function tilesOf({ survey, bus }: Desk): readonly Tile[] {
  const { queues = [], server, error } = survey.current ?? {};
  const known = survey.current !== undefined && error === undefined;
  const show = (value: number): string => known ? number(value) : "–";
  const age = Math.max(0, ...queues.map(({ age }) => age ?? 0));
  const dead = sum(queues, ({ deadLetters }) => deadLetters.count);
  const consumers = sum(queues, ({ consumers }) => consumers.length);
  const { usedMemory, maxMemory } = server ?? {};
  return [
    [
      "Waiting",
      show(sum(queues, ({ length }) => length)),
      age >= 1 ? `the oldest for ${span(age)}` : "in the queue",
      "/queues",
    ],
    [
      "In hand",
      show(sum(queues, ({ inFlight }) => inFlight)),
      "with consumers",
    ],
    [
      "Retrying",
      show(sum(queues, ({ retrying }) => retrying)),
      "wait for another try",
      "/queues",
    ],
    [
      "Dead letters",
      show(dead),
      dead === 0 ? "none: good" : "could not be handled",
      "/dead",
    ],
    [
      "Consumers",
      show(consumers),
      consumers === 0
        ? "nobody takes any"
        : consumers === 1
        ? "takes messages"
        : "take messages",
    ],
    [
      "Subscribers",
      bus === undefined ? "–" : number(bus.subscribers),
      bus === undefined ? "only seen in their process" : "on the bus",
    ],
    [
      "Memory",
      usedMemory === undefined ? "–" : size(usedMemory),
      maxMemory === undefined ? "of the server" : `of ${size(maxMemory)}`,
    ],
  ];
}

function consumersPart({ survey }: Desk): PagePart {
  const queues = survey.current?.queues ?? [];
  const rows = queues.flatMap(({ queue, consumers }) =>
    consumers.map((consumer) => ({ queue, ...consumer }))
  );
  return {
    id: "consumers",
    html: html`<section id="consumers" class="card"><h2>Consumers</h2>${
      rows.length === 0
        ? html`
          <p
            class="empty">Nobody takes messages at the moment. <span class="quiet">Those that take them at most once leave no trace in Redis.</span></p>
        `
        : html`
          <div class="scroll" tabindex="0" role="region" aria-label="Consumers">
            <table>
              <thead>
                <tr>
                  <th scope="col">Consumer</th>
                  <th scope="col">Queue</th>
                  <th scope="col">Heartbeat</th>
                  <th scope="col" class="right">In hand</th>
                </tr>
              </thead>
              <tbody>${rows.map(({ queue, name, heartbeat, inFlight }) =>
                html`
                  <tr>
                    <td class="mono">${name}</td>
                    <td class="mono">${queue}</td>
                    <td>${heartbeat === undefined
                      ? html`<span class="chip chip-failed">no sign of life</span>`
                      : html`<span class="beat"></span>alive`}</td>
                    <td class="right">${number(inFlight)}</td>
                  </tr>
                `
              )}</tbody>
            </table>
          </div>
        `
    }</section>`,
  };
}

function findingsPart({ checkup, survey }: Desk): PagePart {
  const findings = checkup.findings;
  const { server } = survey.current ?? {};
  return {
    id: "findings",
    html: html`
      <section id="findings"
        class="card"><h2>What was looked at</h2>${server === undefined
          ? ""
          : html`
            <p
              class="quiet">${server.name} ${server
                .version} at <span class="mono">${server.address}</span></p>
          `}${findings === undefined
          ? html`<p class="empty">Looking…</p>`
          : html`<ul class="findings">${
            findings.map(findingOf)
          }</ul>`}</section>
    `,
  };
}

function findingOf({ check, status, message, advice }: Finding): Html {
  return html`
    <li
      class="finding finding-${status}"><span class="sign" aria-hidden="true">${SIGNS[
        status
      ]}</span><div><strong>${check}</strong> ${message}${advice === undefined
        ? ""
        : html`<br><span class="quiet">${advice}</span>`}</div></li>
  `;
}
