import { whenAborted } from "../waiting.ts";
import { Buffer } from "node:buffer";
import { connect, type Socket } from "node:net";
import { setImmediate } from "node:timers";
// Loaded with the first connection that is encrypted.
import defer * as secure from "node:tls";
// Its parts alone: the client loads a file for each of the hundreds of commands.
import queue from "@redis/client/dist/lib/client/commands-queue.js";
import { PUBSUB_TYPE } from "@redis/client/dist/lib/client/pub-sub.js";
import {
  ClientClosedError,
  DisconnectsClientError,
  SocketClosedUnexpectedlyError,
} from "@redis/client/dist/lib/errors.js";
import { RESP_TYPES } from "@redis/client/dist/lib/RESP/decoder.js";
import { type Address, formatAddress } from "./address.ts";
import { Throughput } from "./health.ts";
import { readSecrets, type Secrets } from "./read_secrets.ts";
import type { Settings } from "./settings.ts";
import { RedisError, toRedisError } from "./redis_error.ts";
import { ProtocolError, ReplyScanner } from "./reply_scanner.ts";
import {
  type Facts,
  fitsCommand,
  isFacts,
  isNumber,
  pairs,
} from "./reply_shape.ts";

/** Says what {@linkcode ServerConnection} takes of a server, and who hears of its loss. */
export interface ServerOptions {
  /** The sockets do not keep the process alive. */
  daemon?: boolean;
  /** Gives up when aborted. */
  signal: AbortSignal;
  /** The largest answer that is wanted, in bytes. */
  maxReply?: number | undefined;
  /** Called once when the connection is lost, but not when it is closed. */
  onLost?: (server: ServerConnection) => void;
}

/** Hears which key has changed; `undefined` for any that was read. */
export type KeyListener = (key: string | undefined) => void;

/** Tells {@linkcode ServerConnection.send} how to read the reply. */
export interface ReplyOptions {
  /** Bulk replies are to be bytes. */
  readonly bytes?: boolean | undefined;
  /**
   * Tells whether a reply has the shape that it has to have; without it, what is
   * known of the command does.
   */
  readonly isReply?: ((reply: unknown) => boolean) | undefined;
}

/** Text as strings, and bulk replies as bytes. */
const AS_BYTES = { typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer } };
const AS_TEXT = { typeMapping: {} };

/** A connection is asked for signs of life by the kernel after so long a silence, in milliseconds. */
const KEEP_ALIVE_DELAY = 30_000;

const CONNECTING = "connect to Redis";

/** So much of what is to be sent is written at once, in bytes. */
const MAX_WRITTEN = 2 ** 16;

/** The oldest supported version: the first one with `LMOVE` and `LPOP` with a count. */
const OLDEST = [6, 2] as const;

/**
 * One connection to one server, from connecting to its loss. It never connects
 * again; that is the business of whoever made it.
 */
export class ServerConnection {
  readonly address: Address;
  /** The name of the server, as far as it tells that when it is greeted. */
  product: "Redis" | "Valkey" = "Redis";
  /** The server's version, such as `7.0.15`; empty where it may not be asked. */
  version = "";
  /** The server's role: `master`, `replica`, or empty where it may not be asked. */
  role = "";
  /** The number under which the server knows this connection. */
  id: number | undefined;
  /** The user's name, as it was given. */
  readonly user: string;
  /** Why it was lost, once it is. */
  loss: RedisError | undefined;
  /** Measures what the way from the server carries. */
  readonly throughput: Throughput = new Throughput();
  /** Follows what the server sends. */
  readonly scanner: ReplyScanner = new ReplyScanner();
  /** Writes commands in the protocol, and tells which reply belongs to which. */
  readonly #queue;
  #socket: Socket | undefined;
  #writing: ReturnType<typeof setImmediate> | undefined;
  readonly #protocol: Settings["protocol"];
  #onChangedKey: KeyListener | undefined;
  #isTracking: Promise<boolean> | undefined;
  #attempted = CONNECTING;
  /** Commands are only noted, between `MULTI` and its end. */
  #isQueueing = false;
  #abort = new AbortController();
  #onLost: ((server: ServerConnection) => void) | undefined;

