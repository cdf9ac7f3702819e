/**
 * A thread that a pool has started, seen from inside: it answers the pool when
 * its buses are ready, and closes them when the pool stops.
 *
 * @module
 */

/** Marks the messages between a pool and the threads that it has started. */
export const MARK = "platypush/pool";

/** Asks a thread for something, or answers. */
interface PoolMessage {
  readonly [MARK]: "hello" | "ready" | "stop" | "stopped";
  /** The lock that the thread is to hold for as long as it exists. */
  readonly lock?: string;
}

/** A bus in a thread that a pool has started. */
interface Pooled {
  ready(): Promise<void>;
  close(): Promise<void>;
}

const pooled = new Set<Pooled>();
/** Holds what the pool has said here: it says each thing until it is answered. */
const heard = new Set<unknown>();
let listens = false;

/**
 * Lets the pool that has started this thread, if one has, wait until a bus is
 * ready, and close it.
 *
 * @returns What leaves it out again.
 */
export function addToPool(bus: Pooled): () => void {
  if ("DedicatedWorkerGlobalScope" in globalThis) {
    if (!listens) globalThis.addEventListener("message", answer);
    listens = true;
    pooled.add(bus);
  }
  return () => pooled.delete(bus);
}

/** Answers the pool; nobody else sees its messages. */
async function answer(
  // The types of Node.js have another `Event`, in programs that have those, too.
  event: Pick<Event, "stopImmediatePropagation">,
): Promise<void> {
  const { data } = event as MessageEvent<unknown>;
  if (!isPoolMessage(data)) return;
  event.stopImmediatePropagation();
  if (heard.has(data[MARK])) return;
  heard.add(data[MARK]);
  const scope = globalThis as unknown as {
    postMessage(message: PoolMessage): void;
    close(): void;
  };
  if (data[MARK] === "hello") {
    await Promise.all([...pooled].map((bus) => bus.ready()));
    locks().request(data.lock!, {}, () => new Promise(() => {}));
    // The lock is asked for first, and who asks later waits.
    await locks().query();
    scope.postMessage({ [MARK]: "ready" });
  } else {
    await Promise.all([...pooled].map((bus) => bus.close()));
    scope.postMessage({ [MARK]: "stopped" });
  }
}

/** Tells whether something that was posted is between a pool and a thread. */
export function isPoolMessage(data: unknown): data is PoolMessage {
  return typeof data === "object" && data !== null && MARK in data;
}

/** The part of the Web Locks API that is used here: Deno does not ship its types yet. */
export function locks(): {
  request(
    name: string,
    options: { signal?: AbortSignal },
    callback: () => Promise<unknown>,
  ): Promise<unknown>;
  query(): Promise<unknown>;
} {
  return (navigator as unknown as { locks: ReturnType<typeof locks> }).locks;
}
