import type { HtmlEscapedString } from "hono/utils/html";
import type { Hono } from "hono";
import type { RedisBackend } from "../backend/mod.ts";
import type { Bus } from "../bus/mod.ts";
import type { ResolvedConfig } from "../config/mod.ts";
import type { Logger } from "../logger.ts";
import type { DeadLetters } from "../redis/mod.ts";
import type { Changes } from "./changes.ts";
import type { Checkup } from "./checkup.ts";
import type { Live, Viewer } from "./live.ts";
import type { Peers } from "./peers.ts";
import type { Passed } from "./passed.ts";
import type { Survey } from "./survey.ts";

/** A piece of a page in which every text is escaped. */
export type Html = HtmlEscapedString | Promise<HtmlEscapedString>;

/** Holds what the pages show, and what they act with. */
export interface Desk {
  readonly backend: RedisBackend;
  readonly queues: readonly string[];
  /** The bus whose messages are shown; `undefined` where none can be seen. */
  readonly bus: Bus | undefined;
  readonly survey: Survey;
  readonly checkup: Checkup;
  readonly passed: Passed;
  readonly dead: DeadLetters;
  readonly changes: Changes;
  readonly peers: Peers;
  readonly settings: ResolvedConfig["settings"];
  readonly live: Live;
  readonly logger: Logger;
  readonly isReadOnly: boolean;
  /** True if there is a session to end. */
  readonly hasToken: boolean;
  /** The path of something on the page, with what a proxy has in front of it. */
  readonly path: (path: string) => string;
}

/** A part of a page that is shown anew when it has changed. */
export interface PagePart {
  /** The id of the element that it replaces. */
  readonly id: string;
  readonly html: Html;
}

/** One page. */
export interface Page {
  /** The word in its path; the first page has none. */
  readonly name: string;
  readonly title: string;
  /** The inside of `<main>`. */
  render(desk: Desk, query: URLSearchParams): Html | Promise<Html>;
  /** Renders what of it changes while somebody looks. */
  parts?(
    desk: Desk,
    query: URLSearchParams,
  ): readonly PagePart[] | Promise<readonly PagePart[]>;
  /** Sends what is no part once a second, such as the points of a line. */
  tick?(desk: Desk, viewer: Viewer): void;
  /** Sends what is no part when it comes; returns what ends it. */
  follow?(desk: Desk, viewer: Viewer, query: URLSearchParams): () => void;
  /** Adds what can be done on it. */
  routes?(app: Hono, desk: Desk): void;
}
