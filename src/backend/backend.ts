import {
  type Checked,
  checkOptions,
  checkValue,
  withoutAliases,
} from "../options.ts";
import { lendDevice } from "../bus/bus.ts";
import { Bus } from "../bus/mod.ts";
import { readHostName } from "../permission.ts";
import { createLogger } from "../logger.ts";
import {
  type Event,
  type EventFields,
  Message,
  type MessageInput,
  type RequestFields,
  type Response,
  type ResponseFields,
} from "../message/mod.ts";
import type { RedisArgs } from "../redis/mod.ts";
import { DEFAULT_QUEUE } from "../redis/queue_keys.ts";
import { ignoredArguments } from "../redis/redis_args.ts";
import { type ServiceInfo, serviceType } from "../zeroconf/mod.ts";
import type { ActionHandler, ActionOptions } from "../bus/action_table.ts";
import { Actions } from "./actions.ts";
import { applyAliases, type BackendAliases } from "./aliases.ts";
import {
  BACKEND_OPTIONS,
  type CheckedBackendOptions,
} from "./backend_options.ts";
import type { BackendOptions } from "./backend_options.ts";
import { isKnownDevice, knownPeersIn } from "./identity.ts";
import { LifeCycle, outsideRun } from "./life_cycle.ts";
import {
  listOf,
  MessageSender,
  REQUEST_OPTIONS,
  SEND_OPTIONS,
  type SendOptions,
  type SendRequestOptions,
} from "./message_sender.ts";
import { peerOptions } from "./peer_access.ts";
import { PeerBrowser } from "./peer_browser.ts";
import {
  PEER,
  PeerSender,
  SEND_TO_OPTIONS,
  type SendToOptions,
} from "./peer_sender.ts";
import {
  type RegisterServiceOptions,
  SERVICE_OPTIONS,
  ServiceAdvertiser,
} from "./service_advertiser.ts";
import type { BackendStats } from "./consumption.ts";

/**
 * Brings messages onto the bus, with the life cycle of Platypush's backends.
 * Derive from it, and define one of two methods: {@linkcode Backend.run} works
 * until it is told to stop, or `loop()` is called again and again.
 *
 * Times are seconds. Each member is there under Platypush's own name too, such
 * as `send_event`.
 *
 * @example
 * ```ts
 * import { Backend, Event } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * class ClockBackend extends Backend {
 *   override async loop(): Promise<void> {
 *     await this.onMessage(new Event({ args: { type: "custom.Tick" } }));
 *   }
 * }
 *
 * await using clock = new ClockBackend({ pollSeconds: 0.01 });
 * await clock.start();
 * const tick = await clock.bus.get(1);
 * assert.ok(tick instanceof Event);
 * ```
 */
export class Backend extends LifeCycle {
  static {
    applyAliases(this.prototype);
    // As a method it would need a name that every compiler can tell.
    Object.defineProperty(this.prototype, Symbol.for("Deno.customInspect"), {
      value: inspectBackend,
    });
  }

  /** Whom it takes messages for, and the origin of what it sends. */
  readonly deviceId: string;
  /** Says how to reach the Redis that it sends to. */
  readonly redisArgs: RedisArgs;
  /** The only target that is taken; `undefined` takes all. */
  protected readonly target: string | undefined;
  /** The limit for one message in bytes, where there is a special one. */
  protected readonly maxSize: number | undefined;
  /** Gives whole numbers beyond 2^53 as big integers. */
  protected readonly bigint: boolean;

  readonly #options: CheckedBackendOptions;
  #bus: Bus | undefined;
  #messageSender: MessageSender | undefined;
  #peerSender: PeerSender | undefined;
  #peerBrowser: PeerBrowser | undefined;
  #serviceAdvertiser: ServiceAdvertiser | undefined;
  #actions: Actions | undefined;
  #isClosed = false;

