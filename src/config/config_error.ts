/**
 * The configuration cannot be used. The message says what is wrong, and in
 * which line of which file; it never shows a value.
 *
 * @example
 * ```ts
 * import { ConfigError, loadConfig } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * await assert.rejects(loadConfig("/nowhere/config.yaml"), ConfigError);
 * ```
 */
export class ConfigError extends Error {
  /** `ConfigError`. */
  override name = "ConfigError";

  /**
   * Makes the error.
   *
   * @param problem What is wrong, and what to do.
   * @param options The cause, if it shows no value either.
   */
  constructor(problem: string, options?: ErrorOptions) {
    super(`Cannot load the configuration: ${problem}`, options);
  }
}