  private constructor(
    address: Address,
    protocol: Settings["protocol"],
    user: string,
  ) {
    this.address = address;
    this.user = user;
    this.#protocol = protocol;
    this.#queue = new queue.default(protocol, undefined, () => {}, "");
    this.#queue.addPushHandler(([kind, keys]) => {
      if (String(kind) !== "invalidate") return false;
      for (const key of keys ?? [undefined]) {
        if (this.#abort.signal.aborted) break;
        this.#onChangedKey?.(key === undefined ? undefined : String(key));
      }
      return true;
    });
  }

  /** Connects, and introduces itself. What fails on the way is a loss. */
  async #connect(
    settings: Settings,
    { credentials, tls }: Secrets,
    daemon: boolean,
  ): Promise<void> {
    const options = {
      ...this.address,
      noDelay: true,
      keepAlive: settings.keepAlive,
      keepAliveInitialDelay: KEEP_ALIVE_DELAY,
    };
    const socket = this.#socket = tls === undefined
      ? connect(options)
      : secure.connect({ ...options, ...tls });
    if (daemon) socket.unref();
    socket.on("error", (error) => this.#lose(error));
    socket.on("close", () => this.#lose(new SocketClosedUnexpectedlyError()));
    socket.on("data", this.#read);
    socket.on("drain", this.#write);
    const event = tls === undefined ? "connect" : "secureConnect";
    await new Promise<void>((resolve) => socket.once(event, resolve));
    const commands = introduction(settings, credentials);
    await Promise.all(commands.map((command) => this.send(command)));
  }

  #lose(error: Error): void {
    const place = formatAddress(this.address);
    this.close(toRedisError(error, { attempted: this.#attempted, place }));
  }

  /** Looks at all bytes before they are decoded, which believes what they announce. */
  readonly #read = (chunk: Buffer): void => {
    try {
      this.scanner.scan(chunk);
      this.throughput.onBytes(chunk.length, this.scanner.begin === undefined);
      this.#queue.decoder.write(chunk);
    } catch (error) {
      if (error instanceof ProtocolError) {
        this.#distrust(error.message, error.advice);
        return;
      }
      const refusal = this.#attempted === CONNECTING && readDismissal(chunk);
      if (refusal) return this.#lose(refusal);
      // The queue stumbles over what it cannot read, and over answers to nothing.
      this.#distrust(
        "the server sent what answers no command",
        undefined,
        error,
      );
    }
  };

  /** Writes what there is, and goes on when the socket has room again. */
  readonly #write = (): void => {
    this.#writing = undefined;
    const socket = this.#socket!;
    if (!socket.writable || socket.writableNeedDrain) return;
    socket.cork();
    try {
      for (const parts of joined(this.#queue.commandsToWrite())) {
        for (const part of parts) socket.write(part);
        if (socket.writableNeedDrain) break;
      }
    } catch (error) {
      this.#lose(error as Error);
    } finally {
      socket.uncork();
    }
  };

  /** Gives up a server that has sent what no Redis would send. */
  #distrust(reason: string, advice?: string, cause?: unknown): RedisError {
    const error = new RedisError(
      {
        attempted: this.#attempted,
        place: formatAddress(this.address),
        reason,
        advice,
      },
      "connection",
      { cause },
    );
    this.close(error);
    return error;
  }

  /**
   * Connects, authenticates, selects the database and looks at the server.
   *
   * @throws {RedisError} Whatever went wrong; nothing is left behind.
   */
  static async open(
    address: Address,
    settings: Settings,
    options: ServerOptions,
  ): Promise<ServerConnection> {
    try {
      return await ServerConnection.#open(address, settings, options);
    } catch (error) {
      const { code, refused } = error as RedisError;
      const isHello = code === "unsupported" && refused === "unknown-command";
      if (!isHello || settings.protocol === 2) throw error;
      // HELLO may be switched off; version 2 of the protocol does without it.
      const old = { ...settings, protocol: 2 } as const;
      return await ServerConnection.#open(address, old, options);
    }
  }

  static async #open(
    address: Address,
    settings: Settings,
    options: ServerOptions,
  ): Promise<ServerConnection> {
    const { signal } = options;
    const what = {
      attempted: CONNECTING,
      place: formatAddress(address),
    };
    const secrets = await readSecrets(address, settings, options)
      .catch((error) => {
        throw signal.aborted ? closedError(what) : error;
      });
    if (signal.aborted) throw closedError(what);
    const server = new ServerConnection(
      address,
      settings.protocol,
      secrets.credentials.username ?? "default",
    );
    const isEncrypted = secrets.tls !== undefined;
    // One limit for all of it: a stopped server still accepts connections.
    const timer = setTimeout(
      () => server.close(lateError(what, settings, isEncrypted)),
      settings.connectTimeout * 1000,
    );
    if (options.daemon) Deno.unrefTimer(timer);
    using _closing = whenAborted(signal, () => server.close());
    try {
      const isDaemon = options.daemon ?? false;
      await Promise.race([
        server.#connect(settings, secrets, isDaemon),
        server.#closed,
      ]);
      await Promise.race([server.#inspect(), server.#closed]);
      server.#abort.signal.throwIfAborted();
      server.#onLost = options.onLost;
      server.#attempted = "stay connected to Redis";
      server.scanner.trust(options.maxReply);
      return server;
    } catch (error) {
      server.close();
      if (signal.aborted) throw closedError(what);
      const refusal = toRedisError(server.loss ?? error, what);
      throw isEncrypted ? refusal : suspectTls(refusal, what);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Rejects as soon as this side closes, since the client's promises may then never settle. */
  get #closed(): Promise<never> {
    const { signal } = this.#abort;
    return new Promise((_, reject) => {
      whenAborted(signal, () => reject(signal.reason));
    });
  }

  /** Learns version, role and connection number. HELLO needs no permission of its own. */
  async #inspect(): Promise<void> {
    try {
      const facts = pairs(
        await this.send<Facts>(["HELLO"], { isReply: isFacts }),
      );
      if (facts["server"] === "valkey") this.product = "Valkey";
      this.version = String(facts["version"] ?? "");
      this.role = String(facts["role"] ?? "");
      this.id = Number(facts["id"]);
    } catch (error) {
      if (toRedisError(error, INSPECTING).code === "connection") throw error;
      this.version = await this.#fromInfo("server", "redis_version");
      const role = await this.#fromInfo("replication", "role");
      this.role = role === "slave" ? "replica" : role;
      this.id = await this.send<number>(["CLIENT", "ID"], {
        isReply: isNumber,
      }).catch((error): undefined => {
        if (isDenied(error)) return undefined;
        throw error;
      });
    }
    await this.send(["PING"]).catch((error) => {
      // HELLO is answered while the server still loads its data; PING is not.
      if (!isDenied(error)) throw error;
    });
    if (!isSupported(this.version)) {
      throw new RedisError({
        attempted: "use the server",
        place: formatAddress(this.address),
        reason:
          `it is Redis ${this.version}, and the oldest supported version is ${
            OLDEST.join(".")
          }`,
      }, "unsupported");
    }
  }

  /** Reads a field of `INFO`; empty where it may not be asked. */
  async #fromInfo(section: string, field: string): Promise<string> {
    try {
      const info = await this.send<string>(["INFO", section]);
      return new RegExp(`^${field}:(\\S+)`, "m").exec(info)?.[1] ?? "";
    } catch (error) {
      // Without permission to ask, the first command that is missing tells.
      if (isDenied(error)) return "";
      throw error;
    }
  }

  /**
   * Sends one command; rejects with whatever the client reports. An answer of
   * another shape than the command's ends the connection.
   */
  async send<Reply>(
    args: readonly (string | Uint8Array)[],
    { bytes = false, isReply }: ReplyOptions = {},
  ): Promise<Reply> {
    if (this.#abort.signal.aborted) throw new ClientClosedError();
    const name = String(args[0]).toUpperCase();
    if (name === "MULTI") this.#isQueueing = true;
    if (name === "EXEC" || name === "DISCARD") this.#isQueueing = false;
    // Between MULTI and its end everything is answered alike.
    const isAny = this.#isQueueing;
    const sent: (string | Buffer)[] = [];
    for (const argument of args) {
      sent.push(typeof argument === "string" ? argument : toClient(argument));
    }
    let reply: unknown;
    try {
      const adding = this.#queue.addCommand(sent, bytes ? AS_BYTES : AS_TEXT);
      this.#writing ??= setImmediate(this.#write);
      reply = await adding;
    } catch (error) {
      if (name === "MULTI") this.#isQueueing = false;
      throw error;
    }
    const isFitting = isAny || (isReply?.(reply) ?? fitsCommand(name, reply));
    if (isFitting) return reply as Reply;
    throw this.loss ?? this.#distrust(
      `what came as the answer to ${name} has the shape of another one`,
    );
  }

  /** Listens to a channel (`SUBSCRIBE`). */
  async subscribe(
    channel: string,
    listener: (payload: Uint8Array) => void,
  ): Promise<void> {
    const { CHANNELS } = PUBSUB_TYPE;
    // Who closes in the middle of what has come hears nothing more of it.
    const heard = (payload: Uint8Array): void => {
      if (!this.#abort.signal.aborted) listener(payload);
    };
    const added = this.#queue.subscribe(CHANNELS, channel, heard, true);
    this.#writing ??= setImmediate(this.#write);
    await Promise.race([added, this.#closed]);
  }

  /**
   * Asks to be told when a key changes that is read from now on
   * (`CLIENT TRACKING`): once, until it is read again.
   *
   * @returns Whether the server and the user's rights allow it.
   */
  trackKeys(listener: KeyListener): Promise<boolean> {
    // Version 2 of the protocol has no way to tell.
    if (this.#protocol === 2) return Promise.resolve(false);
    this.#onChangedKey = listener;
    return this.#isTracking ??= this.send(["CLIENT", "TRACKING", "ON"]).then(
      () => true,
      (error) => {
        const { code } = toRedisError(error, INSPECTING, true);
        if (code === "permission" || code === "reply") return false;
        throw error;
      },
    );
  }

  /**
   * Gives the connection up; commands that wait for an answer reject.
   *
   * @param loss Why, where the connection is to count as lost.
   */
  close(loss?: RedisError): void {
    if (this.#abort.signal.aborted) return;
    this.loss = loss;
    this.#queue.flushAll(new DisconnectsClientError());
    this.#socket?.destroy();
    this.#abort.abort(
      loss ?? new RedisError("The connection to Redis was closed", "closed"),
    );
    if (loss !== undefined) this.#onLost?.(this);
  }
}

const INSPECTING = { attempted: "look at the server" };

/**
 * Tells whether the server does not let this user ask, or has renamed the
 * command.
 */
function isDenied(error: unknown): boolean {
  const { code } = toRedisError(error, INSPECTING);
  return code === "permission" || code === "reply";
}

function isBrokenOff(error: unknown): boolean {
  return error instanceof SocketClosedUnexpectedlyError ||
    (error as Error & { code?: unknown }).code === "ECONNRESET";
}

/** Makes the commands with which a connection begins, which are sent at once. */
function introduction(
  { protocol, clientName, db }: Settings,
  { username, password }: Secrets["credentials"],
): readonly (readonly string[])[] {
  const commands: string[][] = [];
  if (protocol === 3) {
    const auth = password ? ["AUTH", username ?? "default", password] : [];
    const name = clientName === undefined ? [] : ["SETNAME", clientName];
    commands.push(["HELLO", "3", ...auth, ...name]);
  } else {
    if (username !== undefined) {
      commands.push(["AUTH", username, password ?? ""]);
    } else if (password) commands.push(["AUTH", password]);
    if (clientName !== undefined) {
      commands.push(["CLIENT", "SETNAME", clientName]);
    }
  }
  if (db !== 0) commands.push(["SELECT", String(db)]);
  return commands;
}

/**
 * Joins the texts of commands that are sent at once: each is a call to the system.
 * What is given on ends with a command, since the client may never ask for more.
 */
function* joined(
  commands: Iterable<readonly (string | Buffer)[]>,
): Generator<(string | Buffer)[]> {
  let parts: (string | Buffer)[] = [""];
  let size = 0;
  for (const command of commands) {
    for (const part of command) {
      size += part.length;
      if (typeof part === "string") parts[parts.length - 1]! += part;
      else parts.push(part, "");
    }
    if (size < MAX_WRITTEN) continue;
    yield parts;
    parts = [""];
    size = 0;
  }
  if (size > 0) yield parts;
}

/** Reads why a server turns somebody away who has not asked for anything yet. */
function readDismissal(chunk: Buffer): Error | undefined {
  const [, text] = /^-([A-Z]+ [^\r\n]+)/.exec(chunk.toString("latin1")) ?? [];
  return text === undefined ? undefined : new Error(text);
}

/** The client only takes bytes that are a Buffer. */
function toClient({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}

/**
 * Tells whether a version, as the server writes it, is one that has everything
 * needed.
 */
export function isSupported(version: string): boolean {
  const [major, minor] = version.split(".").map(Number);
  if (version === "" || major === undefined || minor === undefined) return true;
  return major > OLDEST[0] || (major === OLDEST[0] && minor >= OLDEST[1]);
}

/** Names what was attempted, and the server. */
interface Attempt {
  readonly attempted: string;
  readonly place: string;
}

function closedError(what: Attempt): RedisError {
  const reason = "the connection was closed meanwhile";
  return new RedisError({ ...what, reason }, "closed");
}

function lateError(
  what: Attempt,
  { connectTimeout }: Settings,
  isEncrypted: boolean,
): RedisError {
  const doubt = isEncrypted ? " (does the server speak TLS?)" : "";
  const reason = `no answer within ${connectTimeout} s${doubt}`;
  const cause = new DOMException("", "TimeoutError");
  return new RedisError({ ...what, reason }, "connection", { cause });
}

/**
 * Says that the server may expect TLS, where it has ended a connection at once
 * that is not encrypted, as such a one does.
 */
function suspectTls(error: RedisError, what: Attempt): RedisError {
  if (!isBrokenOff(error.cause ?? error)) return error;
  return new RedisError(
    {
      ...what,
      reason: "the server broke the connection off",
      advice: "if it expects TLS, use `rediss://` or `ssl`",
    },
    "connection",
    { cause: error.cause },
  );
}
