import { Namespace, whyNoNamespaces } from "./namespaces.ts";
import { testUnless } from "./test_unless.ts";

const reason = await whyNoNamespaces();

/** Defines a test of what is on the network, on one where nobody else is. */
export function testAlone(
  name: string,
  fn: (alone: Namespace, context: Deno.TestContext) => Promise<void>,
): void {
  testUnless(reason, name, async (context) => {
    await using alone = await Namespace.make();
    await fn(alone, context);
  });
}