  /**
   * Makes a backend; nothing happens before it is started or sends.
   *
   * @param options Its identity, its servers and its limits; all have a default.
   * @throws {TypeError} If there is no such option, or it is of another kind.
   * @throws {RangeError} If a value makes no sense.
   * @throws {Deno.errors.NotCapable} If `deviceId` is missing or `*`, and the
   * host's name may not be read (`--allow-sys=hostname`).
   */
  constructor(options: BackendOptions = {}) {
    // Those of derived backends too: what they are given comes through here.
    const given = checkOptions("make the backend", options, BACKEND_OPTIONS);
    super(given, given.logger ?? createLogger("backend"));
    applyAliases(new.target.prototype);
    this.#options = given;
    this.target = given.deviceId === "*"
      ? undefined
      : given.deviceId || readHostName("make the backend");
    this.deviceId = this.target ?? readHostName("make the backend");
    this.redisArgs = given.redisArgs ?? {};
    const ignored = ignoredArguments(this.redisArgs);
    if (ignored.length > 0) {
      this.logger.debug(
        `Arguments for Redis without effect here: ${ignored.join(", ")}.`,
      );
    }
    this.maxSize = given.maxSize;
    this.bigint = given.bigint ?? false;
    this.#bus = given.bus;
    if (this.#bus !== undefined) lendDevice(this.#bus, this.deviceId);
    if (typeof given.postEvents === "object") {
      if (given.postEvents.type) serviceType(given.postEvents.type);
    }
  }

  /**
   * The bus that messages are posted to. One of its own is closed with the
   * backend, and then takes nothing any more.
   */
  get bus(): Bus {
    if (this.#bus !== undefined) return this.#bus;
    this.#bus = new Bus({
      deviceId: this.deviceId,
      daemon: this.daemon,
      ...(this.#options.logger && { logger: this.#options.logger }),
    });
    if (this.#isClosed) this.#bus.close();
    return this.#bus;
  }

  /**
   * Gives what tells it from others, for JSON and logs.
   *
   * @returns The name, device and queue; never `redisArgs`, which may hold a
   * password.
   */
  toJSON(): Record<string, unknown> {
    const { name, deviceId, queue } = this;
    return { name, deviceId, queue };
  }

  /** The queue to send to where none is named. */
  get queue(): string | readonly string[] {
    return DEFAULT_QUEUE;
  }

  /**
   * Lets the process end while the backend runs. Set it before the start, and
   * before the backend's own bus is used.
   *
   * @throws {Error} When it is set, and the backend has been started or its own
   * bus is in use.
   */
  override get daemon(): boolean {
    return super.daemon;
  }

  override set daemon(daemon: boolean) {
    if (this.#ownsBus && this.#bus !== undefined && daemon !== super.daemon) {
      throw new Error(
        "Cannot set `daemon`: the backend's bus is already in use; pass `daemon` to the constructor",
      );
    }
    super.daemon = daemon;
  }

  /**
   * Starts the backend, see {@linkcode LifeCycle.start}; with `postEvents` it
   * then looks for other hosts' services, and is stopped where it may not.
   *
   * @param options A `signal` that stops the backend if it is aborted before
   * that has started; then the promise rejects with its reason.
   * @throws {Error} If it was started or stopped before.
   * @throws {DOMException} An `AbortError` if it is stopped meanwhile.
   * @throws {TypeError} If an argument for Redis is unknown or wrong.
   * @throws {RedisError} If the server refuses this client. One that cannot be
   * reached is tried again.
   * @throws {Deno.errors.NotCapable} If Deno does not permit to use the network
   * (`--allow-net`) or to look at its interfaces (`--allow-sys`).
   */
  override async start(
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<void> {
    await super.start(options);
    const { postEvents } = this.#options;
    if (!postEvents || this.shouldStop()) return;
    const place = postEvents === true ? {} : postEvents;
    try {
      await this.#advertising().followPeers(this.#browsing(), place);
    } catch (error) {
      // Whoever is told that it has not started would not stop it.
      await this.stop();
      throw error;
    }
  }

  /**
   * Takes a message that has come in: posts it to the bus, or passes over it if
   * it is for another device.
   *
   * @param message The message, or its text or bytes.
   * @returns A promise that resolves when all subscribers have room for it.
   * @throws {MessageError} If it is no message.
   * @throws {BusError} If the bus was closed.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   */
  async onMessage(message: MessageInput): Promise<void> {
    const built = Message.build(message, {
      deviceId: this.deviceId,
      ...(this.maxSize !== undefined && { maxSize: this.maxSize }),
      bigint: this.bigint,
    });
    if (this.target !== undefined && built.target !== this.target) {
      this.logger.debug(`Passed over a message for "${built.target}".`);
      return;
    }
    await outsideRun(() => this.bus.post(built));
  }

  /**
   * Sends messages to a queue. Works before `start()` too.
   *
   * @param message One message, or several, which are sent all or none. A text,
   * or bytes, that is no message is sent as it is.
   * @param options The queue's name, or that, when they are due, and what keeps
   * duplicates out. Default: the backend's own queue, at once.
   * @returns Whether they were sent: `false` where others were with the key that
   * `deduplicate` names.
   * @throws {MessageError} If one of them is an object that is no message, or a
   * text that is too large.
   * @throws {TypeError} If there is no such option or it is of another kind, or an
   * argument for Redis is unknown or wrong.
   * @throws {RangeError} If they would be due in more than a year.
   * @throws {RedisError} If the server cannot be reached or refuses.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   */
  async sendMessage(
    message: MessageInput | readonly MessageInput[],
    options?: string | null | SendOptions,
  ): Promise<boolean> {
    const given = sendOptions("send the message", options);
    return await this.#sending().sendMessage(message, given);
  }

  /**
   * Sends an event.
   *
   * @param event The event, what it is made with, or the object, text or bytes
   * on the wire.
   * @param options The queue's name, or that, when it is due, and what keeps
   * duplicates out. Default: the backend's own queue, at once.
   * @returns The event as it was sent; one that is delayed has the time when it is
   * due. `undefined` where another was sent with the key that `deduplicate` names.
   * @throws {MessageError} If it is no event.
   * @throws {TypeError} If there is no such option or it is of another kind, or an
   * argument for Redis is unknown or wrong.
   * @throws {RangeError} If it would be due in more than a year.
   * @throws {RedisError} If the server cannot be reached or refuses.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   *
   * @example
   * ```ts
   * import { queueStatus, RedisBackend, startRedis } from "@platypush/redis";
   *
   * await using server = await startRedis();
   * const { redisArgs } = server;
   * await using backend = new RedisBackend({ redisArgs, deviceId: "hall" });
   * await backend.sendEvent({ args: { type: "custom.Motion" } }, "lights");
   * const { length } = await queueStatus(redisArgs, { queue: "lights" });
   * console.assert(length === 1);
   * ```
   */
  sendEvent(
    event: MessageInput | EventFields,
    options: SendOptions & { deduplicate: string },
  ): Promise<Event | undefined>;
  /** {@linkcode Backend.sendEvent}. */
  sendEvent(
    event: MessageInput | EventFields,
    options?: string | null | (SendOptions & { deduplicate?: undefined }),
  ): Promise<Event>;
  /** {@linkcode Backend.sendEvent}. */
  async sendEvent(
    event: MessageInput | EventFields,
    options?: string | null | SendOptions,
  ): Promise<Event | undefined> {
    const given = sendOptions("send the event", options);
    return await this.#sending().sendEvent(event, given);
  }

  /**
   * Takes a message back that was sent with a delay and is not due yet.
   *
   * @param id The id of the message, as `sendEvent()` has returned it.
   * @param queueName The queue it was sent to. Default: the backend's own.
   * @returns Whether it was still there, and will not come any more.
   * @throws {TypeError} If the id is no text, or an argument for Redis is unknown
   * or wrong.
   * @throws {RedisError} If the server cannot be reached or refuses.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   *
   * @example
   * ```ts
   * import { RedisBackend, startRedis } from "@platypush/redis";
   *
   * await using server = await startRedis();
   * await using backend = new RedisBackend({ redisArgs: server.redisArgs });
   * const off = { args: { type: "custom.LightOff" } };
   * const { id } = await backend.sendEvent(off, { delay: 300 });
   * console.assert(await backend.cancelMessage(id)); // somebody came back
   * ```
   */
  async cancelMessage(id: string, queueName?: string | null): Promise<boolean> {
    return await this.#sending().cancel(id, queueName);
  }

  /**
   * Sends a request and waits for the response. A failure that nobody waits for
   * ends no process: only the promise tells of it.
   *
   * @param request The request, what it is made with, or the object, text or
   * bytes on the wire.
   * @param options The time limit in seconds, the queue, schemas for the `args`
   * and the output, and whom to call.
   * @returns The response, also one that tells of errors; nothing where
   * `responseTimeout` is 0 or `null`.
   * @throws {DOMException} A `TimeoutError` if none came in time, an `AbortError`
   * if the backend was stopped, or `signal` was aborted without a reason of its
   * own.
   * @throws {MessageError} If the request or the response is no message.
   * @throws {SchemaError} If the `args` or the output do not fit their schema.
   * @throws {TypeError} If there is no such option or it is of another kind, or
   * an argument for Redis is unknown or wrong.
   * @throws {RangeError} If the time limit is no number of seconds.
   * @throws {RedisError} If the server cannot be reached or refuses.
   *
   * @example
   * ```ts
   * import { RedisBackend, startRedis } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * await using server = await startRedis();
   * const { redisArgs } = server;
   * await using backend = new RedisBackend({ redisArgs, deviceId: "hall" });
   * await assert.rejects(
   *   backend.sendRequest(
   *     { target: "attic", action: "light.on" },
   *     { queueName: "attic", responseTimeout: 0.01 },
   *   ),
   *   { name: "TimeoutError" }, // nobody is there
   * );
   * ```
   */
  sendRequest(
    request: MessageInput | RequestFields,
    options: SendRequestOptions & { responseTimeout: 0 | null },
  ): Promise<undefined>;
  /** {@linkcode Backend.sendRequest}. */
  sendRequest<Output = unknown>(
    request: MessageInput | RequestFields,
    options?: SendRequestOptions<Output>,
  ): Promise<Response<Output>>;
  /** {@linkcode Backend.sendRequest}. */
  sendRequest(
    request: MessageInput | RequestFields,
    options: SendRequestOptions = {},
  ): Promise<Response | undefined> {
    const response = this.#sendRequest(request, options);
    response.catch(() => {});
    return response;
  }

  /**
   * Answers a request: the response waits 60 s for whoever has sent it.
   *
   * @param response The response, what it is made with, or the object, text or
   * bytes on the wire.
   * @param request The request that it answers: it says to whom, and its id.
   * @returns The response as it was sent. Where the request did not say who has
   * sent it, the target is empty, and `null` on the wire.
   * @throws {MessageError} If the response or the request is none, or that has no
   * id.
   * @throws {TypeError} If an argument for Redis is unknown or wrong.
   * @throws {RedisError} If the server cannot be reached or refuses.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   *
   * @example
   * ```ts
   * import { RedisBackend, Request, startRedis } from "@platypush/redis";
   *
   * await using server = await startRedis();
   * const { redisArgs } = server;
   * await using backend = new RedisBackend({ redisArgs, deviceId: "hall" });
   * backend.bus.registerHandler(
   *   Request,
   *   (request) => backend.sendResponse({ output: "lit" }, request),
   *   { action: "light.on" },
   * );
   * await backend.start();
   * const { output } = await backend.sendRequest({ action: "light.on" });
   * console.assert(output === "lit");
   * ```
   */
  async sendResponse(
    response: MessageInput | Omit<ResponseFields, "target" | "id">,
    request: MessageInput | RequestFields,
  ): Promise<Response> {
    return await this.#sending().sendResponse(response, request);
  }

  /**
   * Sends messages to a peer: to its own queue, on its own Redis, as it
   * advertises them on the local network. A connection is kept for the next
   * message, and closed after a minute without any, or when this backend stops.
   *
   * @param peer The peer as `discover()` or `browse()` found it, or its device
   * id or the name of its service, which is then looked for.
   * @param message One message, or several, which are sent all or none. Where
   * one has no target, that is the peer.
   * @param options How to find the peer, and who we are there.
   * @throws {MessageError} If one of them is no message.
   * @throws {DOMException} A `NotFoundError` if there is no such peer, an
   * `AbortError` if the backend was stopped.
   * @throws {RedisError} If the peer's Redis cannot be reached or refuses, or
   * nothing proves that it is the peer's.
   * @throws {TypeError} If there is no such option or it is of another kind,
   * the peer is none, the type of service to look for is none, or an argument
   * for Redis is unknown or wrong.
   * @throws {RangeError} If the time to look is no number of seconds.
   * @throws {Deno.errors.NotCapable} If Deno does not permit to use the network
   * (`--allow-net`) or to look at its interfaces (`--allow-sys`).
   *
   * @example
   * ```ts
   * import { RedisBackend } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * await using backend = new RedisBackend({ deviceId: "hall" });
   * const motion = { type: "event", args: { type: "custom.Motion" } };
   * const options = { timeout: 0.1, interfaces: ["127.0.0.1"] };
   * await assert.rejects(
   *   backend.sendTo("attic", motion, options),
   *   { name: "NotFoundError" }, // nobody of that name is there
   * );
   * ```
   */
  async sendTo(
    peer: ServiceInfo | string,
    message: MessageInput | readonly MessageInput[],
    options: SendToOptions = {},
  ): Promise<void> {
    this.throwIfClosed();
    const { timeout, redisArgs, trust, ...place } = checkOptions(
      "send to the peer",
      options,
      SEND_TO_OPTIONS,
    );
    checkValue("send to the peer", "peer", peer, PEER);
    const knownPeers = knownPeersIn(this.#options.identity);
    const services = typeof peer === "string"
      ? await this.#browsing().find(
        peer,
        timeout,
        await isKnownDevice(peer, this.#options.peers, knownPeers),
        place,
      )
      : [peer];
    this.#peerSender ??= new PeerSender({
      deviceId: this.deviceId,
      queue: DEFAULT_QUEUE,
      redisArgs: this.redisArgs,
      knownPeers,
      onUnreachable: (peer) => this.#peerBrowser?.reconfirm(peer),
      daemon: this.daemon,
      logger: this.logger,
    });
    await this.#peerSender.send(services, listOf(message), ({ deviceId }) => ({
      ...peerOptions(this.#options.peers, deviceId),
      ...(redisArgs && { redisArgs }),
      ...(trust && { trust }),
    }));
  }

