/** So many of something are dealt with at a time. */
const AT_A_TIME = 50;

/** Parts a list so that not too much is on its way at once. */
export function inParts<Item>(list: readonly Item[]): readonly Item[][] {
  return Array.from(
    { length: Math.ceil(list.length / AT_A_TIME) },
    (_, at) => list.slice(at * AT_A_TIME, (at + 1) * AT_A_TIME),
  );
}
