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
  onFailure: (thrown: unknown) => void,
): (...args: Args) => void {
  return (...args) => {
    if (callback !== undefined) Promise.try(callback, ...args).catch(onFailure);
  };
}
