/**
 * Resolves when a number has not changed for many turns of the event loop. That
 * something does not go on has no event; what could go on is in this thread,
 * and has its chance in each turn, however slow the machine is.
 */
export async function standstill(number: () => number): Promise<void> {
  for (let turns = 0, last = -1; turns < 50; turns++) {
    if (number() !== last) turns = 0;
    last = number();
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
