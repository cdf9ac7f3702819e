import { Bus, type BusOptions } from "../bus/mod.ts";
import { BUS_OPTIONS, type FilledBusOption } from "../bus/bus_options.ts";
import { readHostName } from "../permission.ts";
import { NAME, OBJECT } from "../kinds.ts";
import { createLogger, type Logger } from "../logger.ts";
import { MinuteReport, othersBefore } from "../minute_report.ts";
import {
  Event,
  Message,
  MessageError,
  type MessageInput,
  Request,
  type RequestFields,
  type Response,
} from "../message/mod.ts";
import {
  type Checked,
  checkOptions,
  notByNew,
  row,
  type Rows,
} from "../options.ts";
import {
  Connection,
  Outbox,
  type RedisArgs,
  RedisError,
} from "../redis/mod.ts";
import { formatAddress } from "../redis/address.ts";
import { BriefConnection } from "../redis/brief_connection.ts";
import { nodesOf } from "../redis/connect_to_server.ts";
import { isLoss, meansWrongServer, restate } from "../redis/redis_error.ts";
import { expandUrl } from "../redis/redis_args.ts";
import { backoff, retry, sleep } from "../waiting.ts";
import { readMessage, readResponse, refusalOf } from "./message_forms.ts";
import { REQUEST_OPTIONS, type SendRequestOptions } from "./message_sender.ts";

/** So many messages from the hub may wait for slow subscribers here. */
const MAX_WAITING = 10_000;
/** The shortest time between two looks for a hub, in seconds. */
const LOOK_INTERVAL = 1;

/** Says where the hub's bus is, for {@linkcode HubBus}, and how this one works. */
export interface HubBusOptions extends BusOptions {
  /** Leads to the hub's Redis. Default: `127.0.0.1:6379`. */
  redisArgs?: RedisArgs;
  /** The hub's `redis_queue`. Default: `platypush/bus`. */
  channel?: string;
}

const OPTIONS: Rows<HubBusOptions, FilledHubOption> = {
  ...BUS_OPTIONS,
  redisArgs: row(OBJECT, { aliases: ["redis_args"], default: {} }),
  channel: row(NAME, { aliases: ["redis_queue"], default: "platypush/bus" }),
};

/** Options that have the same default for everybody. */
type FilledHubOption = FilledBusOption | "redisArgs" | "channel";

const ANSWER_OPTIONS: Rows<
  Pick<SendRequestOptions, "responseTimeout" | "response_timeout">,
  "responseTimeout"
> = {
  responseTimeout: REQUEST_OPTIONS.responseTimeout,
};

/**
 * The event that a {@linkcode HubBus} dispatches when messages of the hub may
 * have been missed: a channel has no memory.
 *
 * @example
 * ```ts
 * import { GapEvent, HubBus, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using bus = await HubBus.open({ redisArgs: server.redisArgs });
 * bus.addEventListener("gap", (event) => {
 *   const { from, to } = event as GapEvent;
 *   console.log(`Missed what the hub said for ${to - from} s: asking again`);
 * });
 * ```
 */
export class GapEvent extends globalThis.Event {
  /** When the first message may have been missed, in seconds since the epoch. */
  readonly from: number;
  /** When the last one may have been missed, in seconds since the epoch. */
  readonly to: number;

  /**
   * Makes the event.
   *
   * @param from When it began, in seconds since the epoch.
   * @param to When it ended, in seconds since the epoch.
   */
  constructor(from: number, to: number) {
    super("gap");
    this.from = from;
    this.to = to;
  }
}

type HubKind = "channel" | "list" | "none";

