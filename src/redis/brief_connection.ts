import { whenAborted } from "../waiting.ts";
import { formatAddress } from "./address.ts";
import { Health } from "./health.ts";
import type { ServerConnection } from "./server_connection.ts";
import { connectToServer } from "./connect_to_server.ts";
import type { RedisArgs } from "./redis_args.ts";
import { parseRedisArgs, type Settings } from "./settings.ts";
import {
  isWithheld,
  RedisError,
  restate,
  toRedisError,
} from "./redis_error.ts";
import { nameKey, type Script } from "./script.ts";

/** Says to which node {@link BriefConnection} connects, and when it gives up. */
interface BriefOptions {
  /** In a cluster: connect to the node that holds this key. */
  key?: string;
  /** Gives up when aborted, also what is asked later on. */
  signal?: AbortSignal;
  /** The largest answer that is wanted, in bytes: the connection is given up when a larger one is announced. */
  maxReply?: number;
}

/**
 * A connection for a few questions: it is tried once, and whatever fails is told
 * at once, with its reason.
 */
export class BriefConnection implements Disposable {
  #server: ServerConnection;
  #health: Health;
  #aborting: Disposable;

  private constructor(
    server: ServerConnection,
    settings: Settings,
    signal: AbortSignal,
  ) {
    this.#server = server;
    this.#health = new Health(server, {
      ...settings,
      // Nobody waits for one that is idle.
      healthCheckInterval: 0,
      replyTimeout: settings.replyTimeout ?? settings.connectTimeout,
    });
    this.#aborting = whenAborted(signal, () => server.close(closed()));
  }

  /**
   * Connects.
   *
   * @param args redis-py's arguments, see {@link RedisArgs}.
   * @throws {TypeError} An argument is unknown or wrong.
   * @throws {RedisError} The server could not be reached or refused.
   */
  static async open(
    args: RedisArgs,
    options: BriefOptions = {},
  ): Promise<BriefConnection> {
    const settings = parseRedisArgs(args);
    const { signal = new AbortController().signal, maxReply } = options;
    const server = await connectToServer(settings, options.key, {
      signal,
      maxReply,
    });
    return new BriefConnection(server, settings, signal);
  }

  /** The server's address, for people. */
  get address(): string {
    return formatAddress(this.#server.address);
  }

  /** The user's name, as it was given. */
  get user(): string {
    return this.#server.user;
  }

  /** The name of the server, as {@link ServerConnection} knows it. */
  get product(): ServerConnection["product"] {
    return this.#server.product;
  }

  /** The server's version, as {@link ServerConnection} knows it. */
  get version(): string {
    return this.#server.version;
  }

  /**
   * Sends one command.
   *
   * @throws {RedisError} The server refused it, was lost, or did not answer in
   * time.
   */
  async command<Reply>(args: readonly (string | Uint8Array)[]): Promise<Reply> {
    const server = this.#server;
    const what = { attempted: `run ${String(args[0])}`, place: this.address };
    const health = this.#health;
    health.begin(args, undefined);
    try {
      return await server.send<Reply>(args);
    } catch (error) {
      throw server.loss === undefined
        ? nameKey(
          toRedisError(error, { ...what, user: server.user }, true),
          args,
        )
        : restate(server.loss, { ...what, mayHaveRun: true });
    } finally {
      health.end(undefined);
    }
  }

  /**
   * Runs a script by its text, without leaving it on the server for longer than
   * any other one.
   *
   * @throws {RedisError} As {@link command}.
   */
  script<Reply>(
    { lua }: Script,
    keys: readonly string[],
    args: readonly (string | Uint8Array)[],
  ): Promise<Reply> {
    return this.command(["EVAL", lua, String(keys.length), ...keys, ...args]);
  }

  /**
   * Asks for what the server tells about itself (`INFO`).
   *
   * @param section The section, such as `memory`.
   * @returns Its fields, or `undefined` where this client may not ask.
   * @throws {RedisError} As {@link command}.
   */
  async info(
    section: string,
  ): Promise<ReadonlyMap<string, string> | undefined> {
    const text = await this.command<string>(["INFO", section]).catch(
      (error): undefined => {
        if (!isWithheld(error as RedisError)) throw error;
        return undefined;
      },
    );
    if (text === undefined) return undefined;
    return new Map(
      [...text.matchAll(/^([^#:\r\n]+):(.*?)\r?$/gm)]
        .map(([, name, value]) => [name!, value!]),
    );
  }

  /** Closes the connection. */
  [Symbol.dispose](): void {
    this.#aborting[Symbol.dispose]();
    this.#health[Symbol.dispose]();
    this.#server.close();
  }
}

function closed(): RedisError {
  return new RedisError("The connection to Redis was closed", "closed");
}
