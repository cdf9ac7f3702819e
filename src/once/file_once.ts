import { DatabaseSync } from "node:sqlite";
import { checkOptions, checkValue } from "../options.ts";
import { toldLack } from "../permission.ts";
import { NAME, required } from "../kinds.ts";
import {
  type CheckedOnceOptions,
  checkId,
  type Claim,
  type Memory,
  type Once,
  ONCE_OPTIONS,
  type OnceOptions,
  runOnce,
} from "./once.ts";

const PATH = required({ ...NAME, expected: "the path of a file" });

/**
 * The time that a process waits for another one that writes to the file, in
 * milliseconds.
 */
const BUSY_TIMEOUT = 10_000;

/**
 * A claim that would last for longer, in seconds, was written while this host's clock
 * was ahead, perhaps by a process that is dead: it counts no more.
 */
const LONGEST_LEASE = 3600;

/**
 * Remembers in a SQLite file what was handled, for all processes of this
 * machine that open it. Deno has to permit to read and to write it. How often the
 * work is done when something breaks: {@linkcode Once}; with
 * {@linkcode FileOnce.transact} it is exactly once.
 *
 * @example
 * ```ts
 * import { FileOnce } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * using once = new FileOnce(":memory:"); // or "/var/lib/hub/handled.sqlite"
 * once.database.exec("CREATE TABLE light (turned INTEGER)");
 * for (const id of ["a", "b", "a"]) {
 *   once.transact(id, (db) => {
 *     db.exec("INSERT INTO light VALUES (1)");
 *   });
 * }
 * const { count } = once.database
 *   .prepare("SELECT count(*) AS count FROM light").get()!;
 * assert.equal(count, 2);
 * ```
 */
export class FileOnce implements Once, Disposable {
  /** The file, for work that is to be done in it. */
  readonly database: DatabaseSync;
  readonly #memory: FileMemory;

  /**
   * Opens the file, which is made where there is none.
   *
   * @param path The file. Its folder has to exist.
   * @param options For how long ids are remembered and claimed.
   * @throws {TypeError} When the path is none, or there is no such option or it
   * is of another kind.
   * @throws {RangeError} When a time is no number above 0.
   * @throws {Error} When the file cannot be opened, or is no database.
   */
  constructor(path: string, options: OnceOptions = {}) {
    checkValue("open the memory", "path", path, PATH);
    const given = checkOptions("open the memory", options, ONCE_OPTIONS);
    this.database = openDatabase(path);
    this.#memory = new FileMemory(this.database, given);
  }

  /**
   * Does the work of an id, unless it is done; see {@linkcode Once}.
   *
   * @param id The text by which the work is known, such as `message.id`.
   * @param work The work. When it throws or rejects, it counts as not done.
   * @param options A signal that ends the wait for somebody else.
   * @returns Whether the work was done by this call.
   * @throws {TypeError} When the id is no text, or empty.
   * @throws {Error} When the file cannot be written.
   */
  async run(
    id: string,
    work: () => unknown,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<boolean> {
    return await runOnce(this.#memory, id, work, options);
  }

  /**
   * Does work in the file itself, exactly once: the work and the memory of it
   * become true at one moment, or neither, whenever the process is ended or the
   * machine loses its power.
   *
   * @param id The text by which the work is known, such as `message.id`.
   * @param work Changes the database, at once: it returns no promise, and neither
   * begins nor ends a transaction. When it throws, nothing has changed.
   * @returns Whether the work was done by this call.
   * @throws {TypeError} When the id is no text or empty, or the work returns a
   * promise.
   * @throws {Error} When the file cannot be written, or the work throws.
   */
  transact(id: string, work: (database: DatabaseSync) => void): boolean {
    checkId(id);
    return this.#memory.transact(() => {
      if (this.#memory.isDone(id)) return false;
      const result: unknown = work(this.database);
      if (result instanceof Promise) {
        result.catch(() => {});
        throw new TypeError(
          "Cannot do the work in one transaction: it returns a promise; do what takes time before, or use run()",
        );
      }
      this.#memory.setDone(id);
      return true;
    });
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.database.close();
  }
}

class FileMemory implements Memory {
  readonly lease: number;
  readonly #database: DatabaseSync;
  readonly #expiry: number;

  constructor(database: DatabaseSync, { expiry, lease }: CheckedOnceOptions) {
    this.#database = database;
    this.#expiry = expiry;
    this.lease = lease;
  }

  claim(id: string, token: string): Promise<Claim> {
    return this.#later(() => {
      const row = this.#read(id);
      if (row?.token === null) return "done";
      if (row !== undefined && row.token !== token) return "held";
      this.#write(id, token, this.lease);
      return "granted";
    });
  }

  renew(id: string, token: string): Promise<void> {
    return this.#later(() => {
      // Whatever the clock says now: whoever renews is at work.
      const row = this.#database
        .prepare("SELECT token FROM handled WHERE id = ?").get(id);
      if (row === undefined || row["token"] === token) {
        this.#write(id, token, this.lease);
      }
    });
  }

  release(id: string, token: string): Promise<void> {
    return this.#later(() => {
      this.#database.prepare("DELETE FROM handled WHERE id = ? AND token = ?")
        .run(id, token);
    });
  }

  remember(id: string): Promise<void> {
    return this.#later(() => this.setDone(id));
  }

  isDone(id: string): boolean {
    return this.#read(id)?.token === null;
  }

  setDone(id: string): void {
    this.#write(id, null, this.#expiry);
  }

  /** Runs in one transaction, which no other process is in at the same time. */
  transact<Result>(run: () => Result): Result {
    this.#database.exec("BEGIN IMMEDIATE");
    try {
      const result = run();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      // SQLite rolls back by itself after some errors, as on a full disk.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #later<Result>(run: () => Result): Promise<Result> {
    return Promise.try(() => this.transact(run));
  }

  /** Reads who has an id: a token, or `null` where its work is done. */
  #read(id: string): { token: string | null } | undefined {
    const longest = Math.max(this.lease, LONGEST_LEASE);
    return this.#database
      .prepare(
        "SELECT token FROM handled WHERE id = ? AND until > ? AND (token IS NULL OR until <= ?)",
      )
      .get(id, now(), now() + longest) as { token: string | null } | undefined;
  }

  #write(id: string, token: string | null, seconds: number): void {
    this.#database.prepare("DELETE FROM handled WHERE until <= ?").run(now());
    this.#database.prepare("INSERT OR REPLACE INTO handled VALUES (?, ?, ?)")
      .run(id, token, now() + seconds);
  }
}

function now(): number {
  return Date.now() / 1000;
}

function openDatabase(path: string): DatabaseSync {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(path);
    database.exec(`
      PRAGMA busy_timeout = ${BUSY_TIMEOUT};
      PRAGMA journal_mode = WAL;
      PRAGMA synchronous = FULL;
      CREATE TABLE IF NOT EXISTS handled (
        id TEXT PRIMARY KEY, token TEXT, until REAL NOT NULL
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS handled_until ON handled (until);
    `);
    return database;
  } catch (error) {
    database?.close();
    if (error instanceof Deno.errors.NotCapable) {
      throw toldLack(error, {
        attempted: `open the memory ${JSON.stringify(path)}`,
        deed: "read and write the file",
        flag: `--allow-read=${path} --allow-write=${path}`,
        instead: "remember in Redis, by `RedisOnce`",
      });
    }
    throw new Error(
      `Cannot open the memory ${JSON.stringify(path)}: ${
        (error as Error).message
      }`,
      { cause: error },
    );
  }
}
