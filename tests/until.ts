/** Waits until a condition holds that nothing announces, such as one in Redis. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what = `${condition}`,
  seconds = 90,
): Promise<void> {
  const deadline = Date.now() + seconds * 1000;
  while (!await condition()) {
    if (Date.now() > deadline) {
      throw new Error(`Not within ${seconds} s: ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
