import type { Buffer } from "node:buffer";
import type { RemoteInfo, Socket } from "node:dgram";
// Loaded with the first socket, as most programs are not on the network.
import defer * as dgram from "node:dgram";
import type { PacketSource, Send } from "./dns_message.ts";
import {
  addressesOf,
  allInterfaces,
  isLinkLocal,
  isOnLink,
  isSameInterface,
  type NetworkInterface,
} from "./interfaces.ts";
import { encodeMessage } from "./wire_format.ts";

const PORT = 5353;
const GROUP = { IPv4: "224.0.0.251", IPv6: "ff02::fb" } as const;
/** Milliseconds between two looks at the interfaces of the host, and where an address is on trial. */
const LOOK_AGAIN = 3_000;
const LOOK_SOON = 500;
/**
 * Milliseconds by which the clock may run apart from the time of day, or a look
 * may be late, before the host counts as having slept.
 */
const SLEPT = 4_000;
/** The most bytes in a packet (RFC 6762, section 17). */
const MAX_PACKET = 9_000;
/** Bytes that Deno makes room for anew with each packet that it reads. */
const DENO_RECEIVE_BUFFER = 65_536;

/** The most senders of which it is remembered on which interface they are. */
const MAX_SENDERS = 1_000;

type Family = keyof typeof GROUP;

/** Holds what one interface has for one IP version. */
interface Channel {
  readonly network: NetworkInterface;
  readonly family: Family;
  /** Sends everything, and hears what is for this host alone. */
  readonly sender: Socket;
  /** Hears the group; for IPv4, one socket hears it on all interfaces. */
  readonly receiver: Socket | undefined;
  /** True if what was sent last could not be sent. */
  isMute: boolean;
  /** When what we sent to ourselves came last, or it was opened; never where it cannot come. */
  heardItselfAt: number;
}

/** Gives {@linkcode Sockets} what they need. */
interface SocketsOptions {
  /** Chooses the interfaces to use from all that there are. */
  choose(all: readonly NetworkInterface[]): readonly NetworkInterface[];
  /** Names those that are asked for and not there. */
  missing?(): readonly string[];
  /** Called for what whoever runs the program has to know, and with why it is so. */
  warn(text: string, error?: unknown): void;
  debug(text: string, error?: unknown): void;
  /** Called with every packet that may be meant for us. */
  onPacket(packet: Uint8Array, source: PacketSource): void;
  /**
   * Called when interfaces came, went or changed.
   *
   * @param changed The names of those that may lead elsewhere than before.
   * @param hasSlept Whether the host has slept, or this process stood still.
   */
  onNetworkChange(changed: ReadonlySet<string>, hasSlept: boolean): void;
}

/**
 * The sockets of the process, opened and closed as the interfaces come and go.
 *
 * Each interface has one for each IP version that is bound to its own address:
 * it sends, and what it hears was sent to this host alone. What is sent to the
 * group is heard by others, so that the two are told apart (RFC 6762,
 * section 11).
 */
export class Sockets {
  readonly #options: SocketsOptions;
  readonly #channels = new Map<string, Channel>();
  readonly #sending = new Set<Promise<void>>();
  #group: Socket | undefined;
  #all: readonly NetworkInterface[] = [];
  #own: ReadonlySet<string> = new Set();
  #networks: readonly NetworkInterface[] = [];
  /**
   * Remembers the network of each sender, which is found out once, as long as
   * nothing changes.
   */
  readonly #networkBySender = new Map<string, NetworkInterface | undefined>();
  /** A packet that says nothing, by which we know it as our own. */
  readonly #ourselves = new Uint8Array(28);
  #looking: Promise<unknown[]> = Promise.resolve([]);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOpen = false;
  #isDaemon = true;
  #isClosed = false;
  #hasWarned = false;
  /** By how many milliseconds the time of day is ahead of the clock. */
  #ahead = Date.now() - performance.now();
  #lookedAt = performance.now();

