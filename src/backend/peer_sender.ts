import type { Kind, Rows } from "../options.ts";
import { NAME, OBJECT, oneOf, required, TEXT, TEXTS } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import { address } from "../message/message.ts";
import { Message, type MessageInput } from "../message/mod.ts";
import {
  type ConnectOptions,
  Outbox,
  type RedisArgs,
  RedisError,
} from "../redis/mod.ts";
import { formatAddress } from "../redis/address.ts";
import { parseRedisArgs } from "../redis/settings.ts";
import { restate } from "../redis/redis_error.ts";
import { traceSending } from "../telemetry/mod.ts";
import { Alarm } from "../waiting.ts";
import { LOOK_TIMEOUT } from "../zeroconf/discover.ts";
import type { BrowserOptions, ServiceInfo } from "../zeroconf/mod.ts";
import type { KnownPeers } from "./identity.ts";
import type { PeerOptions } from "./peer_access.ts";
import { PROOF_TIMEOUT } from "./peer_proof.ts";
import { firstWay, type PeerWay } from "./peer_ways.ts";
import { propertyOf } from "../zeroconf/txt.ts";

/** Says how {@linkcode Backend.sendTo} finds a peer, and who we are there. */
export interface SendToOptions
  extends Pick<BrowserOptions, "type" | "interfaces"> {
  /** The longest time to look for a peer that is given by its name, in seconds. Default: 2. */
  timeout?: number;
  /**
   * Who we are on the peer's Redis, and perhaps where that is. Default: what the
   * backend's option `peers` says of the peer, and else nobody, unless the peer
   * speaks TLS with a certificate of a CA that our own `redisArgs` name.
   */
  redisArgs?: RedisArgs;
  /**
   * Says that messages and credentials may go to whoever has the peer's name;
   * see {@linkcode PeerOptions}.
   */
  trust?: "unproved";
}

/** A name, or what a browser has found. */
export const PEER: Kind = required({
  expected: "a name, or what discover() or browse() has found",
  accepts: (value) =>
    NAME.accepts(value) ||
    (OBJECT.accepts(value) && TEXT.accepts((value as ServiceInfo).deviceId)),
});

/** Every option of {@linkcode Backend.sendTo}. */
export const SEND_TO_OPTIONS: Rows<SendToOptions, "timeout"> = {
  timeout: LOOK_TIMEOUT,
  redisArgs: OBJECT,
  trust: oneOf("unproved"),
  type: TEXT,
  interfaces: TEXTS,
};

interface PeerSenderOptions {
  /** The origin of what is sent. */
  readonly deviceId: string;
  /** The queue of peers that do not tell theirs. */
  readonly queue: string;
  /** Says how the backend reaches its own Redis. */
  readonly redisArgs: RedisArgs;
  /** The keys that are remembered; none where there is nowhere to remember them. */
  readonly knownPeers: KnownPeers | undefined;
  /** Called with a peer that could not be reached. */
  onUnreachable(peer: ServiceInfo): void;
  /** Lets the process end while there are connections. */
  readonly daemon: boolean;
  /** Reports what happens. */
  readonly logger: Logger;
}

/** Changes with the addresses of a peer. */
function hostOf({ addresses, port }: ServiceInfo): string {
  return `${addresses.join()} ${port}`;
}

interface Open {
  readonly outbox: Outbox;
  pending: number;
  /** Closes the connection. */
  readonly idle: Alarm;
}

/** A connection waits so long for the next message, in seconds: the peer may have gone for good. */
const IDLE = 60;

/** Sends to the queues of peers, each on its own Redis, on connections that stay open. */
export class PeerSender implements AsyncDisposable {
  readonly #options: PeerSenderOptions;
  readonly #open = new Map<string, Open>();
  /** The addresses by which peers were reached. */
  readonly #reached = new Map<string, string>();
  #isClosed = false;

  constructor(options: PeerSenderOptions) {
    this.#options = options;
  }

