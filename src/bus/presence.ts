import { locks } from "./locks.ts";

/**
 * A Web Lock that an isolate holds for as long as it is on the bus. So one can
 * ask who is there even while they are too busy to answer, and one that is
 * terminated or crashes is missed at once, since its lock is released. A lock
 * keeps the process alive; an isolate that shall not (`daemon`) holds none, and
 * is known by its answers alone.
 */
export class Presence {
  readonly #prefix: string;
  readonly #id: string;
  readonly #held = Promise.withResolvers<void>();
  readonly #release = Promise.withResolvers<void>();
  readonly #lock: Promise<void> | undefined;
  #isKnown: boolean;

  /**
   * @param name The bus's name.
   * @param id Tells this isolate from all others.
   * @param daemon Whether this isolate's process may end all the same.
   */
  constructor(name: string, id: string, daemon: boolean) {
    this.#prefix = `${name}#`;
    this.#id = id;
    this.#isKnown = daemon;
    if (daemon) this.#held.resolve();
    else this.#lock = locks().request(this.#prefix + id, () => this.#hold());
  }

  /** Whether this isolate may be heard of: without its lock it would be taken for crashed. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  /** Resolves when this isolate holds its lock, if it is to hold any. */
  get held(): Promise<void> {
    return this.#held.promise;
  }

  /** The ids of the others who hold a lock. */
  async others(): Promise<ReadonlySet<string>> {
    const { held = [] } = await locks().query();
    const others = new Set<string>();
    for (const { name = "" } of held) {
      if (!name.startsWith(this.#prefix)) continue;
      others.add(name.slice(this.#prefix.length));
    }
    others.delete(this.#id);
    return others;
  }

  /** Releases the lock. */
  async end(): Promise<void> {
    this.#release.resolve();
    await this.#lock;
  }

  #hold(): Promise<void> {
    this.#isKnown = true;
    this.#held.resolve();
    return this.#release.promise;
  }
}
