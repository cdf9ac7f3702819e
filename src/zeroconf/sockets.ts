import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import type { EventEmitter } from "node:events";
import makeMulticastDns from "multicast-dns";
import type { Logger } from "../logger.ts";
import {
  type DnsRecord,
  RECORD_TYPES,
  type Send,
  type Source,
} from "./dns_message.ts";
import { encodeMessage } from "./encode_message.ts";
import { isOnLink, listInterfaces, type NetworkInterface } from "./network.ts";

const PORT = 5353;
const GROUP = { IPv4: "224.0.0.251", IPv6: "ff02::fb" } as const;
/** Milliseconds between two looks at the interfaces of the host. */
const LOOK_AGAIN = 2_000;

type Family = keyof typeof GROUP;

interface MulticastDns extends EventEmitter {
  destroy(callback: () => void): void;
}

interface OpenSocket {
  /** What has to be opened anew when it changes. */
  readonly key: string;
  readonly network: NetworkInterface;
  readonly family: Family;
  readonly socket: Socket;
  /** Whether what was sent last could not be sent. */
  isMute: boolean;
  close(): Promise<void>;
}

/** What {@linkcode Sockets} need. */
export interface SocketsOptions {
  /** Names or addresses of the interfaces to use. */
  interfaces?: readonly string[];
  /** Whether the sockets let the process end. */
  unref?: boolean;
  logger: Logger;
  /** Called with every packet that can be decoded. */
  onMessage(message: ReceivedMessage, source: Source): void;
  /** Called when an interface or address came or went. */
  onNetworkChange(): void;
}

/** A message as `multicast-dns` decodes it. */
export interface ReceivedMessage {
  id: number;
  type: "query" | "response";
  flag_tc: boolean;
  opcode: string;
  rcode: string;
  questions: { name: string; type: string; class: string }[];
  answers: ReceivedRecord[];
  authorities: ReceivedRecord[];
  additionals: ReceivedRecord[];
}

/** A record of any type as it came. */
export type ReceivedRecord = DnsRecord | {
  name: string;
  type: "OTHER";
  ttl: number;
  flush: boolean;
};

/**
 * The sockets of `multicast-dns`, one for each interface and IP version,
 * opened and closed as the interfaces come and go.
 */
export class Sockets {
  readonly #options: SocketsOptions;
  readonly #open = new Map<string, OpenSocket>();
  readonly #sending = new Set<Promise<void>>();
  #networks: NetworkInterface[] = [];
  #looking: Promise<void> | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #closed = false;
  #warned = false;

  constructor(options: SocketsOptions) {
    this.#options = options;
  }

  /** The interfaces on which packets are sent and received. */
  get networks(): readonly NetworkInterface[] {
    return this.#networks;
  }

  /** The interfaces and IP versions on which packets are sent, see {@linkcode channelOf}. */
  get channels(): string[] {
    return [...this.#open.values()].map(({ network, family }) =>
      `${network.name} ${family}`
    );
  }

