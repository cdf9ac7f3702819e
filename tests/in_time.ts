/** Fails where a test would hang for ever. */
export async function inTime<T>(
  promise: Promise<T>,
  what: string | (() => string),
  seconds = 90,
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => {
      const awaited = typeof what === "string" ? what : what();
      late.reject(new Error(`Not within ${seconds} s: ${awaited}`));
    },
    seconds * 1000,
  );
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}
