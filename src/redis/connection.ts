import { checkOptions, notByNew } from "../options.ts";
import { createLogger } from "../logger.ts";
import { type Address, formatAddress } from "./address.ts";
import {
  backoff,
  retry,
  settledWithin,
  sleep,
  unlessAborted,
  whenAborted,
} from "../waiting.ts";
import {
  type CommandOptions,
  CONNECT_OPTIONS,
  type ConnectOptions,
  type GuardedOptions,
  withGuards,
} from "./connect_options.ts";
import { Health, unconnected } from "./health.ts";
import type { KeyListener, ServerConnection } from "./server_connection.ts";
import { AskedNodes, connectToServer } from "./connect_to_server.ts";
import { NameCheck } from "./name_check.ts";
import { type RedisArgs, unsetPlace } from "./redis_args.ts";
import { parseRedisArgs, type Settings } from "./settings.ts";
import {
  meansWrongServer,
  RedisError,
  restate,
  toRedisError,
} from "./redis_error.ts";
import { nameKey, type Script } from "./script.ts";
import { checkListener, checkScript, unfitCommand } from "./unfit_command.ts";
import { Trouble } from "./trouble.ts";

/**
 * A connection to Redis that is established again whenever it is lost, for as
 * long as it is not closed. Commands are never repeated by it: one that was on
 * its way when the connection was lost rejects, since only its caller knows
 * whether it may run twice.
 *
 * @example
 * ```ts
 * import { Connection, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using connection = await Connection.connect(server.redisArgs);
 * await connection.command(["RPUSH", "queue", "one"]);
 * ```
 */
export class Connection {
  #settings: Settings;
  #options: GuardedOptions;
  #server: ServerConnection | undefined;
  #address: Address;
  #abort = new AbortController();
  #reconnecting: Promise<void> | undefined;
  #waiting = new Set<() => void>();
  #health: Health | undefined;
  #nameCheck: NameCheck | undefined;
  /** Why the server is to be left as soon as no command is on its way. */
  #leaving: RedisError | undefined;
  /** Counts how often a name has moved: one that moves a lot is looked up less. */
  #moves = 0;
  #reconnects = 0;
  /** The time at which the server was connected to. */
  #since = 0;
  /** Counts the wrong servers in a row. */
  #wrong = 0;
  /** Something was to be written, so a replica is no use. */
  #needsMaster = false;
  readonly #trouble: Trouble;
  /** The nodes that take over a slot at the moment. */
  readonly #asked: AskedNodes;
  #keyListener: KeyListener | undefined;
  #isTracking = false;
  /** The scripts whose texts are on their way: who learns meanwhile that the server lacks one need not send it again. */
  readonly #told = new Set<string>();
  readonly #subscriptions: Parameters<ServerConnection["subscribe"]>[] = [];

  private constructor(args: RedisArgs, options: ConnectOptions) {
    if (options === undefined) throw notByNew("Connection.connect");
    this.#settings = parseRedisArgs(args);
    this.#address = this.#settings.sentinel?.addresses[0] ??
      this.#settings.cluster?.[0] ?? this.#settings.address;
    this.#asked = new AskedNodes(this.#settings, this.#abort.signal);
    const place = formatAddress(this.#address);
    const { logger = createLogger("redis") } = options;
    this.#options = withGuards(options, place, logger);
    this.#trouble = Trouble.with(place, logger);
    const unset = unsetPlace(args);
    if (unset !== undefined) {
      this.#trouble.warnOnce(
        `\`${unset}\` of the arguments for Redis is undefined, so the server is taken to be at ${place}: is a variable of the environment not set?`,
      );
    }
  }

