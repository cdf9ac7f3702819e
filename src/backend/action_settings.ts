import type { BackendOptions } from "./backend_options.ts";
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
 */
export function actionSettings(options: BackendOptions): ActionSettings {
  const { actionConcurrency = 16, actionTimeout = 30, token } = options;
  return {
    concurrency: actionConcurrency,
    timeout: actionTimeout,
    isAllowed: token === undefined ? undefined : tokenCheck(token),
  };
}
