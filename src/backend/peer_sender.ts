import type { Kind, Rows } from "../options.ts";
import { NAME, OBJECT, required, SECONDS, TEXT, TEXTS } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import { Message, type MessageInput, newId } from "../message/mod.ts";
import { Outbox, type RedisArgs, RedisError } from "../redis/mod.ts";
import { formatAddress } from "../redis/address.ts";
import { expandUrl } from "../redis/redis_args.ts";
import { parseRedisArgs } from "../redis/parse_redis_args.ts";
import { restate } from "../redis/redis_error.ts";
import { traceSending } from "../telemetry/mod.ts";
import type { ServiceInfo } from "../zeroconf/mod.ts";
import type { PeerPlace } from "./peer_browser.ts";

/** How {@linkcode Backend.sendTo} finds a peer, and who we are there. */
export interface SendToOptions extends PeerPlace {
  /** How long to look for a peer that is given by its name, in seconds. Default: 2. */
  timeout?: number;
  /**
   * The user, the password and the `ssl_…` arguments for the peer's Redis.
   * Where it is missing, the backend's own are used, with its time limits; its
   * host, port, database and sentinels are not. Whoever announces a service
   * under a name gets to see the password that is sent there: have the peers
   * speak TLS where the network is not trusted, or pass `{}` to send none.
   */
  redisArgs?: RedisArgs;
}

/** What stands for a peer. */
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
  type: TEXT,
  interfaces: TEXTS,
};

/** What {@linkcode PeerSender} has to know of its backend. */
export interface PeerSenderOptions {
  /** The origin of what is sent. */
  readonly deviceId: string;
  /** The queue of peers that do not tell theirs. */
  readonly queue: string;
  /** How the backend reaches its own Redis. */
  readonly redisArgs: RedisArgs;
  /** Whether connections leave the process free to end. */
  readonly daemon: boolean;
  /** Where to report what happens. */
  readonly logger: Logger;
}

interface Open {
  readonly outbox: Outbox;
  pending: number;
  idle: ReturnType<typeof setTimeout> | undefined;
}

/** How long a connection waits for the next message, in seconds: the peer may have gone for good. */
const IDLE = 60;

/** What holds for every server: who we are, how TLS is spoken, how long to wait. */
const PERSONAL = [
  "username",
  "password",
  "ssl",
  "ssl_ca_certs",
  "ssl_ca_data",
  "ssl_certfile",
  "ssl_keyfile",
  "ssl_password",
  "ssl_cert_reqs",
  "ssl_check_hostname",
  "socket_timeout",
  "socket_connect_timeout",
  "socket_keepalive",
  "health_check_interval",
  "client_name",
  "protocol",
] as const satisfies readonly (keyof RedisArgs)[];

/** Sends to the queues of peers, each on its own Redis, on connections that stay open. */
export class PeerSender implements AsyncDisposable {
  readonly #options: PeerSenderOptions;
  readonly #open = new Map<string, Open>();
  #isClosed = false;

  /** @param options What it has to know of its backend. */
  constructor(options: PeerSenderOptions) {
    this.#options = options;
  }

  /**
   * Sends messages to the queue of a peer, all or none.
   *
   * @param peer The peer, as it was found.
   * @param messages The messages; where they have no target, it is the peer.
   * @param redisArgs Who we are there. Default: who we are on our own Redis.
   * @throws {MessageError} One of them is no message.
   * @throws {TypeError} One of `redisArgs` is unknown or wrong.
   * @throws {RedisError} The peer's Redis cannot be reached or refuses.
   */
  async send(
    peer: ServiceInfo,
    messages: readonly MessageInput[],
    redisArgs: RedisArgs = this.#options.redisArgs,
  ): Promise<void> {
    const addressed = messages.map((message) => this.#address(message, peer));
    const { deviceId, redisUrl, queue = this.#options.queue } = peer;
    if (redisUrl === undefined) {
      throw new RedisError({
        attempted: `send to "${deviceId}"`,
        reason:
          "it does not say where the network reaches its Redis, perhaps because that listens on a Unix socket only",
      }, "connection");
    }
    const args = { ...personal(redisArgs), url: redisUrl };
    const key = JSON.stringify(args);
    const open = this.#connect(key, args);
    open.pending++;
    clearTimeout(open.idle);
    try {
      await traceSending(
        queue,
        addressed,
        (texts) => open.outbox.push(queue, texts),
      );
    } catch (error) {
      throw error instanceof RedisError
        ? restate(error, {
          attempted: `send to "${deviceId}"`,
          place: formatAddress(parseRedisArgs(args).address),
        })
        : error;
    } finally {
      if (--open.pending === 0 && !this.#isClosed) this.#rest(key, open);
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

  #connect(key: string, args: RedisArgs): Open {
    if (this.#isClosed) {
      throw new DOMException("The backend was stopped", "AbortError");
    }
    const known = this.#open.get(key);
    if (known !== undefined) return known;
    const { daemon, logger } = this.#options;
    const outbox = new Outbox(args, {
      logger,
      unref: daemon,
      connectionTimeout: parseRedisArgs(args).connectTimeout,
    });
    const open: Open = { outbox, idle: undefined, pending: 0 };
    this.#open.set(key, open);
    return open;
  }

  #rest(key: string, open: Open): void {
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
    // An id that nobody has shows what was missing.
    const missing = newId();
    const message = Message.build(input, { deviceId: missing });
    if (message.target === missing) message.target = peer;
    if (message.origin === missing) message.origin = this.#options.deviceId;
    if (message.target !== peer) {
      this.#options.logger.warn(
        `Sending a message for "${message.target}" to "${peer}": it is taken only if "${peer}" accepts others' messages.`,
      );
    }
    return message;
  }
}

function personal(redisArgs: RedisArgs): RedisArgs {
  parseRedisArgs(redisArgs);
  const args = expandUrl(redisArgs);
  return Object.fromEntries(
    PERSONAL.filter((name) => args[name] !== undefined)
      .map((name) => [name, args[name]]),
  );
}