  /**
   * Connects. A server that cannot be reached or is still loading is tried again
   * until it answers or `signal` is aborted.
   *
   * @param args redis-py's arguments, see {@linkcode RedisArgs}.
   * @param options The logger, and what happens at a loss; see {@linkcode ConnectOptions}.
   * @returns The connection, ready for commands.
   * @throws {TypeError} There is no such option or it is of another kind, an
   * argument is unknown or wrong, or a file that it names cannot be read.
   * @throws {RedisError} The server refuses this client (a wrong password, no
   * permission, a certificate that is not trusted, a version below 6.2), or
   * `signal` was aborted.
   *
   * @example
   * ```ts
   * import { Connection, RedisError } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * const signal = AbortSignal.timeout(20);
   * const redisArgs = { unix_socket_path: "/nowhere/redis.sock" };
   * await assert.rejects(Connection.connect(redisArgs, { signal }), RedisError);
   * ```
   */
  static async connect(
    args: RedisArgs,
    options: ConnectOptions = {},
  ): Promise<Connection> {
    const given = checkOptions("connect to Redis", options, CONNECT_OPTIONS);
    const connection = new Connection(args, given);
    using _giving = whenAborted(given.signal, () => connection.close());
    await connection.#establish(true);
    // It may have been given up in the moment in which there was a server.
    if (connection.isClosed) throw connection.#closedError("connect to Redis");
    return connection;
  }

  /** The address of the server that was connected to last. */
  get address(): Address {
    return this.#address;
  }

  /** True while there is a connection; without one, commands reject, and {@linkcode Connection.ready} waits for the next. */
  get isConnected(): boolean {
    return this.#server !== undefined;
  }

  /** True from the call of {@linkcode Connection.close} on: it does not connect again. */
  get isClosed(): boolean {
    return this.#abort.signal.aborted;
  }

  /** The number of times that the connection was lost and found again. */
  get reconnects(): number {
    return this.#reconnects;
  }

  /** The server's version, such as `7.0.15`; empty where it may not be asked. */
  get version(): string {
    return this.#server?.version ?? "";
  }

  /**
   * An estimate of what the way from the server carries, in bytes a second. It
   * begins low, and follows what is measured.
   */
  get bytesPerSecond(): number {
    return this.#server?.throughput.bytesPerSecond ?? 0;
  }

  /** The number of this connection on the server, as in `CLIENT LIST`. */
  get id(): number | undefined {
    return this.#server?.id;
  }