  /**
   * Answers requests: each one that arrives on the bus for this device and has
   * this action is executed with its `args`, and the response waits 60 s for
   * whoever has sent it. Where more than one name fits, the longest counts:
   * `lights.on`, then `lights.*`, then `*`, which stands for all.
   *
   * `output` is what the handler returns, converted as {@linkcode jsonValue}
   * describes, or `{ success: true }` for nothing; `errors` has the message of
   * what it throws, and never a stack trace. An action that takes longer than
   * its time limit is answered with an error, and no longer waited for. Its
   * signal is aborted then; whatever it does in spite of that is passed over.
   *
   * So many actions are executed at a time as `actionConcurrency` says, begun
   * in the order of their requests. The other requests wait, while other
   * messages do not have to wait for them.
   *
   * As long as any action is registered, the backend answers every request for
   * its device: also one for an unknown action, with an error that names the
   * nearest one, and one without the right `token`. An application that takes
   * requests off the bus by itself is left alone as long as it registers no
   * action. Once it registers one, it has to register all: otherwise two
   * answers would come.
   *
   * Whoever wants to know what the device can do asks for
   * `inspect.get_all_plugins`, as of a Platypush: the backend answers with all
   * actions, and with what their options say of them.
   *
   * From Redis, a request is acknowledged when its response was sent. If the
   * process dies before, the request is executed again by the next one:
   * `request.redelivered` says how often it was delivered before.
   *
   * @param name The action's name, such as `lights.on`, or `lights.*` for all
   * that begin so, or `*` for all.
   * @param handler Executes it, and gives the output.
   * @param options The time limit, in seconds, and what the action does, takes and
   * gives.
   * @returns A function that ends it; what is being executed is still answered.
   * @throws {TypeError} If the name is none, the handler is no function, or
   * there is no such option or it is of another kind.
   * @throws {RangeError} If the time limit makes no sense.
   * @throws {Error} If an action of this name is registered.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   *
   * @example
   * ```ts
   * import { RedisBackend, startRedis } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * await using server = await startRedis();
   * const { redisArgs } = server;
   * await using lamp = new RedisBackend({ redisArgs, deviceId: "lamp" });
   * const lit = new Set();
   * lamp.registerAction("lights.on", ({ room }) => {
   *   if (room === "attic") throw new Error("no light in the attic");
   *   return { lit: lit.add(room) };
   * });
   * await lamp.start();
   *
   * await using remote = new RedisBackend({ redisArgs, deviceId: "remote" });
   * const request = { target: "lamp", action: "lights.on" };
   * const good = await remote.sendRequest({ ...request, args: { room: "hall" } });
   * assert.deepEqual(good.output, { lit: ["hall"] });
   * const bad = await remote.sendRequest({ ...request, args: { room: "attic" } });
   * assert.deepEqual(bad.errors, ["no light in the attic"]);
   * ```
   */
  registerAction<Args = Record<string, unknown>>(
    name: string,
    handler: ActionHandler<Args>,
    options: ActionOptions<Args> = {},
  ): () => void {
    if (this.shouldStop()) throw stopped();
    return this.#acting().register(name, handler, options);
  }

