import { namesOn } from "../bus/bus.ts";
import { formatAddress } from "../redis/address.ts";
import { Consumers } from "../redis/consumers.ts";
import {
  DeadLetters,
  type InboxOptions,
  pauseQueue,
  resumeQueue,
} from "../redis/mod.ts";
import { addStats, emptyStats } from "../redis/inbox_stats.ts";
import { parseRedisArgs } from "../redis/settings.ts";
import { addMetricSource } from "../telemetry/mod.ts";
import { DELIVERY_OPTIONS } from "../redis/inbox_options.ts";
import { DEFAULT_QUEUE } from "../redis/queue_keys.ts";
import { Backend } from "./backend.ts";
import { type BackendStats, Consumption, Counters } from "./consumption.ts";
import { Demand } from "./demand.ts";
import { outsideRun } from "./life_cycle.ts";
import type { RedisBackendOptions } from "./backend_options.ts";
import { RedisMetrics } from "./redis_metrics.ts";
import { servicePlace } from "./service_place.ts";
import type { RegisterServiceOptions } from "./service_advertiser.ts";

/** The time that the last acknowledgements may take, in seconds. */
const SETTLE_TIMEOUT = 1;
/** The time after which it is said that stopping waits for handlers, in seconds. */
const PATIENCE = 1;

/**
 * Takes messages from a Redis queue, where any program can push them, and posts
 * them to the bus: Platypush's Redis backend, which loses nothing.
 *
 * A message stays in Redis until every subscriber of the bus has handled it. One
 * that cannot be handled is kept among the dead letters of the queue, with the
 * reason.
 *
 * @example
 * ```ts
 * import { Event, RedisBackend, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using backend = new RedisBackend({
 *   redisArgs: server.redisArgs,
 *   deviceId: "livingroom",
 * });
 * await backend.start();
 * await backend.sendEvent({ args: { type: "custom.Motion", room: "hall" } });
 * for await (const message of backend.bus) {
 *   if (message instanceof Event && message.args.room === "hall") break;
 * }
 * ```
 */
export class RedisBackend extends Backend {
  readonly #options: RedisBackendOptions;
  readonly #queue: string | readonly string[];
  readonly #counters = new Counters();
  #registering: Promise<unknown> | undefined;
  #consumers: Consumers | undefined;
  #consumption: Consumption | undefined;
  #removeMetrics = (): void => {};
  #deadLetters: DeadLetters | undefined;

  /**
   * Makes a backend; nothing happens before it is started or sends.
   *
   * @param options What it is made with; everything has a default.
   * @throws {TypeError} If there is no such option, or it is of another kind.
   * @throws {RangeError} If a value makes no sense.
   * @throws {Deno.errors.NotCapable} If `deviceId` is missing or `*`, and the
   * host's name may not be read (`--allow-sys=hostname`).
   */
  constructor(options: RedisBackendOptions = {}) {
    super(options);
    this.#options = { ...options };
    this.#queue = options.queue || DEFAULT_QUEUE;
    checkAges(options.maxAge, [this.#queue].flat());
  }

  /** The queue, or the queues, that it takes messages from. */
  override get queue(): string | readonly string[] {
    return this.#queue;
  }

  /**
   * Tells what it has counted so far, and how it stands.
   *
   * @returns The counters and gauges of this moment.
   *
   * @example
   * ```ts
   * import { RedisBackend } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * const { received, inFlight } = new RedisBackend().stats();
   * assert.deepEqual([received, inFlight], [0, 0]);
   * ```
   */
  stats(): BackendStats {
    const counts = emptyStats();
    for (const stats of this.#consumers?.stats().values() ?? []) {
      addStats(counts, stats);
    }
    const { received, deadLettered, redelivered, reconnects, inFlight } =
      counts;
    return {
      received,
      ...this.#counters.of(),
      deadLettered,
      redelivered,
      reconnects,
      inFlight,
      subscribers: this.openBus?.subscribers ?? 0,
      ...this.actionStats(),
    };
  }

  /**
   * The messages of its queues that could not be handled: lists them, puts them
   * back and removes them. Works before `start()` too, and until `stop()`.
   *
   * @returns They are always the same ones, closed with the backend.
   * @throws {TypeError} If an argument for Redis is unknown or wrong.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   *
   * @example
   * ```ts
   * import { RedisBackend, startRedis } from "@platypush/redis";
   *
   * await using server = await startRedis();
   * await using backend = new RedisBackend({ redisArgs: server.redisArgs });
   * const dead = backend.deadLetters();
   * for await (const { reason, error } of dead.list({ newerThan: 3600 })) {
   *   console.log(reason, error);
   * }
   * await dead.requeue({ reason: "failed" });
   * await dead.purge({ olderThan: 30 * 24 * 3600 });
   * ```
   */
  deadLetters(): DeadLetters {
    this.throwIfClosed();
    return this.#deadLetters ??= new DeadLetters(this.redisArgs, {
      queue: this.#queue,
      daemon: this.daemon,
      logger: this.logger,
    });
  }

