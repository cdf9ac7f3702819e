/** Tells what one check of {@linkcode diagnose} has found. */
export interface Finding {
  /** Names what was looked at, in a word: `server`, `memory`, `multicast`, ... */
  readonly check: string;
  /**
   * `failure`: it cannot work like this. `warning`: it works, but something may
   * go wrong, or could not be looked at.
   */
  readonly status: "ok" | "warning" | "failure";
  /** Says what was found, in one line. */
  readonly message: string;
  /**
   * Says what to do about it, in one line; `undefined` where nothing has to be
   * done.
   */
  readonly advice: string | undefined;
}

/** All is well. */
export function ok(check: string, message: string): Finding {
  return { check, status: "ok", message, advice: undefined };
}

/** It works, but something may go wrong. */
export function warning(
  check: string,
  message: string,
  advice: string,
): Finding {
  return { check, status: "warning", message, advice };
}

/** It cannot work like this. */
export function failure(
  check: string,
  message: string,
  advice: string,
): Finding {
  return { check, status: "failure", message, advice };
}