  constructor(options: SocketsOptions) {
    this.#options = options;
    crypto.getRandomValues(this.#ourselves.subarray(12));
  }

  /** The interfaces on which packets are sent and received. */
  get networks(): readonly NetworkInterface[] {
    return this.#networks;
  }

  /** The interfaces and IP versions on which packets are sent, see {@linkcode channelOf}. */
  get channels(): string[] {
    return [...this.#channels.values()].map(({ network, family }) =>
      `${network.name} ${family}`
    );
  }

  /** Tells whether what is sent to this host alone is heard by this process. */
  get hearsUnicast(): boolean {
    const since = performance.now() - 2 * LOOK_AGAIN;
    return [...this.#channels.values()].every(({ heardItselfAt }) =>
      heardItselfAt > since
    );
  }

  /**
   * Opens what the interfaces need that are chosen now, and follows them.
   *
   * @param isDaemon Whether the process may end meanwhile.
   * @throws {Deno.errors.NotCapable} Deno does not permit it: unlike a missing
   * network, this does not come right by itself.
   */
  async open(isDaemon: boolean): Promise<void> {
    this.#isDaemon = isDaemon;
    const errors = await this.#lookInTurn();
    if (this.#isClosed) return;
    const denied = errors.find((error) =>
      error instanceof Deno.errors.NotCapable
    );
    if (denied !== undefined && this.#channels.size === 0) throw denied;
    this.#isOpen = true;
    this.#lookAgain(errors);
  }

  /** Says whether the process may end while this is open. */
  set daemon(isDaemon: boolean) {
    this.#isDaemon = isDaemon;
    if (this.#timer !== undefined) {
      (isDaemon ? Deno.unrefTimer : Deno.refTimer)(this.#timer);
    }
  }

  /** Sends a packet on one interface or on all, to the group or to one host. */
  readonly send: Send = (message, interfaceName, to) => {
    const packet = encodeMessage(message);
    for (const channel of this.#channels.values()) {
      const { network, family, sender } = channel;
      if (interfaceName !== undefined && network.name !== interfaceName) {
        continue;
      }
      if (
        to !== undefined && to.address.includes(":") !== (family === "IPv6")
      ) {
        continue;
      }
      const address = to?.address ?? GROUP[family];
      const zone = /^(fe[89ab]|ff02)/i.test(address) && !address.includes("%")
        ? `%${network.name}`
        : "";
      const sent = new Promise<void>((resolve) => {
        sender.send(packet, to?.port ?? PORT, address + zone, (error) => {
          this.#noteSent(channel, error);
          resolve();
        });
      }).finally(() => this.#sending.delete(sent));
      this.#sending.add(sent);
    }
  };

  /** Closes all sockets once what was sent is on its way. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    await this.#looking;
    await Promise.all(this.#sending);
    const channels = [...this.#channels.values()];
    this.#channels.clear();
    await Promise.all([
      ...channels.map(closeChannel),
      this.#group && closeSocket(this.#group),
    ]);
  }

  /** Tells once that nothing can be sent on an interface, as where a firewall forbids it. */
  #noteSent(channel: Channel, error: Error | null): void {
    const isNews = error !== null && !channel.isMute;
    // The next look opens and closes what it has to, and then this is seen anew.
    const { name } = channel.network;
    const isPassing = isNews && this.#hasChanged(name);
    channel.isMute = error !== null && !isPassing;
    if (error === null) return;
    this.#options[isNews && !isPassing ? "warn" : "debug"](
      `Cannot send on ${name}, so nobody there is found or hears of us; is it down, or does a firewall forbid UDP port ${PORT}? (${error.message}).`,
      error,
    );
  }

  /** Tells whether an interface is no longer as the last look has found it. */
  #hasChanged(name: string): boolean {
    const [before, now] = [this.#networks, allInterfaces()].map((networks) =>
      networks.find((each) => each.name === name)
    );
    return !isSameInterface(before, now);
  }

  #lookAgain(errors: readonly unknown[]): void {
    if (this.#isClosed) return;
    this.#warnWithoutMulticast(errors);
    const delay = errors.some(isOnTrial) ? LOOK_SOON : LOOK_AGAIN;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(
      () => this.#lookInTurn().then((errors) => this.#lookAgain(errors)),
      delay,
    );
    this.daemon = this.#isDaemon;
  }

  #lookInTurn(): Promise<unknown[]> {
    return this.#looking = this.#looking.then(() => this.#look());
  }

  /** Follows the interfaces; returns why some could not be used. */
  async #look(): Promise<unknown[]> {
    if (this.#isClosed) return [];
    const before = new Map(this.#networks.map((each) => [each.name, each]));
    this.#all = allInterfaces();
    this.#own = new Set(this.#all.flatMap(addressesOf));
    const networks = this.#options.choose(this.#all);
    const changed = new Set(
      networks.filter((each) => !isSameInterface(each, before.get(each.name)))
        .map(({ name }) => name),
    );
    const isElsewhere = before.size !== networks.length;
    const hasSlept = this.#hasSlept();
    if (hasSlept) { for (const { name } of networks) changed.add(name); }
    const wanted = new Map(networks.flatMap(channelsOf));
    for (const [key, channel] of this.#channels) {
      if (wanted.has(key)) continue;
      this.#channels.delete(key);
      await closeChannel(channel);
    }
    const errors: unknown[] = [];
    for (const [key, [network, family]] of wanted) {
      if (this.#channels.has(key)) continue;
      try {
        const channel = await this.#openChannel(network, family);
        this.#channels.set(key, channel);
        changed.add(network.name);
      } catch (error) {
        errors.push(error);
        this.#options.debug(
          `Cannot use ${network.name} by ${family}: ${
            (error as Error).message
          }.`,
          error,
        );
      }
    }
    this.#networks = networks;
    this.#networkBySender.clear();
    this.#sendToOurselves();
    if ((changed.size > 0 || isElsewhere) && !this.#isClosed) {
      this.#options.onNetworkChange(changed, hasSlept);
    }
    return errors;
  }

  /**
   * Sends a packet to ourselves on each channel. Where several processes have
   * bound one address, what is sent to it reaches one of them only (RFC 6762,
   * section 15.1).
   */
  #sendToOurselves(): void {
    for (const channel of this.#channels.values()) {
      const { network, family, sender, heardItselfAt } = channel;
      if (heardItselfAt === -Infinity) continue;
      const zone = family === "IPv6" ? `%${network.name}` : "";
      const address = addressOf(network, family) + zone;
      sender.send(this.#ourselves, PORT, address, () => {});
    }
  }

  /** Tells whether this is an address of this host, on any interface. */
  isOwnAddress(address: string): boolean {
    return this.#own.has(address.split("%", 1)[0]!);
  }

  /** Tells whether an IPv4 address is on the network of an interface. */
  isOnLink(interfaceName: string, address: string): boolean {
    const network = this.#all.find(({ name }) => name === interfaceName);
    return network !== undefined && isOnLink(network, address);
  }

  /**
   * The clock stands still while the host sleeps, and the time of day goes on. A
   * process that is stopped, or in a machine that is, looks later than it meant.
   */
  #hasSlept(): boolean {
    const now = performance.now();
    const ahead = Date.now() - now;
    const isJump = Math.abs(ahead - this.#ahead) > SLEPT;
    const isLate = now - this.#lookedAt > LOOK_AGAIN + SLEPT;
    this.#ahead = ahead;
    this.#lookedAt = now;
    return (isJump || isLate) && this.#isOpen;
  }

  #warnWithoutMulticast(errors: readonly unknown[]): void {
    if (this.#channels.size > 0) {
      this.#hasWarned = false;
    } else if (!this.#hasWarned && !errors.some(isOnTrial)) {
      this.#hasWarned = true;
      const reason = errors[0] instanceof Error
        ? errors[0].message
        : `there is no network interface ${
          this.#options.missing?.().join(" or ") ?? ""
        } with an address`.replace("  ", " ");
      this.#options.warn(
        `Cannot use multicast, so Zeroconf waits until it can: ${reason}.`,
        errors[0],
      );
    }
  }

