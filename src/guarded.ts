/**
 * Makes a function of the user one that can be called in the middle of something:
 * what it throws, or rejects with later, is told and changes nothing. Nobody waits
 * for a promise that it returns.
 *
 * @param callback The user's function; without one, nothing happens.
 * @param onFailure Told what it has thrown.
 * @returns Calls it at once.
 */
export function guarded<Args extends unknown[]>(
  callback: ((...args: Args) => unknown) | undefined,
  onFailure: (error: Error) => void,
): (...args: Args) => void {
  return (...args) => {
    if (callback === undefined) return;
    Promise.try(callback, ...args)
      .catch((thrown) => onFailure(errorOf(thrown)));
  };
}

/**
 * Makes an error of whatever was thrown, one whose name and message are texts.
 *
 * @param thrown What was thrown, also what cannot be shown as text.
 * @param Kind The class of the error, where nothing that is one was thrown.
 * @returns What was thrown, if it is such an error.
 */
export function errorOf(
  thrown: unknown,
  Kind: new (message: string) => Error = Error,
): Error {
  try {
    if (!(thrown instanceof Error)) return new Kind(textOf(thrown));
    const { name, message } = thrown;
    if (typeof name === "string" && typeof message === "string") return thrown;
    return new Kind(`${String(name)}: ${String(message)}`);
  } catch {
    return new Kind("Something was thrown that cannot be shown as text");
  }
}

/**
 * Reads where an error comes from. Whoever makes an error may give it any `stack`,
 * as may `Error.prepareStackTrace` of the program.
 *
 * @returns Nothing, where it is no text or cannot be read.
 */
export function stackOf(error: Error): string {
  try {
    const { stack } = error;
    return typeof stack === "string" ? stack : "";
  } catch {
    return "";
  }
}

/** Says what was thrown, other than an error; what an object holds may be secret. */
function textOf(thrown: unknown): string {
  const { message } = Object(thrown);
  if (typeof message === "string") return message;
  const text = String(thrown);
  return text === "[object Object]"
    ? "An object was thrown that is no Error"
    : text;
}
