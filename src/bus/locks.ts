import { BusError } from "./errors.ts";

/** What is used of the Web Locks API, whose types Deno does not ship yet. */
export interface Locks {
  /** Holds a lock for as long as the callback's promise is pending. */
  request(name: string, callback: () => Promise<void>): Promise<void>;
  /** Who holds which lock in this process. */
  query(): Promise<{ held?: readonly { name?: string }[] }>;
}

/**
 * The process's locks.
 *
 * @throws {BusError} When the runtime has none.
 */
export function locks(): Locks {
  const { locks } = navigator as { locks?: Locks };
  if (locks !== undefined) return locks;
  throw new BusError(
    `The bus needs Web Locks, which this runtime (${navigator.userAgent}) does not have: ` +
      "use Deno 2.9 or newer",
  );
}