  /**
   * Sends messages to the queue of a peer, all or none.
   *
   * @param peers Those that may be meant, the likeliest first.
   * @param messages The messages; where they have no target, it is the peer.
   * @param known Tells what is known of a peer beforehand.
   * @throws {MessageError} One of them is no message.
   * @throws {TypeError} One of `redisArgs` is unknown or wrong.
   * @throws {RedisError} The peer's Redis cannot be reached or refuses, it does
   * not prove that it is the peer's, or may not be shown the credentials that
   * were given for it.
   */
  async send(
    peers: readonly ServiceInfo[],
    messages: readonly MessageInput[],
    known: (peer: ServiceInfo) => PeerOptions,
  ): Promise<void> {
    const addressed = new Map<string, readonly Message[]>();
    for (const { deviceId } of peers) {
      if (addressed.has(deviceId)) continue;
      const each = messages.map((message) => this.#address(message, deviceId));
      addressed.set(deviceId, each);
    }
    const { redisArgs, knownPeers, logger } = this.#options;
    await firstWay({
      peers,
      redisArgs,
      known,
      knownPeers,
      logger,
      reached: (peer) => this.#reached.get(hostOf(peer)),
    }, async (way) => {
      await this.#sendBy(way, addressed.get(way.peer.deviceId)!);
      this.#reached.set(hostOf(way.peer), way.access.args.host ?? "");
    });
  }

  async #sendBy(
    { peer, access: { args }, proof: { greet, pin } }: PeerWay,
    messages: readonly Message[],
  ): Promise<void> {
    const { deviceId, queue = this.#options.queue } = peer;
    const key = JSON.stringify([
      args,
      greet && [deviceId, propertyOf(peer.properties, "key")],
    ]);
    let open: Open | undefined;
    try {
      open = this.#open.get(key) ??
        this.#connect(key, await pin?.() ?? args, greet);
      const { outbox } = open;
      open.pending++;
      open.idle.set(Infinity);
      await traceSending(
        queue,
        messages,
        (texts) => outbox.push(queue, texts),
      );
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      if (error.code === "connection") {
        this.#reached.delete(hostOf(peer));
        this.#options.onUnreachable(peer);
      }
      if (error.code === "tls" && open !== undefined) {
        await this.#close(key);
        // Where the certificate has changed since, that is the reason.
        await pin?.();
      }
      throw restate(error, {
        attempted: `send to "${deviceId}"`,
        place: formatAddress(parseRedisArgs(args).address),
        ...(error.code === "auth" && error.reply !== undefined &&
          args.password === undefined && {
          advice:
            "no credentials go to a peer that has not proved who it is; give those for it in the option `peers`",
        }),
      });
    } finally {
      if (open !== undefined && --open.pending === 0) open.idle.set(IDLE);
    }
  }

  /** Closes the connections; what is on its way rejects. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await Promise.all([...this.#open.keys()].map((key) => this.#close(key)));
  }

  /** The same as {@linkcode PeerSender.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #connect(
    key: string,
    args: RedisArgs,
    greet: ConnectOptions["greet"],
  ): Open {
    if (this.#isClosed) {
      throw new DOMException("The backend was stopped", "AbortError");
    }
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    const { daemon, logger } = this.#options;
    const outbox = new Outbox(args, {
      logger,
      daemon,
      connectionTimeout: parseRedisArgs(args).connectTimeout +
        (greet === undefined ? 0 : PROOF_TIMEOUT),
      ...(greet && { greet }),
    });
    const idle = new Alarm(() => this.#close(key));
    const open: Open = { outbox, idle, pending: 0 };
    this.#open.set(key, open);
    return open;
  }

  async #close(key: string): Promise<void> {
    const open = this.#open.get(key);
    this.#open.delete(key);
    open?.idle[Symbol.dispose]();
    await open?.outbox.close();
  }

  #address(input: MessageInput, peer: string): Message {
    const { deviceId } = this.#options;
    const message = Message.build(input, { deviceId, bigint: true });
    address(message, { target: peer });
    if (message.target !== peer) {
      this.#options.logger.warn(
        `Sending a message for "${message.target}" to "${peer}": it is taken only if "${peer}" accepts others' messages.`,
      );
    }
    return message;
  }
}