  /**
   * Opens a socket on each interface, and keeps following the interfaces.
   *
   * @throws {Deno.errors.NotCapable} Deno does not permit it: unlike a missing
   * network, this does not come right by itself.
   */
  async open(): Promise<void> {
    const errors = await this.#look();
    if (this.#closed) return;
    const denied = errors.find((error) =>
      error instanceof Deno.errors.NotCapable
    );
    if (denied !== undefined && this.#open.size === 0) throw denied;
    this.#warnWithoutMulticast(errors);
    const timer = setInterval(() => {
      this.#looking ??= this.#look()
        .then((errors) => this.#warnWithoutMulticast(errors))
        .finally(() => this.#looking = undefined);
    }, LOOK_AGAIN);
    this.#timer = timer;
    if (this.#options.unref) Deno.unrefTimer(timer);
  }

  /** Sends a packet on one interface or on all, to the group or to one host. */
  readonly send: Send = (message, interfaceName, to) => {
    const packet = encodeMessage(message);
    for (const open of this.#open.values()) {
      const { network, family, socket } = open;
      if (interfaceName !== undefined && network.name !== interfaceName) {
        continue;
      }
      if (
        to !== undefined && to.address.includes(":") !== (family === "IPv6")
      ) {
        continue;
      }
      const address = to?.address ?? GROUP[family];
      const zone = family === "IPv6" && /^(fe80|ff02)/i.test(address)
        ? `%${network.name}`
        : "";
      const sent = new Promise<void>((resolve) => {
        socket.send(packet, to?.port ?? PORT, address + zone, (error) => {
          this.#noteSent(open, error);
          resolve();
        });
      }).finally(() => this.#sending.delete(sent));
      this.#sending.add(sent);
    }
  };

  /** Tells once that nothing can be sent on an interface, as where a firewall forbids it. */
  #noteSent(open: OpenSocket, error: Error | null): void {
    const isNews = error !== null && !open.isMute;
    open.isMute = error !== null;
    if (error === null) return;
    this.#options.logger[isNews ? "warn" : "debug"](
      `Cannot send on ${open.network.name}, so nobody there is found or hears of us; does a firewall forbid UDP port 5353? (${error.message})`,
    );
  }

  /** Closes all sockets once what was sent is on its way. */
  async close(): Promise<void> {
    this.#closed = true;
    clearInterval(this.#timer);
    await this.#looking;
    await Promise.all(this.#sending);
    const open = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(open.map((each) => each.close()));
  }

  /** Follows the interfaces; returns why some could not be used. */
  async #look(): Promise<unknown[]> {
    const networks = listInterfaces(this.#options.interfaces);
    const wanted = new Map(networks.flatMap(socketsFor));
    for (const [key, socket] of this.#open) {
      if (wanted.has(key)) continue;
      this.#open.delete(key);
      await socket.close();
    }
    const errors: unknown[] = [];
    let opened = false;
    for (const [key, [network, family]] of wanted) {
      if (this.#open.has(key)) continue;
      try {
        const socket = await this.#openOne(key, network, family);
        if (this.#closed) {
          await socket.close();
          return [];
        }
        this.#open.set(key, socket);
        opened = true;
      } catch (error) {
        errors.push(error);
      }
    }
    const changed = opened ||
      JSON.stringify(networks) !== JSON.stringify(this.#networks);
    this.#networks = networks;
    if (changed && !this.#closed) this.#options.onNetworkChange();
    return errors;
  }

  #warnWithoutMulticast(errors: readonly unknown[]): void {
    if (this.#open.size > 0) {
      this.#warned = false;
    } else if (!this.#warned) {
      this.#warned = true;
      const reason = errors[0] instanceof Error
        ? errors[0].message
        : "there is no network interface with an address";
      this.#options.logger.warn(
        `Cannot use multicast, so Zeroconf waits until it can: ${reason}.`,
      );
    }
  }

  async #openOne(
    key: string,
    network: NetworkInterface,
    family: Family,
  ): Promise<OpenSocket> {
    await requireNet(family);
    const { promise, resolve, reject } = Promise.withResolvers<OpenSocket>();
    const socket = createSocket({
      type: family === "IPv4" ? "udp4" : "udp6",
      reuseAddr: true,
    });
    if (this.#options.unref) socket.unref();
    const mdns: MulticastDns = makeMulticastDns({
      socket,
      ip: GROUP[family],
      multicast: false,
      bind: family === "IPv4" ? "0.0.0.0" : `${GROUP.IPv6}%${network.name}`,
    });
    const close = (): Promise<void> =>
      new Promise((done) => mdns.destroy(() => done()));
    mdns.on("error", (error: Error) => {
      close().finally(() => reject(error)).catch(() => {});
    });
    mdns.on(
      "warning",
      (error: Error) =>
        this.#options.logger.debug(
          `Ignored a packet or an error on ${network.name}: ${error.message}.`,
        ),
    );
    mdns.on("packet", (message: ReceivedMessage, from: RemoteInfo) => {
      if (this.#belongsTo(network, from.address)) {
        this.#receive(message, from, network.name);
      }
    });
    mdns.on("ready", () => {
      try {
        const local = family === "IPv4"
          ? network.ipv4[0]!.address
          : `::%${network.name}`;
        socket.addMembership(GROUP[family], local);
        socket.setMulticastInterface(local);
        socket.setMulticastTTL(255);
        socket.setMulticastLoopback(true);
        resolve({ key, network, family, socket, isMute: false, close });
      } catch (error) {
        close().then(() => reject(error));
      }
    });
    return await promise;
  }

  /**
   * A socket hears the group on every interface that any socket has joined,
   * except for IPv6, where it is bound to its own. The sender's network tells
   * them apart; a sender from none of them counts for the first.
   */
  #belongsTo(network: NetworkInterface, from: string): boolean {
    if (from.includes(":") || isOnLink(network, from)) return true;
    return network.name === this.#networks[0]?.name &&
      !from.startsWith("127.") &&
      !this.#networks.some((other) => isOnLink(other, from));
  }

  #receive(
    message: ReceivedMessage,
    { address, port }: RemoteInfo,
    interfaceName: string,
  ): void {
    // RFC 6762, section 18.3 and 18.11: other operations and errors are ignored.
    if (message.opcode !== "QUERY" || message.rcode !== "NOERROR") return;
    // RFC 6762, section 6: a response from another port is none.
    if (message.type === "response" && port !== PORT) return;
    if (!this.#closed) {
      this.#options.onMessage(message, { interfaceName, address, port });
    }
  }
}

/** Asks for the permission first: a socket without it fails where nobody can catch that. */
async function requireNet(family: Family): Promise<void> {
  const host = family === "IPv4" ? "0.0.0.0" : `[${GROUP.IPv6}]`;
  const { state } = await Deno.permissions.request({
    name: "net",
    host: `${host}:${PORT}`,
  });
  if (state === "granted") return;
  throw new Deno.errors.NotCapable(
    "Cannot use multicast: Deno does not let this program reach the network; run it with --allow-net",
  );
}

function socketsFor(
  network: NetworkInterface,
): [string, [NetworkInterface, Family]][] {
  const found: [string, [NetworkInterface, Family]][] = [];
  if (network.ipv4.length > 0) {
    const addresses = network.ipv4.map(({ address }) => address).join();
    found.push([`${network.name} ${addresses}`, [network, "IPv4"]]);
  }
  if (network.ipv6.some((address) => /^fe80:/i.test(address))) {
    found.push([`${network.name} IPv6`, [network, "IPv6"]]);
  }
  return found;
}

/** The types that the protocol here reads. */
export function isKnown(record: ReceivedRecord): record is DnsRecord {
  return (RECORD_TYPES as readonly string[]).includes(record.type);
}
