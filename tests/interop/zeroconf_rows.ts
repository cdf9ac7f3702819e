import { Lan, type LanOptions, run, whyNoNamespaces } from "../namespaces.ts";
import { Peer, type Stack } from "./zeroconf_peer.ts";
import { PYTHON } from "../python.ts";

export const TYPE = "_platypush-redis._tcp.local.";
const STACKS: readonly Stack[] = ["python", "avahi", "ours", "node"];
/** The addresses of our host and of the peer's. */
export const [OURS, THEIRS] = ["192.168.77.1", "192.168.77.2"] as const;

/** Why hosts cannot be made here, or undefined when they can. */
export const noNamespaces = await whyNoNamespaces();

/** Why a stack cannot be tried here, or undefined when it can. */
async function whyNot(stack: Stack): Promise<string | undefined> {
  if (noNamespaces) return noNamespaces;
  const missing = async (
    command: string,
    ...args: string[]
  ): Promise<boolean> => {
    try {
      return !(await run(command, ...args)).success;
    } catch {
      return true;
    }
  };
  if (
    stack === "python" &&
    await missing(PYTHON, "-c", "import zeroconf")
  ) {
    return "python3-zeroconf is not installed";
  }
  if (stack === "avahi") {
    for (const command of ["avahi-daemon", "avahi-browse", "dbus-daemon"]) {
      if (await missing(command, "--version")) {
        return `${command} is not installed`;
      }
    }
  }
  return undefined;
}

const reasons = new Map(
  await Promise.all(
    STACKS.map(async (stack) => [stack, await whyNot(stack)] as const),
  ),
);

/** What a row needs. */
export interface RowOptions extends LanOptions {
  /** The stacks that are tried, all by default. */
  stacks?: readonly Stack[];
}

/**
 * One cell of the table for each stack: our host is .1, the peer is .2. The
 * networks know nothing of each other, so that all cells are tried at once,
 * which Deno allows only to steps without sanitizers; the test keeps its own.
 */
export function row(
  title: string,
  { stacks = STACKS, ...options }: RowOptions,
  test: (ours: Peer, theirs: Peer, lan: Lan, stack: Stack) => Promise<void>,
): void {
  Deno.test(`Zeroconf: ${title}`, async (t) => {
    await Promise.all(stacks.map((stack) => {
      const reason = reasons.get(stack);
      if (reason) {
        // deno-lint-ignore no-console -- why a test is skipped has to be seen
        console.log(`skipped with ${stack}: ${reason}`);
      }
      return t.step({
        name: stack,
        ignore: reason !== undefined,
        // Deno runs steps at once only so; the test around them has all three.
        sanitizeOps: false,
        sanitizeResources: false,
        sanitizeExit: false,
        fn: async () => {
          // Chance may take all that a stack sends within its time once, but
          // hardly three times in a row.
          for (let tries = options.loss ? 3 : 1;; tries--) {
            await using lan = await Lan.make(2, options);
            await using ours = new Peer(lan.hosts[0]!, "ours");
            await using theirs = new Peer(lan.hosts[1]!, stack);
            try {
              return await test(ours, theirs, lan, stack);
            } catch (error) {
              if (tries === 1) throw error;
            }
          }
        },
      });
    }));
  });
}