  async #openChannel(
    network: NetworkInterface,
    family: Family,
  ): Promise<Channel> {
    await requireNet(family);
    const { name } = network;
    const zone = family === "IPv6" ? `%${name}` : "";
    const address = addressOf(network, family);
    const local = family === "IPv4" ? address : `::${zone}`;
    if (family === "IPv4") this.#group ??= await this.#openGroup("IPv4");
    const receiver = family === "IPv6"
      ? await this.#openGroup("IPv6", network)
      : this.#group!;
    const isHeard = mayBind(address);
    const own = (isHeard ? address : GROUP[family]) + zone;
    try {
      const sender = await bind(family, own, isHeard);
      try {
        sender.addMembership(GROUP[family], local);
        join(receiver, GROUP[family], local);
        sender.setMulticastInterface(local);
        sender.setMulticastTTL(255);
        if (family === "IPv4") sender.setTTL(255);
        sender.setMulticastLoopback(true);
        const channel: Channel = {
          network,
          family,
          sender,
          receiver: family === "IPv6" ? receiver : undefined,
          isMute: false,
          heardItselfAt: isHeard ? performance.now() : -Infinity,
        };
        if (isHeard) this.#listen(channel);
        return channel;
      } catch (error) {
        await closeSocket(sender);
        throw error;
      }
    } catch (error) {
      if (family === "IPv6") await closeSocket(receiver);
      throw error;
    }
  }

  /** Opens a socket that hears what is sent to the group. */
  async #openGroup(
    family: Family,
    network?: NetworkInterface,
  ): Promise<Socket> {
    const zone = network === undefined ? "" : `%${network.name}`;
    const any = family === "IPv4" ? "0.0.0.0" : "::";
    // Windows binds no socket to a group.
    const address = Deno.build.os === "windows" ? any : GROUP[family] + zone;
    const socket = await bind(family, address, true);
    socket.on("message", (packet: Buffer, from: RemoteInfo) => {
      const on = network ?? this.#networkOf(from.address);
      if (on !== undefined) this.#receive(packet, from, on, false);
    });
    return socket;
  }

  /** Listens for what is sent to this host alone. */
  #listen(channel: Channel): void {
    const { network, sender } = channel;
    sender.on("message", (packet: Buffer, from: RemoteInfo) => {
      if (packet.equals(this.#ourselves)) {
        channel.heardItselfAt = performance.now();
        return;
      }
      // Section 11: who is not on the network does not speak here. What is sent
      // to a link-local address comes from no further by itself.
      const isFar = !from.address.includes(":") &&
        !this.isOnLink(network.name, from.address);
      if (!isFar) this.#receive(packet, from, network, true);
    });
  }

  /**
   * One socket hears the group on every IPv4 interface. The sender's network
   * tells which it was; a sender from none of them counts for the first that
   * leads to others.
   */
  #networkOf(from: string): NetworkInterface | undefined {
    if (!this.#networkBySender.has(from)) {
      if (this.#networkBySender.size >= MAX_SENDERS) {
        this.#networkBySender.clear();
      }
      this.#networkBySender.set(from, this.#findNetworkOf(from));
    }
    return this.#networkBySender.get(from);
  }

  #findNetworkOf(from: string): NetworkInterface | undefined {
    const near = this.#networks.find((each) => isOnLink(each, from));
    if (near !== undefined) return near;
    // Another interface may be heard because another program has joined there.
    if (this.#all.some((each) => isOnLink(each, from))) return undefined;
    return this.#networks.find(({ loopback }) => !loopback);
  }

  #receive(
    packet: Uint8Array,
    { address, port }: RemoteInfo,
    { name }: NetworkInterface,
    unicast: boolean,
  ): void {
    if (this.#isClosed || packet.length < 12) return;
    // Section 6: a response from another port is none.
    if (port !== PORT && (packet[2]! & 0x80) !== 0) return;
    this.#options.onPacket(packet, {
      interfaceName: name,
      address,
      port,
      unicast,
    });
  }
}