  /**
   * Pauses its queues for all their consumers, as {@linkcode pauseQueue} does:
   * what is in hand is finished, nothing more is taken, and sending goes on. Works
   * before `start()` too.
   *
   * @param queue The queue. Default: all queues of the backend.
   * @returns Whether any of them was not paused before.
   * @throws {TypeError} If the queue is no name, or an argument for Redis is
   * unknown or wrong.
   * @throws {RedisError} If the server cannot be reached or refuses.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   *
   * @example
   * ```ts
   * import { RedisBackend, startRedis } from "@platypush/redis";
   *
   * await using server = await startRedis();
   * await using backend = new RedisBackend({ redisArgs: server.redisArgs });
   * await backend.pauseQueue();
   * await backend.sendEvent({ args: { type: "custom.Motion" } }); // waits
   * await backend.resumeQueue();
   * ```
   */
  async pauseQueue(queue?: string): Promise<boolean> {
    this.throwIfClosed();
    const { redisArgs, deviceId: by } = this;
    const changed = await Promise.all(
      this.#queuesOf(queue).map((queue) =>
        pauseQueue(redisArgs, { queue, by })
      ),
    );
    return changed.includes(true);
  }

  /**
   * Lets the consumers of its queues go on, whoever has paused them.
   *
   * @param queue The queue. Default: all queues of the backend.
   * @returns Whether any of them was paused.
   * @throws {TypeError} If the queue is no name, or an argument for Redis is
   * unknown or wrong.
   * @throws {RedisError} If the server cannot be reached or refuses.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   */
  async resumeQueue(queue?: string): Promise<boolean> {
    this.throwIfClosed();
    const changed = await Promise.all(
      this.#queuesOf(queue).map((queue) =>
        resumeQueue(this.redisArgs, { queue })
      ),
    );
    return changed.includes(true);
  }

  #queuesOf(queue: string | undefined): readonly string[] {
    return queue === undefined ? [this.#queue].flat() : [queue];
  }

  /**
   * Advertises the backend as {@linkcode Backend.registerService} does. The
   * grace time for the first subscriber begins when that is done.
   *
   * @param options What to advertise; everything has a default.
   * @returns The full name of the service, which may differ from the one asked
   * for where that was taken.
   * @throws {TypeError} If there is no such option or it is of another kind, a
   * name or property is not allowed, or an argument for Redis is unknown or
   * wrong.
   * @throws {RangeError} If the port is none, or a property does not fit a TXT
   * record.
   * @throws {Deno.errors.NotCapable} If Deno does not permit to use the network
   * (`--allow-net`) or to look at its interfaces (`--allow-sys`).
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   */
  override async registerService(
    options: RegisterServiceOptions = {},
  ): Promise<string> {
    const registering = super.registerService(options);
    this.#registering = registering.catch(() => {});
    return await registering;
  }

  /** Posts what arrives to the bus until the backend is to stop; `start()` calls it. */
  override async run(): Promise<void> {
    await outsideRun(() => this.#run());
  }

  async #run(): Promise<void> {
    const consumers = this.#consumers!;
    const consumption = this.#consumption!;
    this.answerRequests();
    using demand = new Demand(this.bus, {
      grace: this.#options.subscriberGrace ?? 1,
      settingUp: () => this.#registering,
      signal: this.stopSignal,
      daemon: this.daemon,
      logger: this.logger,
      onChange: (isPresent) =>
        isPresent ? consumers.resume() : pause(consumers),
    });
    const { bus } = this;
    const onNames = (): void => {
      consumers.present = namesOn(bus);
    };
    bus.addEventListener("names", onNames);
    onNames();
    if (demand.isPresent) consumers.resume();
    await Promise.race([consumption.failed, this.waitStop()]);
    pause(consumers);
    bus.removeEventListener("names", onNames);
    this.releaseBus();
    const isSettled = await this.#settleAll(consumption);
    await consumers.stop(isSettled ? SETTLE_TIMEOUT : 0);
  }

  /**
   * Connects to Redis. A server that cannot be reached, or is still loading, is
   * tried again until it answers or the backend is stopped.
   *
   * @throws {TypeError} If an argument for Redis is unknown or wrong.
   * @throws {RedisError} If the server refuses this client.
   */
  protected override async enter(): Promise<void> {
    const consumption = this.#consumption = new Consumption({
      bus: this.bus,
      counters: this.#counters,
      deviceId: this.deviceId,
      target: this.target,
      maxSize: this.maxSize,
      maxAge: this.#options.maxAge,
      bigint: this.bigint,
      signal: this.stopSignal,
      refuse: (request, { message }) =>
        this.sendResponse({ errors: [message] }, request),
      logger: this.logger,
    });
    const consumers = this.#consumers = await Consumers.open(
      this.redisArgs,
      {
        queue: this.#queue,
        consumer: this.deviceId,
        paused: true,
        daemon: this.daemon,
        signal: this.stopSignal,
        ...inboxOptions(this.#options),
      },
      consumption.post,
    );
    this.#removeMetrics = addMetricSource(
      new RedisMetrics({
        consumers,
        counters: this.#counters,
        bus: this.bus.name,
        stats: () => this.stats(),
      }),
    );
    const whom = this.target === undefined ? "everybody" : `"${this.target}"`;
    this.logger.info(
      `Listening to ${
        [this.#queue].flat().map((name) => `"${name}"`).join(", ")
      } on ${formatAddress(consumers.address)} for ${whom}.`,
    );
  }

  /** Disconnects; what is not settled goes back to the queue. */
  protected override async leave(): Promise<void> {
    await this.#consumers?.stop(0);
    this.#removeMetrics();
  }

  /** Closes the connections, and all else that it has opened. */
  protected override async close(): Promise<void> {
    await this.#deadLetters?.close();
    await super.close();
  }

  /**
   * Gives the port of the Redis server, and what peers need to know besides.
   * Where they may not reach it, that is logged.
   *
   * @param given The options that the application has given.
   * @returns What to advertise where nothing else is asked for.
   * @throws {TypeError} If an argument for Redis is unknown or wrong.
   */
  protected override serviceDefaults(
    given: RegisterServiceOptions,
  ): RegisterServiceOptions {
    const { address, db, tls } = parseRedisArgs(this.redisArgs);
    const { port, properties, warning } = servicePlace({
      address: this.#consumers?.address ?? address,
      db,
      tls,
    });
    if (warning !== undefined && given.port === undefined) {
      this.logger.warn(warning);
    }
    return {
      port,
      properties: { queue: [this.#queue].flat()[0]!, ...properties },
    };
  }

  /**
   * Waits for what subscribers are busy with, as long as `stopTimeout` allows.
   *
   * @returns Whether everything is settled: on a bus of the caller's, a handler may
   * hold a message for ever.
   */
  async #settleAll(consumption: Consumption): Promise<boolean> {
    const patience = Math.min(PATIENCE, this.stopTimeout);
    if (await consumption.settled(patience)) return true;
    this.logger.warn(
      `Stopping: what is in hand is not yet handled and acknowledged; it is waited for, up to ${this.stopTimeout} s.`,
    );
    if (await consumption.settled(this.stopTimeout - patience)) return true;
    this.logger.warn(
      `Not everything in hand was handled and acknowledged within ${this.stopTimeout} s: the rest goes back to the queue.`,
    );
    this.abandonActions();
    await this.closeBus();
    return await consumption.settled(SETTLE_TIMEOUT);
  }
}

function pause(consumers: Consumers): void {
  // Takes effect at once; it resolves when the connection is there.
  consumers.pause().catch(() => {});
}

/** Picks those of the backend's options that are the inbox's, as far as they are set. */
function inboxOptions(options: RedisBackendOptions): Partial<InboxOptions> {
  const names = new Set(["logger", ...Object.keys(DELIVERY_OPTIONS)]);
  return Object.fromEntries(
    Object.entries(options).filter(([name, value]) =>
      names.has(name) && value !== undefined
    ),
  );
}

/** A limit for a queue with another name would limit nothing. */
function checkAges(
  ages: RedisBackendOptions["maxAge"],
  queues: readonly string[],
): void {
  const names = typeof ages === "object" ? Object.keys(ages) : [];
  const stray = names.find((name) => !queues.includes(name));
  if (stray === undefined) return;
  throw new RangeError(
    `Cannot make the backend: \`maxAge\` limits ${
      JSON.stringify(stray)
    }, expected one of the queues that it takes messages from: ${
      queues.map((name) => JSON.stringify(name)).join(", ")
    }`,
  );
}
