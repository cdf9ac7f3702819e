import type { Logger as LogTape } from "@logtape/logtape";
import { guarded } from "./guarded.ts";
import { amount } from "./units.ts";

/**
 * Takes what the library reports of its work: the console, the logger of
 * `@std/log`, and most others fit.
 *
 * @example
 * ```ts
 * import { Bus, type Logger } from "@platypush/redis";
 *
 * const quiet: Logger = { ...console, debug: () => {}, info: () => {} };
 * await using bus = new Bus({ name: "example/logger", logger: quiet });
 * console.assert(bus.subscribers === 0);
 * ```
 */
export interface Logger {
  /**
   * Reports what only helps to understand a problem.
   *
   * @param message A sentence that shows no secret.
   */
  debug(message: string): void;
  /**
   * Reports a normal event of the life cycle.
   *
   * @param message A sentence that shows no secret.
   */
  info(message: string): void;
  /**
   * Reports something unusual from which the library recovers by itself.
   *
   * @param message A sentence that shows no secret.
   */
  warn(message: string): void;
  /**
   * Reports something that needs a person.
   *
   * @param message A sentence that shows no secret.
   */
  error(message: string): void;
}

/**
 * Makes a logger on LogTape's category `["platypush", "redis", ...category]`.
 * Until the application configures LogTape, warnings and errors are shown on
 * stderr, and one that comes again only after a while, which grows each time.
 *
 * @param category The part that logs, such as `"bus"`.
 * @returns A logger for texts that are complete: braces in them are no
 * placeholders, and control characters are shown as escapes.
 *
 * @example
 * ```ts
 * import { createLogger, RedisBackend } from "@platypush/redis";
 *
 * const logger = createLogger("lights"); // ["platypush", "redis", "lights"]
 * const backend = new RedisBackend({ logger });
 * console.assert(backend.name === "RedisBackend");
 * ```
 */
export function createLogger(...category: string[]): Logger {
  const name = category.join("\0");
  const made = LOGGERS.get(name) ?? makeLogger(category);
  LOGGERS.set(name, made);
  return made;
}

/** Makes a logger that only hands on what is wrong. */
export function warningsTo(warn: (message: string) => void): Logger {
  return { debug: () => {}, info: () => {}, warn, error: warn };
}

/** One for each category, so that whoever shares it can speak as one. */
const LOGGERS = new Map<string, Logger>();

const ROOT = Symbol.for("logtape.rootLogger");
const STATE = Symbol.for("logtape.inspectionState");

/**
 * Holds what the copies of LogTape in a thread share. Whoever has configured one
 * has loaded it; loaded from here, it would take 1 MiB of each thread, for nothing
 * where nobody has. Copies before 2.4 do not say whether they are configured.
 */
const shared = globalThis as {
  readonly [ROOT]?: LogTape;
  readonly [STATE]?: { readonly configured: boolean };
};

function makeLogger(category: readonly string[]): Logger {
  const log = (level: keyof Logger, text: string): void => {
    const logger = shared[ROOT]?.getChild(["platypush", "redis", ...category]);
    logger?.[level](literal(text));
  };
  const show = (level: "warn" | "error", text: string): void => {
    log(level, text);
    if (shared[STATE]?.configured) return;
    showOnStderr(level === "warn" ? "warning" : level, text);
  };
  return {
    debug: (text) => log("debug", text),
    info: (text) => log("info", text),
    warn: (text) => show("warn", text),
    error: (text) => show("error", text),
  };
}

/**
 * Gives a logger texts that are complete: control characters in them, which may
 * come from anybody, are shown as escapes.
 */
export function quoted(logger: Logger): Logger {
  const known = QUOTED.get(logger);
  if (known !== undefined) return known;
  const log = (level: keyof Logger): (text: string) => void =>
    guarded(
      (text: string): unknown => logger[level](escapeControls(text)),
      (error) => showOnStderr("error", `The logger has failed: ${error}.`),
    );
  const made: Logger = {
    debug: log("debug"),
    info: log("info"),
    warn: log("warn"),
    error: log("error"),
  };
  QUOTED.set(logger, made).set(made, made);
  return made;
}

/** One for each logger, so that whoever shares it can speak as one. */
const QUOTED = new WeakMap<Logger, Logger>();

/** Braces start a placeholder in LogTape's templates; twice, they are themselves. */
function literal(text: string): string {
  return escapeControls(text).replaceAll("{", "{{").replaceAll("}", "}}");
}

/**
 * Texts from the network may hold line ends, and what a terminal obeys or what
 * turns the direction of all that follows. Plain JavaScript also logs an `Error`.
 */
function escapeControls(text: unknown): string {
  return String(text).replace(
    /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_C}]/gu,
    (each) => `\\u${each.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The first pause before the same line is shown again, and the longest one, in seconds. */
const FIRST_PAUSE = 10;
const LONGEST_PAUSE = 3600;
/** The number of lines that are remembered. */
const MAX_LINES = 100;

interface Shown {
  pause: number;
  next: number;
  held: number;
}

const shown = new Map<string, Shown>();

function showOnStderr(level: string, text: string): void {
  const line = `platypush-redis: ${level}: ${escapeControls(text)}`;
  const now = performance.now() / 1000;
  const last = shown.get(line);
  if (last !== undefined && now < last.next) {
    last.held++;
    return;
  }
  const pause = last === undefined
    ? FIRST_PAUSE
    : Math.min(last.pause * 2, LONGEST_PAUSE);
  if (shown.size >= MAX_LINES) shown.clear();
  shown.set(line, { pause, next: now + pause, held: 0 });
  const held = last?.held ?? 0;
  const times = held === 0 ? "" : ` (${amount(held, "more time")} meanwhile)`;
  // deno-lint-ignore no-console -- nobody has said where else to
  console.error(line + times);
}
