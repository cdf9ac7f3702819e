/** Lets `performance.now()` tell a later time until the end of the block. */
export function later(seconds: number): Disposable {
  const { now } = performance;
  performance.now = () => now.call(performance) + seconds * 1000;
  return { [Symbol.dispose]: () => void (performance.now = now) };
}