/**
 * A bus that is one with the main bus of a running Platypush: what passes on the
 * hub's bus arrives here, and what is posted here, by any thread, the hub treats
 * as its own. The hub is one more subscriber: what it cannot be told has failed,
 * as with any handler, so that a {@linkcode RedisBackend} on this bus tries
 * again.
 *
 * ```text
 *  Platypush <-- PUBLISH -- posted on any Bus of this name, and not from the hub
 *      +-------- SUBSCRIBE -> HubBus.post -> every handler, worker and loop
 * ```
 *
 * Platypush before 1.1.3 has a list in place of the channel. Which of the two it
 * is, is found out: see {@linkcode HubBus.hub}. Such a hub can be told things; what
 * it says cannot be heard, since whoever takes a message off its list takes it
 * away from the hub.
 *
 * @example
 * ```ts
 * import { HubBus, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using bus = await HubBus.open({ redisArgs: server.redisArgs });
 * bus.on({ type: "custom.Motion" }, (event) => console.log(event.args.room));
 * await bus.post({ type: "event", args: { type: "custom.Door", open: true } });
 * console.assert(bus.hub === "none"); // no Platypush runs there
 * ```
 */
export class HubBus extends Bus {
  readonly #channel: string;
  readonly #deviceId: string | undefined;
  readonly #redisArgs: RedisArgs;
  readonly #logger: Logger;
  readonly #control: Connection;
  readonly #outbox: Outbox;
  readonly #fromHub = new WeakSet<Message>();
  readonly #echoes = new Map<string, number>();
  readonly #closed = new AbortController();
  #ear: Connection | undefined;
  #hub: HubKind = "none";
  #lookedAt = -Infinity;
  #waiting = 0;
  readonly #rubbish = new MinuteReport();
  #lostAt: number | undefined;
  #overflowAt: number | undefined;

