/** The text that Redis puts in front of each line of its log. */
const LOG_PREFIX = /^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [-.*#] /;

/**
 * Says why a server ended as soon as it was started.
 *
 * @param said The last of what it has said.
 */
export function whyEnded(said: string): string {
  const lines = said.split("\n")
    // The lines of the configuration, which it repeats, may have a password.
    .filter((line) => !/^(>>>|\*\*\*)/.test(line))
    .map((line) => line.replace(LOG_PREFIX, "").trim())
    .filter((line) => line !== "");
  return `the server ended at once. ${lines.slice(-2).join(": ")}`;
}
