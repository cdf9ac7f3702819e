import { html } from "hono/html";
import type { Html } from "./page.ts";
import type { QueuePause } from "../redis/mod.ts";
import { shorten, span } from "../units.ts";

/** Writes how long ago something was. */
export function ago(time: number): string {
  const seconds = Date.now() / 1000 - time;
  return seconds < 1 ? "just now" : `${span(seconds)} ago`;
}

/** Writes a moment; the browser shows it in the time of who looks. */
export function clock(time: number): Html {
  const date = new Date(time * 1000);
  const iso = Number.isNaN(date.getTime()) ? "" : date.toISOString();
  return html`<time datetime="${iso}">${iso.slice(11, 19)}</time>`;
}

/** Says since when a queue is paused, and by whom. */
export function pausedFor({ since, by }: QueuePause): string {
  const seconds = Math.max(0, Date.now() / 1000 - since);
  return `is paused for ${span(seconds)}, by ${by}`;
}

/** The attributes of a chip: its colour follows from its kind. */
export function chip(kind: string, text: string = kind): Html {
  const known = /^[\w-]+$/.test(kind) ? kind : "other";
  return html`<span class="chip chip-${known}">${text}</span>`;
}

const HUES = 8;

/** The chip of a type, whose colour follows from its name; of a long name, the end counts. */
export function typeChip(name: string): Html {
  let hash = 0;
  for (const character of name) {
    hash = (hash * 31 + character.codePointAt(0)!) % 65_521;
  }
  const short = /^platypush\.message\.event\.(.+)$/.exec(name)?.[1] ?? name;
  return html`
    <span class="subject type hue-${String(hash % HUES)}"
      title="${name}">${shorten(short, 120)}</span>
  `;
}

/** Writes times that grow as the first one, and the steps from one to the next: that is a sixth as long. */
export function stepsOf(times: readonly number[]): number[] {
  return times.map((time, at) => time - (times[at - 1] ?? 0));
}