  private constructor(
    given: Checked<HubBusOptions, FilledHubOption>,
    control: Connection,
  ) {
    if (control === undefined) throw notByNew("HubBus.open");
    const { redisArgs, channel, ...options } = given;
    super(options);
    this.#channel = channel;
    this.#deviceId = options.deviceId;
    this.#redisArgs = redisArgs;
    this.#logger = options.logger ?? createLogger("hub");
    this.#control = control;
    this.#outbox = new Outbox(redisArgs, {
      logger: this.#logger,
      daemon: options.daemon,
    });
    this.registerHandler(Message, (message) => this.#tell(message));
  }

  /**
   * Connects, and listens to the hub: what it says from then on arrives. A server
   * that cannot be reached is tried again.
   *
   * @param options How the bus works, and where the hub's Redis is.
   * @returns The bus. It is to be closed.
   * @throws {TypeError} When there is no such option or it is of another kind, or
   * an argument for Redis is unknown or wrong.
   * @throws {RangeError} When an option has a value that makes no sense.
   * @throws {RedisError} When the server refuses this client, such as to listen
   * to the channel.
   */
  static async open(options: HubBusOptions = {}): Promise<HubBus> {
    const given = checkOptions("open the hub's bus", options, OPTIONS);
    const { redisArgs, channel, daemon, logger } = given;
    const common = {
      daemon,
      logger: logger ?? createLogger("hub"),
      // In a cluster: a hub's list is there, and mostly its listeners are.
      key: channel,
    };
    const control = await Connection.connect(redisArgs, common);
    let bus: HubBus | undefined;
    try {
      bus = new HubBus(given, control);
      await bus.#listen(redisArgs, common);
      await bus.#look();
      await bus.ready();
      return bus;
    } catch (error) {
      await (bus ?? control).close();
      throw error;
    }
  }

  /**
   * Tells where the hub takes messages from, as far as is known: a `channel`, a
   * `list`, or `none` while no hub runs there. That is found out when it connects,
   * and again whenever nobody has taken a message.
   *
   * A hub with a list is recognised by its taking an event from it that is too
   * old to be looked at.
   */
  get hub(): "channel" | "list" | "none" {
    return this.#hub;
  }

  /**
   * Sends a request to the hub, and waits for its response. A hub that has just
   * started may not listen yet: as long as nobody has heard the request, it is
   * sent again. A failure that nobody waits for ends no process: only the promise
   * tells of it.
   *
   * @param request The request, what it is made with, or the object, text or
   * bytes on the wire. Its target is the hub's device id.
   * @param options The time limit in seconds, 5 by default.
   * @returns The response, also one that tells of errors; nothing where
   * `responseTimeout` is 0 or `null`, which wait for none.
   * @throws {DOMException} A `TimeoutError` when none came in time.
   * @throws {MessageError} When the request or the response is no message.
   * @throws {RangeError} When the time limit is no number of seconds.
   * @throws {RedisError} When the server refuses, or the bus was closed.
   *
   * @example
   * ```ts
   * import { HubBus, startRedis } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * await using server = await startRedis();
   * await using bus = await HubBus.open({ redisArgs: server.redisArgs });
   * await assert.rejects(
   *   bus.sendRequest(
   *     { target: "hub", action: "light.hue.on" },
   *     { responseTimeout: 0.05 },
   *   ),
   *   { name: "TimeoutError" }, // nobody is there
   * );
   * ```
   */
  sendRequest(
    request: MessageInput | RequestFields,
    options:
      & Pick<SendRequestOptions, "responseTimeout" | "response_timeout">
      & { responseTimeout: 0 | null },
  ): Promise<undefined>;
  /** {@linkcode HubBus.sendRequest}. */
  sendRequest(
    request: MessageInput | RequestFields,
    options?: Pick<SendRequestOptions, "responseTimeout" | "response_timeout">,
  ): Promise<Response>;
  /** {@linkcode HubBus.sendRequest}. */
  sendRequest(
    request: MessageInput | RequestFields,
    options: Pick<SendRequestOptions, "responseTimeout" | "response_timeout"> =
      {},
  ): Promise<Response | undefined> {
    const response = this.#request(request, options);
    response.catch(() => {});
    return response;
  }

  async #request(
    request: MessageInput | RequestFields,
    options: Pick<SendRequestOptions, "responseTimeout" | "response_timeout">,
  ): Promise<Response | undefined> {
    const { responseTimeout } = checkOptions(
      "send the request",
      options,
      ANSWER_OPTIONS,
    );
    const deviceId = this.#deviceId ?? readHostName("send the request");
    const message = readMessage(Request, request, { deviceId });
    if (!responseTimeout) {
      await this.#tell(message);
      return undefined;
    }
    const answered = new AbortController();
    const asking = this.#ask(String(message), answered.signal);
    try {
      const answer = this.#outbox.waitForResponse(
        message.id,
        responseTimeout,
        undefined,
        undefined,
        (payload) => refusalOf(payload, message, {}),
      );
      // What ends the asking for good ends the wait, too.
      const payload = await Promise.race([answer, asking.then(() => answer)]);
      return readResponse(payload, message, { deviceId });
    } finally {
      answered.abort();
    }
  }

  /** Closes the bus, and the connections to the hub's Redis. */
  override async close(): Promise<void> {
    this.#closed.abort();
    await super.close();
    await Promise.all([
      this.#ear?.close(),
      this.#outbox.close(),
      this.#control.close(),
    ]);
    this.#rubbish.stop();
  }

  /** Subscribes to the hub's channel, and to gaps. */
  async #listen(
    redisArgs: RedisArgs,
    options: { daemon: boolean; logger: Logger },
  ): Promise<void> {
    const ear = this.#ear = await Connection.connect(redisArgs, {
      ...options,
      // A way that carries nothing any more is noticed only after a while.
      onLost: (silence) => this.#lostAt ??= now() - silence,
      onReconnect: () => {
        // Their echoes went to nobody.
        this.#echoes.clear();
        this.#reportGap(this.#lostAt!, now());
        this.#lostAt = undefined;
        this.#look().catch(() => {});
      },
    });
    await ear.subscribe(this.#channel, (payload) => this.#hear(payload));
  }

  /** Takes what has passed on the hub's bus. */
  #hear(payload: Uint8Array): void {
    const text = new TextDecoder().decode(payload);
    if (this.#takeEcho(text)) return;
    if (this.#closed.signal.aborted) return;
    if (this.#waiting >= MAX_WAITING) {
      if (this.#overflowAt === undefined) {
        this.#logger.warn(
          `The hub says more than subscribers here handle: ${MAX_WAITING} messages wait, the next ones are missed.`,
        );
      }
      this.#overflowAt ??= now();
      return;
    }
    let message: Message;
    try {
      message = Message.build(text, {
        ...(this.#deviceId !== undefined && { deviceId: this.#deviceId }),
      });
    } catch (error) {
      if (!(error instanceof MessageError)) throw error;
      this.#rubbish.add((sum) => {
        this.#logger.warn(
          `What has passed on "${this.#channel}" is no message: ${error.message}${
            othersBefore(sum!)
          }.`,
        );
      }, 1);
      return;
    }
    this.#fromHub.add(message);
    this.#waiting++;
    this.post(message).then((receipt) => receipt.handled).catch((error) => {
      if (!this.#closed.signal.aborted) this.#logger.error(`${error.message}.`);
    }).finally(() => this.#settle());
  }

  #settle(): void {
    this.#waiting--;
    if (this.#overflowAt === undefined || this.#waiting > 0) return;
    this.#reportGap(this.#overflowAt, now());
    this.#overflowAt = undefined;
  }

  #reportGap(from: number, to: number): void {
    this.#logger.warn(
      `What the hub has said within ${
        (to - from).toFixed(1)
      } s may have been missed: its bus has no memory.`,
    );
    this.dispatchEvent(new GapEvent(from, to));
  }

  /** Tells the hub what was posted here; rejects where that is impossible. */
  async #tell(message: Message): Promise<void> {
    if (this.#fromHub.has(message)) return;
    const text = String(message);
    await retry(() => this.#send(text), {
      signal: this.#closed.signal,
      // A request that the hub may have heard could be executed twice.
      mayHelp: (error) =>
        error instanceof RedisError && error.isTransient &&
        !(error.mayHaveRun && message instanceof Request),
    });
  }

  /** Sends a request until somebody has heard it. */
  async #ask(text: string, answered: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([answered, this.#closed.signal]);
    for (let attempt = 0; !signal.aborted; attempt++) {
      try {
        if (await this.#send(text)) return;
      } catch (error) {
        const mayHelp = error instanceof RedisError && error.isTransient &&
          !error.mayHaveRun;
        if (!mayHelp && !signal.aborted) throw error;
      }
      await sleep(backoff(attempt, { longest: 0.5 }), { signal });
    }
  }

  /**
   * Sends a message to the hub.
   *
   * @returns Whether anybody has taken it, or may have.
   */
  async #send(text: string): Promise<boolean> {
    await this.#control.ready(this.#closed.signal);
    // In a cluster it could not be told whether anybody has heard it.
    if (this.#isCluster && this.#hub === "none") await this.#lookAgain();
    const isPublished = this.#hub === "channel" ||
      this.#hub === "none" && !this.#isCluster;
    if (isPublished && await this.#publish(text)) return true;
    // It may be another hub by now, or there may be one by now.
    if (this.#hub !== "list") await this.#lookAgain();
    if (this.#hub !== "list") return false;
    const length = await this.#control.command<number>(
      ["RPUSH", this.#channel, text],
    );
    // A hub with a list waits for messages; where they stay, it may be gone.
    if (length > 1) await this.#lookAgain().catch(() => {});
    return true;
  }

  /** Publishes a message; returns whether anybody has heard it, or may have. */
  async #publish(text: string): Promise<boolean> {
    await this.#expectMaster();
    this.#echoes.set(text, (this.#echoes.get(text) ?? 0) + 1);
    try {
      const heard = await this.#control.command<number>(
        ["PUBLISH", this.#channel, text],
      );
      const isHeard = heard > this.#ownEars;
      if (isHeard) this.#know("channel");
      // In a cluster only those on the same node are counted: it may be.
      return isHeard || this.#isCluster;
    } catch (error) {
      this.#takeEcho(text);
      throw error;
    }
  }

  /**
   * Fails at a master that has become a replica: others may still hear what is
   * said there, and the hub at the new master does not. It is no part of the command
   * that publishes: only what is lost before that may be sent again as a request.
   */
  async #expectMaster(): Promise<void> {
    if (this.#isCluster) return;
    try {
      // A command that writes, and that changes nothing.
      await this.#control.command(["LREM", this.#channel, "0", ""]);
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      if (isLoss(error) || meansWrongServer(error)) throw unsaid(error);
      // A master refuses this where it still passes on what is said: the disk is
      // full, this user may not, or the key is no list.
    }
  }

  /** Forgets one echo of a text; returns whether there was one to come. */
  #takeEcho(text: string): boolean {
    const count = this.#echoes.get(text);
    if (count === undefined) return false;
    if (count === 1) this.#echoes.delete(text);
    else this.#echoes.set(text, count - 1);
    return true;
  }

  /** Looks for the hub again, unless that was done just now. */
  async #lookAgain(): Promise<void> {
    const elapsed = (performance.now() - this.#lookedAt) / 1000;
    if (elapsed < LOOK_INTERVAL) return;
    await this.#look().catch((error) => {
      throw error instanceof RedisError ? unsaid(error) : error;
    });
  }

  /** Finds out how the hub takes messages. */
  async #look(): Promise<void> {
    this.#lookedAt = performance.now();
    try {
      this.#know(await this.#find());
    } catch (error) {
      // Where this user may not ask, the hub is taken for a current one.
      if ((error as RedisError).code !== "permission") throw error;
      this.#know("channel");
    }
  }

  get #isCluster(): boolean {
    return this.#redisArgs.cluster !== undefined;
  }

  /** The number of those who listen at the server that messages are sent to, and are us. */
  get #ownEars(): number {
    // It may still be at a master that has become a replica.
    return Number(this.#earAt === formatAddress(this.#control.address));
  }

  /** Asks the other nodes of a cluster for listeners, each once. */
  async #isHeardElsewhere(question: readonly string[]): Promise<boolean> {
    const { signal } = this.#closed;
    const nodes = await nodesOf(this.#redisArgs, signal);
    const { cluster: _, ...args } = expandUrl(this.#redisArgs);
    const counts = await Promise.allSettled(
      nodes.filter((node) =>
        formatAddress(node) !== formatAddress(this.#control.address)
      ).map(async (node) => {
        using connection = await BriefConnection.open(
          { ...args, ...node },
          { signal },
        );
        const [, count] = await connection.command<[string, number]>(question);
        return count - Number(formatAddress(node) === this.#earAt);
      }),
    );
    return counts.some((count) =>
      count.status === "fulfilled" && count.value > 0
    );
  }

  /** The server at which it listens. */
  get #earAt(): string | undefined {
    const ear = this.#ear!;
    return ear.isConnected ? formatAddress(ear.address) : undefined;
  }

  #know(hub: HubKind): void {
    if (hub === this.#hub) return;
    this.#hub = hub;
    this.#logger.info(
      hub === "none"
        ? `No hub listens to "${this.#channel}".`
        : `The hub takes messages from the ${hub} "${this.#channel}".`,
    );
  }

  async #find(): Promise<HubKind> {
    const channel = this.#channel;
    const question = ["PUBSUB", "NUMSUB", channel];
    const [, listeners] = await this.#control.command<[string, number]>(
      question,
    );
    if (listeners > this.#ownEars) return "channel";
    if (this.#isCluster && await this.#isHeardElsewhere(question)) {
      return "channel";
    }
    const type = await this.#control.command<string>(["TYPE", channel]);
    if (type === "list") return "list";
    if (type !== "none") return "none";
    // No hub looks at an event as old as this, and one with a list takes it.
    const probe = String(
      new Event({
        target: "nobody",
        origin: "nobody",
        timestamp: 0,
        args: { type: "platypush.message.event.Event" },
      }),
    );
    await this.#control.command(["RPUSH", channel, probe]);
    const left = await this.#control.command<number>(
      ["LREM", channel, "0", probe],
    );
    return left === 0 ? "list" : "none";
  }
}

/** A failure of what comes before a message: itself, it was not sent. */
function unsaid(error: RedisError): RedisError {
  return restate(error, { mayHaveRun: false });
}

function now(): number {
  return Date.now() / 1000;
}
