import { createHash } from "node:crypto";
import type { Connection } from "./connection.ts";
import { type DeadLetter, decodeDeadLetter } from "./dead_letter.ts";
import { queueKeys } from "./queue_keys.ts";
import { page } from "./scripts/page.ts";

/** How many dead letters travel at once, and after how many bytes no more do. */
const PAGE = 100;
const PAGE_BYTES = 2 ** 20;

/** A dead letter, and the same as it is in the list. */
export interface Entry {
  readonly letter: DeadLetter;
  readonly raw: Uint8Array;
}

/** Runs something on a connection to the server of the queue; again where the connection breaks. */
export type Run = <Reply>(
  work: (connection: Connection) => Promise<Reply>,
) => Promise<Reply>;

const NONE: ReadonlySet<Entry> = new Set();

/**
 * Leafs through the dead letters of one queue, the oldest first. Others may put
 * some into the list and take some out of it meanwhile: whatever is there from
 * the beginning to the end is read, and nothing is read twice. As many are read
 * as there were at the beginning, so that those that come back at once do not
 * keep it going for ever.
 */
export class DeadLetterPages {
  #run: Run;
  #queue: string;
  #key: string;
  #seen = new Set<string>();
  #left: number | undefined;
  #page: readonly Entry[] = [];
  #position = 0;
  /** What is before the position, by which a list that has moved is noticed. */
  #anchor: Uint8Array | undefined;

  /**
   * @param queue The queue.
   * @param run Reaches its server.
   */
  constructor(queue: string, run: Run) {
    this.#queue = queue;
    this.#key = queueKeys(queue, "").dead;
    this.#run = run;
  }

  /**
   * Reads the next page.
   *
   * @param removed Which ones of the last page are no longer in the list.
   * @returns Some dead letters; none in the end.
   */
  async next(removed = NONE): Promise<readonly Entry[]> {
    this.#left ??= await this.#run((connection) =>
      connection.command<number>(["LLEN", this.#key])
    );
    this.#turn(removed);
    while (this.#left > 0) {
      const page = await this.#read();
      if (page === undefined) {
        await this.#findPlace();
        continue;
      }
      if (page.length === 0) break;
      this.#page = page;
      const news = page.filter(({ letter }) => !this.#seen.has(letter.id))
        .slice(0, this.#left);
      if (news.length > 0) {
        for (const { letter } of news) this.#seen.add(letter.id);
        this.#left -= news.length;
        return news;
      }
      this.#turn();
    }
    return [];
  }

  #turn(removed = NONE): void {
    const kept = this.#page.filter((entry) => !removed.has(entry));
    this.#position += kept.length;
    this.#anchor = kept.at(-1)?.raw ?? this.#anchor;
    this.#page = [];
  }

  async #read(): Promise<readonly Entry[] | undefined> {
    const anchor = this.#anchor === undefined
      ? ""
      : createHash("sha1").update(this.#anchor).digest("hex");
    const first = this.#position;
    const letters = await this.#run((connection) =>
      connection.script<Uint8Array[] | null>(
        page,
        [this.#key],
        [String(first), String(PAGE), String(PAGE_BYTES), anchor],
        { bytes: true },
      )
    );
    return letters?.map((raw, at) => ({
      raw,
      letter: decodeDeadLetter(raw, this.#queue, first + at),
    }));
  }

  /** Finds the place behind the anchor, or begins again where that is gone. */
  async #findPlace(): Promise<void> {
    const found = await this.#run((connection) =>
      connection.command<number | null>(["LPOS", this.#key, this.#anchor!])
    );
    this.#position = found === null ? 0 : found + 1;
    if (found === null) this.#anchor = undefined;
  }
}
