/**
 * Defines a test; where something is missing that it needs, it is skipped, and
 * its name says why.
 *
 * @param reason Why it cannot run here; `undefined` where it can.
 */
export function testUnless(
  reason: string | undefined,
  name: string,
  fn: (context: Deno.TestContext) => Promise<void>,
): void {
  Deno.test({
    name: reason === undefined ? name : `${name} (skipped: ${reason})`,
    ignore: reason !== undefined,
    fn,
  });
}