  /** Answers requests, also with what any thread has registered on the bus. */
  protected answerRequests(): void {
    this.#acting();
  }

  #acting(): Actions {
    return this.#actions ??= new Actions({
      bus: this.bus,
      target: this.target,
      concurrency: this.#options.actionConcurrency,
      timeout: this.#options.actionTimeout,
      maxAge: this.#options.actionMaxAge,
      token: this.#options.token,
      daemon: this.daemon,
      respond: (response, request) => this.sendResponse(response, request),
      logger: this.logger,
    });
  }

  /**
   * Advertises the backend on the local network by Zeroconf. Doing so again
   * changes what is advertised.
   *
   * @param options The name, the port and the properties; everything has a default.
   * @returns The full name of the service, which may differ from the one asked
   * for where that was taken.
   * @throws {TypeError} If there is no such option or it is of another kind,
   * there is no port, or a name or property is not allowed.
   * @throws {RangeError} If the port is none, or a property does not fit a TXT
   * record.
   * @throws {Deno.errors.NotCapable} If Deno does not permit to use the network
   * (`--allow-net`) or to look at its interfaces (`--allow-sys`).
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   *
   * @example
   * ```ts
   * import { RedisBackend } from "@platypush/redis";
   *
   * await using backend = new RedisBackend({ deviceId: "livingroom" });
   * const name = await backend.registerService({
   *   interfaces: ["127.0.0.1"],
   *   properties: { room: "hall" },
   * });
   * console.log(name); // livingroom._platypush-redis._tcp.local.
   * ```
   */
  async registerService(
    options: RegisterServiceOptions = {},
  ): Promise<string> {
    this.throwIfClosed();
    const given = checkOptions(
      "register the service",
      options,
      SERVICE_OPTIONS,
    );
    const { properties, ...defaults } = withoutAliases(
      this.serviceDefaults(given),
      SERVICE_OPTIONS,
    );
    return await this.#advertising().register({
      ...defaults,
      ...given,
      properties: { ...properties, ...given.properties },
    });
  }

  /**
   * Changes what {@linkcode Backend.registerService} has advertised, and leaves
   * the rest: of the properties, those that are not named stay.
   *
   * @param changes The options of `registerService()` that are to be different.
   * @returns The full name of the service, which differs from the one before
   * where a new name or type was asked for.
   * @throws {TypeError} If there is no such option or it is of another kind, or
   * a name or property is not allowed.
   * @throws {RangeError} If the port is none, or a property does not fit a TXT
   * record.
   * @throws {Error} If no service is registered.
   * @throws {DOMException} An `AbortError` if the backend was stopped.
   *
   * @example
   * ```ts
   * import { RedisBackend } from "@platypush/redis";
   *
   * await using backend = new RedisBackend({ deviceId: "livingroom" });
   * await backend.registerService({
   *   interfaces: ["127.0.0.1"],
   *   properties: { room: "hall", floor: 1 },
   * });
   * // Still on 127.0.0.1, and in the hall.
   * await backend.updateService({ properties: { floor: 2 } });
   * ```
   */
  async updateService(changes: RegisterServiceOptions): Promise<string> {
    this.throwIfClosed();
    const given = checkOptions("update the service", changes, SERVICE_OPTIONS);
    return await this.#advertising().update(given);
  }

  /** Withdraws what {@linkcode Backend.registerService} has advertised. */
  async unregisterService(): Promise<void> {
    await this.#serviceAdvertiser?.unregister();
  }

  /**
   * Says what {@linkcode Backend.registerService} advertises where nothing else
   * is asked for.
   *
   * @param _given The options that `registerService()` was called with.
   * @returns Nothing here; classes may define what.
   */
  protected serviceDefaults(
    _given: RegisterServiceOptions,
  ): RegisterServiceOptions {
    return {};
  }

  /**
   * Waits for the actions that are being executed, withdraws the service, and
   * closes the connections and the backend's own bus.
   */
  protected override async close(): Promise<void> {
    await this.#actions?.close(this.stopTimeout);
    this.#isClosed = true;
    await this.#peerBrowser?.close();
    await this.#serviceAdvertiser?.unregister();
    await this.#peerSender?.close();
    await this.#messageSender?.close();
    await this.closeBus();
  }

  /** The bus, if it is in use. */
  protected get openBus(): Bus | undefined {
    return this.#bus;
  }

  /**
   * Counts registered actions, for the backend's `stats()`.
   *
   * @returns The counters and gauges of this moment.
   */
  protected actionStats(): Pick<
    BackendStats,
    "answered" | "actionsRunning" | "actionsWaiting"
  > {
    return this.#actions?.stats() ??
      { answered: 0, actionsRunning: 0, actionsWaiting: 0 };
  }

  /** Waits no longer for registered actions: their requests count as dropped. */
  protected abandonActions(): void {
    this.#actions?.abandon();
  }

  /** Waits no longer for who takes messages by `get()`, if the bus is the backend's own. */
  protected releaseBus(): void {
    if (this.#ownsBus) this.#bus?.release();
  }

  /** Closes the bus, if it is the backend's own. */
  protected async closeBus(): Promise<void> {
    if (this.#ownsBus) await this.#bus?.close();
  }

  get #ownsBus(): boolean {
    return this.#options.bus === undefined;
  }

  async #sendRequest(
    request: MessageInput | RequestFields,
    options: SendRequestOptions,
  ): Promise<Response | undefined> {
    this.throwIfClosed();
    const given = checkOptions("send the request", options, REQUEST_OPTIONS);
    return await this.#sending().sendRequest(request, given);
  }

  #browsing(): PeerBrowser {
    return this.#peerBrowser ??= new PeerBrowser({
      daemon: this.daemon,
      logger: this.logger,
    });
  }

  #advertising(): ServiceAdvertiser {
    return this.#serviceAdvertiser ??= new ServiceAdvertiser({
      name: this.constructor.name.replace(/Backend$/, "").toLowerCase(),
      deviceId: this.deviceId,
      redisArgs: this.redisArgs,
      identity: this.#options.identity,
      bus: this.bus,
      daemon: this.daemon,
      logger: this.logger,
    });
  }

  #sending(): MessageSender {
    this.throwIfClosed();
    return this.#messageSender ??= new MessageSender({
      deviceId: this.deviceId,
      queue: typeof this.queue === "string" ? this.queue : this.queue[0]!,
      redisArgs: this.redisArgs,
      daemon: this.daemon,
      maxSize: this.maxSize,
      bigint: this.bigint,
      logger: this.logger,
    });
  }

  /** Lets through what is sent while it stops, such as a last response. */
  protected throwIfClosed(): void {
    if (this.#isClosed) throw stopped();
  }
}

/** The members of {@linkcode BackendAliases}, which the class is given by a table. */
export interface Backend extends BackendAliases {}

/** Shows for `console.log` what JSON has. */
function inspectBackend(
  this: Backend,
  inspect: (value: unknown, options: unknown) => string,
  options: unknown,
): string {
  return `${this.constructor.name} ${inspect(this.toJSON(), options)}`;
}

/** Reads the options of sending, of which the queue's name may stand for all. */
function sendOptions(
  what: string,
  options: string | null | undefined | SendOptions,
): Checked<SendOptions> {
  const given = typeof options === "string" || options === null
    ? { queueName: options }
    : options ?? {};
  return checkOptions(what, given, SEND_OPTIONS);
}

function stopped(): DOMException {
  return new DOMException("The backend was stopped", "AbortError");
}
