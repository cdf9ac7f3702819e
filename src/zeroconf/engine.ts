import type { Logger } from "../logger.ts";
import { type Clock, systemClock } from "./clock.ts";
import type { PacketSource, Send } from "./dns_message.ts";
import { chooseInterfaces, type NetworkInterface } from "./interfaces.ts";
import type { NetworkPlace } from "./own_records.ts";
import { KEPT, Querier } from "./querier.ts";
import { Registry } from "./registry.ts";
import { Sockets } from "./sockets.ts";
import { decodeMessage, mayConcern } from "./wire_format.ts";

/** Milliseconds within which the same packet is one that came on two ways. */
const SAME_PACKET = 200;
/** The most packets that are remembered for that. */
const MAX_PACKETS = 200;

/** Tells the engine about a {@linkcode Participant}. */
interface ParticipantOptions {
  /** Names or addresses of the interfaces to use. */
  readonly interfaces?: readonly string[] | undefined;
  /** True if it lets the process end. */
  readonly daemon: boolean;
  readonly logger: Logger;
}

let shared: Engine | undefined;
/** The engine that nobody takes part in any more; its memory may go. */
let resting: { engine: WeakRef<Engine>; since: number } | undefined;

/**
 * Zeroconf in this process: one set of sockets, one cache and one clock for all
 * that advertise and look for services. It is there while somebody takes part.
 */
