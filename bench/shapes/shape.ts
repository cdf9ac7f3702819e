import { createClient, RESP_TYPES } from "@redis/client";

/** A message as a consumer hands it out. */
export interface Delivered {
  /** The message, as it lay in Redis. */
  readonly payload: Uint8Array;
  /** How often it was given out before, as far as that is known. */
  readonly redelivered: number;
}

/** Handles a message; it has failed when this throws or rejects. */
export type Handle = (message: Delivered) => void | Promise<void>;

/** What a consumer of either shape is opened with. */
export interface ShapeOptions {
  /** The socket of the server. */
  readonly path: string;
  /** Who to be, where rights are limited. */
  readonly username?: string;
  /** The list that everybody pushes to. */
  readonly queue: string;
  /** Handles what arrives. */
  readonly handle: Handle;
  /** Seconds without a sign of life after which a consumer counts as dead. */
  readonly timeout: number;
  /** Called with what went wrong; the consumer goes on. */
  readonly onError?: (error: Error) => void;
}

/** A running consumer. */
export interface Shape {
  /** Ends it; what it has in hand goes to others. */
  stop(): Promise<void>;
}

/** Up to so many messages are taken at once. */
export const BATCH = 512;
/** Seconds that a wait for messages blocks on the server. */
export const BLOCK = "20";
/** What has failed is tried again after so many milliseconds. */
export const PAUSE = 200;
/** After so many deliveries a message is a dead letter. */
export const MAX_DELIVERIES = 5;

/** A connection that answers with bytes. */
export class Wire {
  readonly #client: ReturnType<typeof createClient>;
  readonly #scripts = new Map<string, Promise<string>>();

  constructor({ path, username }: Pick<ShapeOptions, "path" | "username">) {
    this.#client = createClient({
      socket: { path, tls: false, reconnectStrategy: 100 },
      ...(username !== undefined && { username, password: "secret" }),
    });
    this.#client.on("error", () => {});
  }

  async connect(): Promise<void> {
    await this.#client.connect();
  }

  /** Runs a command; texts come back as bytes. */
  run<Reply = unknown>(...words: (string | Uint8Array)[]): Promise<Reply> {
    return this.#client.sendCommand<Reply>(words as (string | Buffer)[], {
      typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer },
    });
  }

  /** Runs a script; the key count comes from the keys. */
  async script<Reply = unknown>(
    text: string,
    keys: readonly string[],
    args: readonly (string | Uint8Array)[] = [],
  ): Promise<Reply> {
    let sha = this.#scripts.get(text);
    if (sha === undefined) {
      sha = this.run<Buffer>("SCRIPT", "LOAD", text).then(String);
      this.#scripts.set(text, sha);
    }
    return await this.run(
      "EVALSHA",
      await sha,
      String(keys.length),
      ...keys,
      ...args,
    );
  }

  /** Loads scripts beforehand, so that running one needs no turn. */
  async load(...texts: string[]): Promise<string[]> {
    return await Promise.all(
      texts.map(async (text) => String(await this.run("SCRIPT", "LOAD", text))),
    );
  }

  close(): void {
    this.#client.destroy();
  }
}

/** Waits, in milliseconds. */
export function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
