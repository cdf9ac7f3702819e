import type { BackendOptions } from "./backend_options.ts";
import { refuse } from "./check_options.ts";
import { type TokenCheck, tokenCheck } from "./token_check.ts";

/** How registered actions are executed. */
export interface ActionSettings {
  /** How many are executed at a time. */
  readonly concurrency: number;
  /** How long one may take, in seconds. */
  readonly timeout: number;
  /** Which requests are executed; all where there is none. */
  readonly isAllowed: TokenCheck | undefined;
}

/**
 * Reads the options for registered actions.
 *
 * @param options Options in camelCase.
 * @returns All settings.
 * @throws {TypeError} If the token is none.
 * @throws {RangeError} If a limit makes no sense.
 */
export function actionSettings(options: BackendOptions): ActionSettings {
  const { actionConcurrency = 16, actionTimeout = 30, token } = options;
  if (!(Number.isInteger(actionConcurrency) && actionConcurrency > 0)) {
    refuse("actionConcurrency", actionConcurrency, "a whole number above 0");
  }
  if (!(typeof actionTimeout === "number" && actionTimeout > 0)) {
    refuse("actionTimeout", actionTimeout, "a number of seconds above 0");
  }
  return {
    concurrency: actionConcurrency,
    timeout: actionTimeout,
    isAllowed: token === undefined ? undefined : tokenCheck(token),
  };
}