  /**
   * Resolves once commands can be sent. Where nothing is
   * {@linkcode ConnectOptions.awaited}, a server that has been silent for
   * `health_check_interval` is asked for a sign before.
   *
   * @param signal Ends the wait, which then rejects.
   * @throws {RedisError} The connection was closed, or `signal` was aborted.
   */
  async ready(signal?: AbortSignal): Promise<void> {
    using _waking = whenAborted(signal, () => this.#wake());
    for (;;) {
      const proving = this.#server && this.#health?.prove();
      if (this.#server !== undefined && proving === undefined) return;
      if (this.isClosed || signal?.aborted) {
        throw this.#closedError("wait for Redis");
      }
      void proving?.then(() => this.#wake());
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /**
   * Sends one command. Commands that are sent at once travel together.
   *
   * @param args The command and its arguments.
   * @param options The form of the reply, and time limits; see {@linkcode CommandOptions}.
   * @returns The server's reply.
   * @throws {RedisError} The server refused the command, or the connection was
   * lost; `mayHaveRun` then says whether the command was on its way.
   *
   * @example
   * ```ts
   * import { Connection, startRedis } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * await using server = await startRedis();
   * await using connection = await Connection.connect(server.redisArgs);
   * await connection.command(["RPUSH", "queue", "one"]);
   * const [, payload] = await connection.command<Uint8Array[]>(
   *   ["BLPOP", "queue", "5"],
   *   { bytes: true, block: 5 },
   * );
   * assert.equal(payload?.length, 3);
   * ```
   */
  async command<Reply = unknown>(
    args: readonly (string | Uint8Array)[],
    options: CommandOptions = {},
  ): Promise<Reply> {
    const block = options?.block ?? 0;
    let isFit = Array.isArray(args) && args.length > 0 && block >= 0;
    for (const part of isFit ? args : []) {
      isFit &&= typeof part === "string" || part instanceof Uint8Array;
    }
    if (!isFit || typeof block !== "number") throw unfitCommand(args, block);
    const what = `run ${String(args[0])}`;
    const server = this.#server;
    const health = this.#health;
    if (server === undefined) {
      throw this.isClosed
        ? this.#closedError(what)
        : unconnected(what, this, "there is no connection at the moment");
    }
    health?.begin(args, options.block);
    try {
      return await server.send<Reply>(args, options).catch((cause) => {
        const error = this.#explain(cause, what, server);
        if (error.reply !== "ASK") throw error;
        return this.#asked.send<Reply>(error, args, options);
      });
    } catch (cause) {
      const error = nameKey(this.#explain(cause, what, server), args);
      this.#react(error, server);
      throw error;
    } finally {
      health?.end(options.block);
      if (this.#leaving !== undefined && health?.isIdle) this.#goNow(server);
    }
  }

  /**
   * Runs a script by its digest, or by its text where the server knows none.
   *
   * @param script The script with its digest, by which the server knows it.
   * @param keys Its keys, all in one hash slot.
   * @param args The `ARGV` of the script, in order.
   * @param options The form of the reply, and time limits; see {@linkcode CommandOptions}.
   * @returns The server's reply.
   * @throws {RedisError} As {@linkcode Connection.command}.
   *
   * @example
   * ```ts
   * import { Connection, type Script, startRedis } from "@platypush/redis";
   * import { createHash } from "node:crypto";
   *
   * const lua = `return redis.call("LLEN", KEYS[1]) + ARGV[1]`;
   * const sha1 = createHash("sha1").update(lua).digest("hex");
   * const script: Script = { lua, sha1 };
   *
   * await using server = await startRedis();
   * await using connection = await Connection.connect(server.redisArgs);
   * console.assert(await connection.script(script, ["queue"], ["2"]) === 2);
   * ```
   */
  async script<Reply = unknown>(
    script: Script,
    keys: readonly string[],
    args: readonly (string | Uint8Array)[],
    options: CommandOptions = {},
  ): Promise<Reply> {
    const { sha1, lua } = checkScript(script, keys, args);
    const rest = [String(keys.length), ...keys, ...args];
    try {
      return await this.command<Reply>(["EVALSHA", sha1, ...rest], options);
    } catch (error) {
      if ((error as RedisError).code !== "no-script") throw error;
    }
    if (this.#told.has(sha1)) return this.script(script, keys, args, options);
    this.#told.add(sha1);
    return await this.command<Reply>(["EVAL", lua, ...rest], options)
      .finally(() => this.#told.delete(sha1));
  }

  /**
   * Listens to a channel (`SUBSCRIBE`) until the connection is closed. After a
   * loss it subscribes again before it is {@linkcode Connection.ready}; what is
   * published meanwhile is gone, since a channel has no memory. With `protocol`
   * 2, a connection that subscribes takes no commands.
   *
   * @param channel The channel's name, exactly; patterns are not read.
   * @param listener Called with each message there; what it throws is logged.
   * @throws {RedisError} The server refuses, or the connection was lost or closed.
   *
   * @example
   * ```ts
   * import { Connection, startRedis } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * await using server = await startRedis();
   * await using connection = await Connection.connect(server.redisArgs);
   * const heard = Promise.withResolvers<Uint8Array>();
   * await connection.subscribe("news", heard.resolve);
   * await connection.command(["PUBLISH", "news", "one"]);
   * assert.equal((await heard.promise).length, 3);
   * ```
   */
  async subscribe(
    channel: string,
    listener: (payload: Uint8Array) => void,
  ): Promise<void> {
    checkListener(channel, listener);
    await this.ready();
    const server = this.#server!;
    const heard = this.#options.guard(`The listener to "${channel}"`, listener);
    const subscribing = server.subscribe(channel, heard);
    await this.#explained(subscribing, `listen to "${channel}"`, server);
    this.#subscriptions.push([channel, heard]);
  }

  /**
   * Asks the server to tell when a key changes that is read on this connection
   * from now on (`CLIENT TRACKING`). It tells that once, until the key is read
   * again. After a loss it is asked anew.
   *
   * @param listener Called with the key; with `undefined` where any key may have
   * changed, as after a loss. What it throws is logged.
   * @returns Whether the server tells. It does not where version 3 of the
   * protocol or the right to `CLIENT TRACKING` is missing.
   * @throws {RedisError} The connection was lost or closed meanwhile.
   *
   * @example
   * ```ts
   * import { Connection, startRedis } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * await using server = await startRedis();
   * await using connection = await Connection.connect(server.redisArgs);
   * const changed = Promise.withResolvers<string | undefined>();
   * assert.ok(await connection.trackKeys(changed.resolve));
   * await connection.command(["GET", "key"]);
   * await connection.command(["SET", "key", "value"]);
   * assert.equal(await changed.promise, "key");
   * ```
   */
  async trackKeys(
    listener: (key: string | undefined) => void,
  ): Promise<boolean> {
    await this.ready();
    this.#keyListener = this.#options.guard("The listener to keys", listener);
    const server = this.#server!;
    const tracking = server.trackKeys(this.#keyListener);
    this.#isTracking = await this.#explained(tracking, "track keys", server);
    return this.isTracking;
  }

  /** Tells whether the server says when a key changes that was read. */
  get isTracking(): boolean {
    return this.isConnected && this.#isTracking;
  }

  /**
   * Gives up the connection that there is and makes a new one, as after a loss:
   * for whoever knows that the way to the server was cut. Commands on their way
   * reject. Where there is none at the moment, nothing happens.
   *
   * @example
   * ```ts
   * import { Connection, startRedis } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * await using server = await startRedis();
   * await using connection = await Connection.connect(server.redisArgs);
   * const { id } = connection;
   * connection.renew();
   * await connection.ready();
   * assert.notEqual(connection.id, id);
   * ```
   */
  renew(): void {
    const server = this.#server;
    const reason = "another connection on the same way was lost";
    server?.close(unconnected("stay connected to Redis", server, reason));
  }

  /**
   * Closes the connection for good, also in the middle of connecting; commands
   * on their way reject.
   */
  async close(): Promise<void> {
    this.#abort.abort();
    this.#trouble.forget(this);
    this.#health?.[Symbol.dispose]();
    this.#nameCheck?.[Symbol.dispose]();
    this.#server?.close();
    this.#server = undefined;
    this.#wake();
    await this.#reconnecting;
  }

  /** The same as {@linkcode Connection.close}. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Connects, again and again until it succeeds. */
  async #establish(isFirst: boolean): Promise<void> {
    const { signal } = this.#abort;
    const { daemon } = this.#options;
    // A server that is found again at once may well be the wrong one again.
    if (this.#wrong > 1) {
      await sleep(backoff(this.#wrong - 2), { signal, daemon });
    }
    await retry(() => this.#open(), {
      signal,
      daemon,
      mayHelp: (error) => {
        const isPassing = error instanceof RedisError && error.isTransient;
        this.#options.onFailure?.(error as Error);
        if (isFirst && !isPassing) return false;
        this.#trouble.onFailure(this, error as Error);
        return true;
      },
    }).catch((error) => {
      this.#trouble.forget(this);
      throw signal.aborted
        ? this.#closedError("connect to Redis", error)
        : error;
    });
  }

  /** Connects once, does what every connection begins with, and uses it at once. */
  async #open(): Promise<void> {
    const { signal } = this.#abort;
    const { key, daemon = false, maxReply } = this.#options;
    const server = await connectToServer(this.#settings, key, {
      signal,
      daemon,
      maxReply,
      needsMaster: this.#needsMaster,
      onLost: (server) => this.#lose(server),
    });
    try {
      await unlessAborted(this.#begin(server), signal);
      signal.throwIfAborted();
      if (server.loss !== undefined) throw server.loss;
      this.#use(server);
    } catch (error) {
      server.close();
      throw error;
    }
  }

  async #begin(server: ServerConnection): Promise<void> {
    await this.#options.greet?.((args, { block } = {}) => {
      const what = `run ${String(args[0])}`;
      return this.#inTime(server, server.send(args), what, block);
    });
    for (const [channel, listener] of this.#subscriptions) {
      const subscribing = server.subscribe(channel, listener);
      await this.#inTime(server, subscribing, `listen to "${channel}"`);
    }
    if (this.#keyListener === undefined) return;
    const tracking = server.trackKeys(this.#keyListener);
    this.#isTracking = await this.#inTime(server, tracking, "track keys");
  }

  /** Gives each answer the time that connecting has: nobody else watches yet. */
  async #inTime<Reply>(
    server: ServerConnection,
    reply: Promise<Reply>,
    what: string,
    block = 0,
  ): Promise<Reply> {
    const time = this.#settings.connectTimeout + block;
    const wait = { signal: this.#abort.signal, daemon: this.#options.daemon };
    if (!await settledWithin(reply, time, wait) && !this.isClosed) {
      server.close(unconnected(what, server, `no answer within ${time} s`));
    }
    return await this.#explained(reply, what, server);
  }

  #use(server: ServerConnection): void {
    this.#server = server;
    this.#since = performance.now();
    this.#address = server.address;
    this.#trouble.onSuccess(this, formatAddress(server.address));
    this.#health = new Health(
      server,
      this.#settings,
      () => this.command(["PING"]).then(() => {}, () => {}),
      this.#options.awaited,
    );
    const pause = this.#settings.healthCheckInterval * LOOK_UPS;
    this.#nameCheck = new NameCheck(
      server.address,
      pause * 2 ** this.#moves,
      (now) => this.#leave(server, now),
    );
    this.#wake();
  }

  async #explained<Reply>(
    reply: Promise<Reply>,
    what: string,
    server: ServerConnection,
  ): Promise<Reply> {
    return await reply.catch((cause) => {
      throw this.#explain(cause, what, server);
    });
  }

  /** Says what a failed command means. */
  #explain(cause: unknown, what: string, server: ServerConnection): RedisError {
    if (this.isClosed) return this.#closedError(what, cause, true);
    if (server.loss === undefined) {
      const { address, user } = server;
      const place = formatAddress(address);
      return toRedisError(cause, { attempted: what, place, user }, true);
    }
    return restate(server.loss, { attempted: what, mayHaveRun: true });
  }

  /** Leaves a server whose name stands for another one by now, between two commands. */
  #leave(server: ServerConnection, now: readonly string[]): void {
    if (this.#server !== server) return;
    const isLate = this.#leaving !== undefined;
    const names = now.join(", ");
    const reason = `the name stands for another address by now (${names})`;
    this.#leaving ??= unconnected("stay connected to Redis", server, reason);
    if (isLate || this.#health?.isIdle) this.#goNow(server);
  }

  #goNow(server: ServerConnection): void {
    this.#moves++;
    server.close(this.#leaving);
  }

  /** Some answers say that this is no longer the right server to talk to. */
  #react(error: RedisError, server: ServerConnection): void {
    if (!meansWrongServer(error) || this.#server !== server) return;
    this.#needsMaster ||= error.code === "readonly";
    server.close(error);
  }

  #lose(server: ServerConnection): void {
    const { loss } = server;
    if (this.#server !== server || loss === undefined) return;
    this.#server = undefined;
    this.#asked.close();
    this.#leaving = undefined;
    this.#health?.[Symbol.dispose]();
    this.#nameCheck?.[Symbol.dispose]();
    if (this.isClosed) return;
    const isWrong = meansWrongServer(loss);
    const isSteady = performance.now() - this.#since > STEADY * 1000;
    if (!isWrong || isSteady) this.#wrong = 0;
    if (isWrong) this.#wrong++;
    this.#isTracking = false;
    this.#keyListener?.(undefined);
    this.#options.onLost?.(server.throughput.silence);
    this.#trouble.onLoss(this, loss);
    this.#reconnecting = this.#establish(false).then(() => {
      this.#reconnects++;
      this.#options.onReconnect?.();
    }, () => {
      // Only closing ends the attempts, and whoever closed knows.
    });
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
    this.#waiting.clear();
  }

  #closedError(what: string, cause?: unknown, mayHaveRun = false): RedisError {
    return new RedisError(
      { attempted: what, reason: "the connection to Redis was closed" },
      "closed",
      { cause, mayHaveRun },
    );
  }
}

/** The time for which a server has to be the right one before the pauses begin anew, in seconds. */
const STEADY = 5;
/** A name is looked up once in so many intervals of the health check. */
const LOOK_UPS = 3;
