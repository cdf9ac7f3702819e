import { Lan, type Namespace } from "../tests/namespaces.ts";
import { Peer, type Stack } from "../tests/interop/zeroconf_peer.ts";
import { pass, startNoise } from "./zeroconf_load.ts";

/** Seconds after which a stack counts as one that does not see what is there. */
const LATE = 60;
/** Seconds until announcements are over, so that a browser has to ask. */
const ANNOUNCING = 3;

/** Measures, time and again, how long it takes from asking for the registration to another host seeing it, in seconds. */
export async function measureSeen(
  stack: Stack,
  rounds: number,
): Promise<number[]> {
  await using lan = await Lan.make(2);
  await using there = new Peer(lan.hosts[0]!, stack);
  await using here = new Peer(lan.hosts[1]!, stack);
  await here.look();
  await there.ready();
  await pass(2);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const name = `round ${round}`;
    const start = performance.now();
    const registering = there.register(name, 2, "192.168.77.1", { id: "1" });
    await here.sees(
      name,
      (said) => said.event === "added" && said.name!.startsWith(name),
      LATE,
    );
    times.push((performance.now() - start) / 1_000);
    await registering;
    await there.unregister();
  }
  return times;
}

/** A host with many services, and one from which they are looked for. */
export class ServiceHost implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #here: Namespace;
  readonly #count: number;

  private constructor(
    stack: AsyncDisposableStack,
    here: Namespace,
    count: number,
  ) {
    this.#stack = stack;
    this.#here = here;
    this.#count = count;
  }

  /** Announces so many. */
  static async with(count: number): Promise<ServiceHost> {
    await using stack = new AsyncDisposableStack();
    const lan = stack.use(await Lan.make(2));
    const there = stack.use(new Peer(lan.hosts[0]!, "ours"));
    await there.registerMany(count);
    await pass(ANNOUNCING);
    return new ServiceHost(stack.move(), lan.hosts[1]!, count);
  }

  /** Measures until a new browser has seen all, in seconds. */
  async foundBy(stack: Stack): Promise<number> {
    await using here = new Peer(this.#here, stack);
    await here.ready();
    const found = new Set<string>();
    const start = performance.now();
    await here.look();
    await here.sees(`${this.#count} services`, ({ event, name }) => {
      if (event === "added") found.add(name!);
      return found.size === this.#count;
    }, LATE);
    return (performance.now() - start) / 1_000;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}

/** A network on which much is said that is nobody's concern, and one service. */
export class BusyNetwork implements AsyncDisposable {
  readonly #stack: AsyncDisposableStack;
  readonly #here: Namespace;

  private constructor(stack: AsyncDisposableStack, here: Namespace) {
    this.#stack = stack;
    this.#here = here;
  }

  /** Begins with the noise. */
  static async make(): Promise<BusyNetwork> {
    await using stack = new AsyncDisposableStack();
    const lan = stack.use(await Lan.make(3));
    const [here, other, third] = lan.hosts as [Namespace, Namespace, Namespace];
    stack.use(await startNoise(other));
    const there = stack.use(new Peer(third, "ours"));
    await there.register("one", 1, "192.168.77.3", { id: "1" });
    await pass(ANNOUNCING);
    return new BusyNetwork(stack.move(), here);
  }

  /** Measures how soon a new browser sees the service, in seconds. */
  async seenBy(stack: Stack): Promise<number> {
    await using here = new Peer(this.#here, stack);
    await here.ready();
    const start = performance.now();
    await here.look();
    await here.sees("the service", ({ event }) => event === "added", LATE);
    return (performance.now() - start) / 1_000;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
