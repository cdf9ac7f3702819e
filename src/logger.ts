import { getLogger } from "@logtape/logtape";

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
 * Makes a logger on LogTape's category `["platypush", "redis", ...category]`,
 * which is silent until the application configures LogTape.
 *
 * @param category The room that logs, such as `"bus"`.
 * @returns A logger for texts that are complete: braces in them are no
 * placeholders.
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
  const logger = getLogger(["platypush", "redis", ...category]);
  return {
    debug: (text) => logger.debug(literal(text)),
    info: (text) => logger.info(literal(text)),
    warn: (text) => logger.warn(literal(text)),
    error: (text) => logger.error(literal(text)),
  };
}

/** Braces start a placeholder in LogTape's templates; twice, they are themselves. */
function literal(text: string): string {
  return text.replaceAll("{", "{{").replaceAll("}", "}}");
}
