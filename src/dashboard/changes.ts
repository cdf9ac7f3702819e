import { sleep } from "../waiting.ts";

/** A change as the page shows it, from when it can still be undone until it is over. */
export interface Change {
  readonly id: string;
  /** Says what is done, as in `Requeue 3 messages`. */
  readonly title: string;
  readonly state: "waiting" | "running" | "done" | "undone" | "failed";
  /** When it begins, in seconds since the epoch. */
  readonly due: number;
  /** The size of it, and so much of that is done. */
  readonly total: number;
  readonly count: number;
  /** Why it has failed. */
  readonly error: string;
}

/** Does a change; tells how far it is, and ends early when aborted. */
type ChangeWork = (
  onProgress: (count: number) => void,
  signal: AbortSignal,
) => Promise<number>;

/** The time that a change is still shown when it is over, in seconds. */
const SHOWN = 8;
/** The longest list that is shown. */
const MAX_SHOWN = 5;

/**
 * Changes that can be undone: each waits for some seconds before it is done, so
 * that to undo it is not to do it. When the page's server ends meanwhile, it is
 * not done either.
 */
export class Changes implements AsyncDisposable {
  readonly #undoTime: number;
  readonly #onChange: () => void;
  readonly #changes = new Map<string, Change>();
  readonly #undo = new Map<string, AbortController>();
  readonly #closed = new AbortController();
  readonly #running = new Set<Promise<void>>();
  #ended = 0;

  constructor(undoTime: number, onChange: () => void) {
    this.#undoTime = undoTime;
    this.#onChange = onChange;
  }

  /** So many have been done, or have failed. */
  get ended(): number {
    return this.#ended;
  }

  /** Those to show, the newest first. */
  get shown(): Change[] {
    return [...this.#changes.values()].toReversed().slice(0, MAX_SHOWN);
  }

  /** Does something, unless it is undone within the time for that. */
  begin(title: string, total: number, work: ChangeWork): Change {
    const id = crypto.randomUUID();
    const change: Change = {
      id,
      title,
      total,
      count: 0,
      state: "waiting",
      due: Date.now() / 1000 + this.#undoTime,
      error: "",
    };
    this.#changes.set(id, change);
    const running = this.#run(id, work).finally(() =>
      this.#running.delete(running)
    );
    this.#running.add(running);
    this.#onChange();
    return change;
  }

  /** Undoes what has not begun; tells whether that was in time. */
  undo(id: string): boolean {
    const undo = this.#undo.get(id);
    undo?.abort();
    return undo !== undefined;
  }

  async #run(id: string, work: ChangeWork): Promise<void> {
    const undo = new AbortController();
    this.#undo.set(id, undo);
    const signal = AbortSignal.any([undo.signal, this.#closed.signal]);
    const isUndone = await sleep(this.#undoTime, { signal });
    this.#undo.delete(id);
    if (this.#closed.signal.aborted) return;
    if (isUndone) {
      this.#set(id, { state: "undone" });
    } else {
      this.#set(id, { state: "running" });
      try {
        const count = await work(
          (count) => this.#set(id, { count }),
          this.#closed.signal,
        );
        this.#ended++;
        this.#set(id, { state: "done", count });
      } catch (error) {
        this.#ended++;
        this.#set(id, { state: "failed", error: (error as Error).message });
      }
    }
    await sleep(SHOWN, { signal: this.#closed.signal, daemon: true });
    this.#changes.delete(id);
    this.#onChange();
  }

  #set(id: string, news: Partial<Change>): void {
    const change = this.#changes.get(id);
    if (change === undefined) return;
    this.#changes.set(id, { ...change, ...news });
    this.#onChange();
  }

  /** Begins nothing any more, and waits for what is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed.abort();
    await Promise.all(this.#running);
  }
}
