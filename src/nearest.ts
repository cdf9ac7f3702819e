/**
 * The candidate that is spelled most like the given word, for "did you mean".
 *
 * @param candidates The known words, at least one.
 */
export function nearest(word: string, candidates: readonly string[]): string {
  let best = candidates[0]!;
  let least = Infinity;
  for (const candidate of candidates) {
    const distance = isPartOf(word, candidate)
      ? PART_DISTANCE
      : spellingDistance(word, candidate);
    if (distance < least) [best, least] = [candidate, distance];
  }
  return best;
}

/** A whole word that was left out is nearer than several wrong letters. */
const PART_DISTANCE = 2.5;

/** `timeout` is what `responseTimeout` and `response_timeout` end with. */
function isPartOf(word: string, candidate: string): boolean {
  const [part, whole] = [normalize(word), normalize(candidate)];
  return part.length > 3 && part !== whole && whole.endsWith(part);
}

/**
 * Counts the letters that have to change to make one word of another, whatever
 * their style.
 */
export function spellingDistance(a: string, b: string): number {
  return editDistance(normalize(a), normalize(b));
}

/** `sslCaCerts` and `ssl_ca_certs` are the same word in two styles. */
function normalize(word: string): string {
  return word.toLowerCase().replaceAll("_", "");
}

/** The Levenshtein distance, one row of the table at a time. */
function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(substitution, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}