/** Opens a socket; what goes wrong with it later is passed over, since sending tells. */
function bind(
  family: Family,
  address: string,
  isRead: boolean,
): Promise<Socket> {
  const { promise, resolve, reject } = Promise.withResolvers<Socket>();
  const socket = dgram.createSocket({
    type: family === "IPv4" ? "udp4" : "udp6",
    reuseAddr: true,
  });
  // The look at the interfaces keeps the process alive, where anything does.
  socket.unref();
  socket.on("error", (error) => {
    socket.close();
    reject(error);
  });
  socket.bind(PORT, address, () => {
    socket.removeAllListeners("error");
    socket.on("error", () => {});
    if (isRead) useSmallBuffers(socket);
    resolve(socket);
  });
  return promise;
}

/**
 * Has Deno make room for one packet at a time, and not for 64 KiB, which would
 * cost more than all else that is done with it. Where the size is another one
 * than Deno's, it is that of the system's queue, and stays.
 */
function useSmallBuffers(socket: Socket): void {
  if (socket.getRecvBufferSize() !== DENO_RECEIVE_BUFFER) return;
  // On Linux, twice the size is taken.
  socket.setRecvBufferSize(
    Deno.build.os === "linux" ? MAX_PACKET / 2 : MAX_PACKET,
  );
}

