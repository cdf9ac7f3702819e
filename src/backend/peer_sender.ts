import { connect } from "node:net";
import type { Kind, Rows } from "../options.ts";
import {
  NAME,
  OBJECT,
  oneOf,
  required,
  SECONDS,
  TEXT,
  TEXTS,
} from "../kinds.ts";
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
import type { BrowserOptions, ServiceInfo } from "../zeroconf/mod.ts";
import { sleep } from "../waiting.ts";
import type { KnownPeers } from "./identity.ts";
import {
  type PeerAccess,
  peerAccess,
  type PeerOptions,
} from "./peer_access.ts";
import { firstProved, proofOf } from "./peer_proof.ts";

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
export const SEND_TO_OPTIONS: Rows<SendToOptions> = {
  timeout: SECONDS,
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

/**
 * The time that the next address of a peer waits for the one before it to
 * answer, in seconds.
 */
const HEAD_START = 0.25;

/** Changes with the addresses of a peer. */
function hostOf({ addresses, port }: ServiceInfo): string {
  return `${addresses.join()} ${port}`;
}

interface Open {
  readonly outbox: Outbox;
  pending: number;
  idle: ReturnType<typeof setTimeout> | undefined;
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
   * @param peer The peer, as it was found.
   * @param messages The messages; where they have no target, it is the peer.
   * @param known What is known of the peer beforehand.
   * @throws {MessageError} One of them is no message.
   * @throws {TypeError} One of `redisArgs` is unknown or wrong.
   * @throws {RedisError} The peer's Redis cannot be reached or refuses, it does
   * not prove that it is the peer's, or may not be shown the credentials that
   * were given for it.
   */
  async send(
    peer: ServiceInfo,
    messages: readonly MessageInput[],
    known: PeerOptions = {},
  ): Promise<void> {
    const addressed = messages.map((message) => this.#address(message, peer));
    const access = peerAccess(peer, this.#options.redisArgs, known);
    await firstProved(
      await this.#reach(peer, access.args),
      async (args) => {
        await this.#sendBy({ ...access, args }, peer, addressed, known);
        this.#reached.set(hostOf(peer), args.host ?? "");
      },
    );
  }

  async #sendBy(
    access: PeerAccess,
    peer: ServiceInfo,
    messages: readonly Message[],
    known: PeerOptions,
  ): Promise<void> {
    const { deviceId, queue = this.#options.queue } = peer;
    const { knownPeers, logger } = this.#options;
    const { args } = access;
    const { greet, pin } = await proofOf({
      peer,
      access,
      known,
      knownPeers,
      logger,
    });
    const key = JSON.stringify([
      args,
      greet && [deviceId, peer.properties["key"]],
    ]);
    let open: Open | undefined;
    try {
      open = this.#open.get(key) ??
        this.#connect(key, await pin?.() ?? args, greet);
      const { outbox } = open;
      open.pending++;
      clearTimeout(open.idle);
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
      if (open !== undefined && --open.pending === 0 && !this.#isClosed) {
        this.#rest(key, open);
      }
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

  /**
   * Sorts the ways to the peer where it has several addresses: the one that was
   * taken before, or that answers first, and then the others. At an address that
   * others have too, there may be somebody else.
   */
  async #reach(peer: ServiceInfo, args: RedisArgs): Promise<RedisArgs[]> {
    const candidates = peer.addresses.filter((each) =>
      !/^fe[89ab]/i.test(each)
    );
    if (candidates.length < 2 || !candidates.includes(args.host!)) {
      return [args];
    }
    const { connectTimeout } = parseRedisArgs(args);
    const reached = this.#reached.get(hostOf(peer)) ??
      await firstToAnswer(candidates, args.port!, connectTimeout) ?? args.host!;
    return [...new Set([reached, ...candidates])]
      .map((host) => ({ ...args, host }));
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
      connectionTimeout: parseRedisArgs(args).connectTimeout,
      ...(greet && { greet }),
    });
    const open: Open = { outbox, idle: undefined, pending: 0 };
    this.#open.set(key, open);
    return open;
  }

  #rest(key: string, open: Open): void {
    if (this.#open.get(key) !== open) return;
    open.idle = setTimeout(() => this.#close(key), IDLE * 1000);
    Deno.unrefTimer(open.idle);
  }

  async #close(key: string): Promise<void> {
    const open = this.#open.get(key);
    this.#open.delete(key);
    clearTimeout(open?.idle);
    await open?.outbox.close();
  }

  #address(input: MessageInput, { deviceId: peer }: ServiceInfo): Message {
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

/**
 * Finds out which of a peer's addresses leads to it: hosts announce also those
 * that others do not reach. The most promising one has a start on the others.
 */
async function firstToAnswer(
  addresses: readonly string[],
  port: number,
  timeout: number,
): Promise<string | undefined> {
  const end = new AbortController();
  const late = AbortSignal.any([
    end.signal,
    AbortSignal.timeout(timeout * 1_000),
  ]);
  const attempts = addresses.map(async (host, index) => {
    if (await sleep(index * HEAD_START, { signal: late })) throw late.reason;
    await answers(host, port, late);
    return host;
  });
  try {
    return await Promise.any(attempts);
  } catch {
    return undefined;
  } finally {
    end.abort();
  }
}

function answers(
  host: string,
  port: number,
  signal: AbortSignal,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const socket = connect({ host, port });
  const abort = (): void => void socket.destroy(signal.reason);
  signal.addEventListener("abort", abort);
  socket.once("connect", resolve);
  socket.once("error", reject);
  return promise.finally(() => {
    signal.removeEventListener("abort", abort);
    socket.destroy();
  });
}