export class Engine {
  readonly clock: Clock = systemClock;
  /** The services of this process. */
  readonly registry: Registry;
  /** The services of others. */
  readonly querier: Querier;
  #sockets: Sockets;
  readonly #participants = new Set<Participant>();
  /** Remembers what was heard a moment ago, with where and when. */
  readonly #recent = new Map<string, {
    readonly at: number;
    readonly interfaceName: string;
    readonly addresses: Set<string>;
  }>();

  private constructor() {
    const { clock } = this;
    this.#sockets = this.#makeSockets();
    const send: Send = (...what) => this.#sockets.send(...what);
    const common = {
      clock,
      random: Math.random,
      send,
      isOwnAddress: (address: string) => this.#sockets.isOwnAddress(address),
    };
    this.registry = new Registry({
      ...common,
      networks: () => this.#sockets.networks,
    });
    this.querier = new Querier({
      ...common,
      channels: () => this.#sockets.channels,
      hearsUnicast: () => this.#sockets.hearsUnicast,
    });
  }

  /**
   * Takes part in the engine of this process, which is started by the first.
   *
   * @param participant Who takes part, and where; it counts at once.
   * @returns The engine once the sockets are open, or multicast turned out to be
   * impossible, which is logged and tried again.
   * @throws {Deno.errors.NotCapable} Deno does not permit to use the network or
   * to look at its interfaces. Then it has left.
   */
  static async join(participant: Participant): Promise<Engine> {
    const engine = shared ??= Engine.#resumed() ?? new Engine();
    engine.#participants.add(participant);
    try {
      await engine.#sockets.open(engine.#isDaemon);
      participant.takeChange(new Set());
      // Where nobody has any, the sockets have said so.
      const { missing } = participant;
      if (missing.length > 0 && engine.#sockets.networks.length > 0) {
        participant.logger.warn(
          `There is no network interface ${
            missing.join(" or ")
          } with an address, so Zeroconf waits until there is.`,
        );
      }
      return engine;
    } catch (error) {
      await engine.leave(participant);
      throw error;
    }
  }

  /** Takes part no longer; the last one to leave waits until the sockets are closed. */
  async leave(participant: Participant): Promise<void> {
    if (!this.#participants.delete(participant)) return;
    if (this.#participants.size > 0) {
      this.#sockets.daemon = this.#isDaemon;
      return;
    }
    if (shared === this) {
      shared = undefined;
      resting = { engine: new WeakRef(this), since: this.clock.now() };
    }
    const sockets = this.#sockets;
    this.#sockets = this.#makeSockets();
    await sockets.close();
  }

  /** The engine that was left a moment ago, with what it has heard. */
  static #resumed(): Engine | undefined {
    const { engine, since = 0 } = resting ?? {};
    resting = undefined;
    const former = engine?.deref();
    const isRecent = former !== undefined && former.clock.now() - since <= KEPT;
    return isRecent ? former : undefined;
  }

  #makeSockets(): Sockets {
    return new Sockets({
      choose: (all) => this.#choose(all),
      missing: () => [...this.#participants].flatMap((each) => each.missing),
      warn: (text) => this.#tell("warn", text),
      debug: (text) => this.#tell("debug", text),
      onPacket: (packet, source) => this.#receive(packet, source),
      onNetworkChange: (changed, hasSlept) =>
        this.#networkChanged(changed, hasSlept),
    });
  }

  /** Tells whether this is an address of this host, on any interface. */
  isOwnAddress(address: string): boolean {
    return this.#sockets.isOwnAddress(address);
  }

  /** Tells whether an IPv4 address is on the network of an interface. */
  isOnLink(interfaceName: string, address: string): boolean {
    return this.#sockets.isOnLink(interfaceName, address);
  }

  get #isDaemon(): boolean {
    return [...this.#participants].every(({ daemon }) => daemon);
  }

  /** Lets each participant choose its interfaces, and returns all of these. */
  #choose(all: readonly NetworkInterface[]): readonly NetworkInterface[] {
    const chosen = new Set<NetworkInterface>();
    for (const participant of this.#participants) {
      for (const network of participant.choose(all)) chosen.add(network);
    }
    return all.filter((network) => chosen.has(network));
  }

  #networkChanged(changed: ReadonlySet<string>, hasSlept: boolean): void {
    const present = new Set(this.#sockets.networks.map(({ name }) => name));
    const affected = new Set(
      [...this.#participants].filter((each) => each.takeChange(changed)),
    );
    if (affected.size === 0) return;
    this.registry.networkChanged((place) => affected.has(place as Participant));
    this.querier.networkChanged(present, changed, hasSlept);
  }

  #receive(packet: Uint8Array, source: PacketSource): void {
    const { registry, querier } = this;
    if (!mayConcern(packet, [registry.labels, querier.labels])) return;
    const message = decodeMessage(packet);
    if (message === undefined) return;
    const isDirect = message.questions.some(({ unicast }) => unicast);
    const isRepeated = this.#isRepeated(packet, source, isDirect);
    // What came on two ways is answered once.
    if (!isRepeated) registry.receive(message, source);
    querier.receive(message, source);
  }

  /**
   * Tells whether a packet is one that has just come on another way: over both
   * IP versions, or by cable and by radio.
   *
   * @param isDirect Whether it asks for a direct answer, which each who asks
   * the same has to get.
   */
  #isRepeated(
    packet: Uint8Array,
    source: PacketSource,
    isDirect: boolean,
  ): boolean {
    const now = this.clock.now();
    for (const [key, { at }] of this.#recent) {
      if (now - at <= SAME_PACKET && this.#recent.size < MAX_PACKETS) break;
      this.#recent.delete(key);
    }
    if (source.unicast) return false;
    const { interfaceName, address } = source;
    const key = text.decode(packet);
    const same = this.#recent.get(key);
    if (same === undefined) {
      const addresses = new Set([address]);
      this.#recent.set(key, { at: now, interfaceName, addresses });
      return false;
    }
    const isOther = !same.addresses.has(address);
    const [first] = same.addresses;
    const isOtherVersion = same.interfaceName === interfaceName &&
      first!.includes(":") !== address.includes(":");
    if (isOther && (isDirect || !isOtherVersion)) return false;
    same.addresses.add(address);
    return true;
  }

  #tell(level: "warn" | "debug", message: string): void {
    const loggers = new Set([...this.#participants].map((each) => each.logger));
    for (const logger of loggers) logger[level](message);
  }
}

const text = new TextDecoder("latin1");

/** An advertiser or a browser, with the interfaces on which it takes part. */
export class Participant implements NetworkPlace {
  /** The names of the interfaces as they are now. */
  interfaceNames: ReadonlySet<string> = new Set();
  readonly daemon: boolean;
  readonly logger: Logger;
  readonly #interfaces: readonly string[] | undefined;
  #networks: readonly NetworkInterface[] = [];
  #before = "";

  constructor({ interfaces, daemon, logger }: ParticipantOptions) {
    this.#interfaces = interfaces;
    this.daemon = daemon;
    this.logger = logger;
  }

  /** Names, in quotes, the interfaces that it is to use and that are not there. */
  get missing(): readonly string[] {
    return this.#interfaces?.filter((each) =>
      chooseInterfaces(this.#networks, [each]).length === 0
    ).map((each) => JSON.stringify(each)) ?? [];
  }

  /** Its interfaces as they are now. */
  get networks(): readonly NetworkInterface[] {
    return this.#networks;
  }

  /** Chooses from the interfaces that there are. */
  choose(all: readonly NetworkInterface[]): readonly NetworkInterface[] {
    this.#networks = chooseInterfaces(all, this.#interfaces);
    this.interfaceNames = new Set(this.#networks.map(({ name }) => name));
    return this.#networks;
  }

  /**
   * Notes a change of the network.
   *
   * @param changed The names of the interfaces that may lead elsewhere.
   * @returns Whether it concerns this participant.
   */
  takeChange(changed: ReadonlySet<string>): boolean {
    const now = [...this.interfaceNames].join();
    const isOther = now !== this.#before;
    this.#before = now;
    return isOther ||
      [...this.interfaceNames].some((name) => changed.has(name));
  }
}