/**
 * Has a socket hear the group on an interface. It may hear it already, or hear
 * it on as many as one socket can; then what the senders joined has to do.
 */
function join(socket: Socket, group: string, local: string): void {
  try {
    socket.addMembership(group, local);
  } catch {
    // The sender has joined.
  }
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((done) => socket.close(() => done()));
}

async function closeChannel({ sender, receiver }: Channel): Promise<void> {
  await closeSocket(sender);
  if (receiver !== undefined) await closeSocket(receiver);
}

/** Tells whether a socket may be bound to an address other than that of the group. */
function mayBind(address: string): boolean {
  const host = address.includes(":") ? `[${address}]` : address;
  const needs: readonly Deno.NetPermissionDescriptor[] = [
    { name: "net" },
    { name: "net", host: `${host}:${PORT}` },
  ];
  return needs.every((need) =>
    Deno.permissions.querySync(need).state === "granted"
  );
}

/**
 * Tells whether an address cannot be used yet, because the system looks whether
 * another host has it.
 */
function isOnTrial(error: unknown): boolean {
  return error instanceof Error && "code" in error &&
    error.code === "EADDRNOTAVAIL";
}

/** Asks for the permission first: a socket without it fails where nobody can catch that. */
async function requireNet(family: Family): Promise<void> {
  const hosts = family === "IPv4"
    ? ["0.0.0.0", GROUP.IPv4]
    : [`[${GROUP.IPv6}]`];
  for (const host of hosts) {
    const { state } = await Deno.permissions.request({
      name: "net",
      host: `${host}:${PORT}`,
    });
    if (state === "granted") continue;
    throw new Deno.errors.NotCapable(
      "Cannot use multicast: Deno does not let this program reach the network; run it with --allow-net",
    );
  }
}

/**
 * Lists what has to be open on an interface; under another key, it has to be
 * opened anew.
 */
function channelsOf(
  network: NetworkInterface,
): [string, [NetworkInterface, Family]][] {
  const { name, link = "", ipv4, ipv6 } = network;
  const found: [string, [NetworkInterface, Family]][] = [];
  if (ipv4.length > 0) {
    const addresses = ipv4.map(({ address }) => address).join();
    found.push([`${name} ${link} ${addresses}`, [network, "IPv4"]]);
  }
  if (ipv6.some(isLinkLocal)) {
    const address = addressOf(network, "IPv6");
    found.push([`${name} ${link} ${address}`, [network, "IPv6"]]);
  }
  return found;
}

function addressOf({ ipv4, ipv6 }: NetworkInterface, family: Family): string {
  return family === "IPv4" ? ipv4[0]!.address : ipv6.find(isLinkLocal)!;
}
