import type { Bus } from "../bus/mod.ts";
import { RedisBackend } from "../backend/mod.ts";
import type { ResolvedConfig } from "../config/mod.ts";
import { FLAG, LOGGER, NAME, SECONDS, TEXTS } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import { type Kind, row, type Rows } from "../options.ts";

/** Says what a {@linkcode dashboard} shows, and to whom. All of it is optional. */
export interface DashboardOptions {
  /**
   * The backend that it looks at. Default: one of its own, with default options,
   * which takes no messages.
   */
  backend?: RedisBackend;
  /**
   * The bus whose messages it shows; `false` shows none. Default: the bus of the
   * backend.
   */
  bus?: Bus | false;
  /** The settings to show, as `resolveConfig()` gives them. Default: the backend's. */
  settings?: ResolvedConfig["settings"];
  /** The path in front of every page, such as `/hub`. Default: none. */
  basePath?: string;
  /**
   * The names under which browsers may ask for it, beside those of this host for
   * itself, such as `localhost`. They need a `token`. Default: none.
   */
  hosts?: readonly string[];
  /**
   * The password. Without one, only who is on this host sees the page. Default:
   * none.
   */
  token?: string;
  /** True to show everything and to change nothing. Default: `false`. */
  readOnly?: boolean;
  /**
   * True to keep what passes in Redis, too, for an hour, so that it can be looked
   * at after the program was started anew. Default: `false`.
   */
  history?: boolean;
  /** The time in which a change can be undone, in seconds. Default: 6. */
  undoTime?: number;
  /**
   * Names or addresses of the network interfaces where peers are looked for.
   * Default: all that lead to other hosts.
   */
  interfaces?: readonly string[];
  /**
   * The logger that hears what happens. Default: LogTape's category
   * `["platypush", "redis", "dashboard"]`.
   */
  logger?: Logger;
}

const BACKEND: Kind = {
  expected: "a RedisBackend",
  accepts: (value) => value instanceof RedisBackend,
};

const BUS: Kind = {
  expected: "a Bus, or false",
  accepts: (value) =>
    value === false ||
    typeof (value as Bus | undefined)?.registerHandler === "function",
};

const SETTINGS: Kind = {
  expected: "a list of settings",
  accepts: Array.isArray,
};

const BASE_PATH: Kind = {
  expected: "a path such as /hub, without a slash at its end",
  accepts: (value) =>
    typeof value === "string" && /^(\/[\w.~-]+)*$/.test(value),
};

/** A password that a person may have to type, and nobody is to guess. */
const TOKEN: Kind = {
  expected: "a text of at least 8 characters",
  accepts: (value) => NAME.accepts(value) && String(value).length >= 8,
};

/** Every option of a {@linkcode dashboard}. */
export const DASHBOARD_OPTIONS: Rows<
  DashboardOptions,
  "basePath" | "hosts" | "readOnly" | "history" | "undoTime"
> = {
  backend: row(BACKEND, {
    description: "The backend that it looks at",
    defaultText: "one of its own, which takes no messages",
  }),
  bus: row(BUS, {
    description: "The bus whose messages it shows; `false` shows none",
    defaultText: "the backend's",
  }),
  settings: row(SETTINGS, {
    description: "The settings to show, as `resolveConfig()` gives them",
    defaultText: "the backend's",
  }),
  basePath: row(BASE_PATH, {
    description: "The path in front of every page, such as `/hub`",
    default: "",
    defaultText: "none",
  }),
  hosts: row(TEXTS, {
    description:
      "The names under which browsers may ask for it, beside those of this host for itself; they need a `token`",
    default: [],
    defaultText: "none",
  }),
  token: row(TOKEN, {
    description: "The password; without one, only who is on this host sees it",
    defaultText: "none",
    isSecret: true,
    isProtection: true,
  }),
  readOnly: row(FLAG, {
    description: "Show everything, and change nothing",
    default: false,
  }),
  history: row(FLAG, {
    description:
      "Keep what passes in Redis, too, for an hour, so that it survives the program",
    default: false,
  }),
  undoTime: row(SECONDS, {
    description: "The time in which a change can be undone",
    default: 6,
  }),
  interfaces: row(TEXTS, {
    description: "The network interfaces where peers are looked for",
    defaultText: "all that lead to other hosts",
  }),
  logger: row(LOGGER, {
    description: "An object with `debug`, `info`, `warn` and `error`",
    defaultText: "LogTape's `platypush`, `redis`, `dashboard`",
  }),
};
