import { checkOptions, type Rows } from "../options.ts";
import {
  DAEMON,
  FUNCTION,
  LOGGER,
  OBJECT,
  oneOf,
  PORT,
  required,
  TEXT,
  TEXTS,
} from "../kinds.ts";
import { guarded } from "../guarded.ts";
import { createLogger, type Logger } from "../logger.ts";
import { Engine, Participant } from "./engine.ts";
import { addressesOf } from "./interfaces.ts";
import {
  baseOf,
  cutLabel,
  hostLabel,
  MAX_LABEL,
  serviceType,
} from "./names.ts";
import type { Service, ServiceRecords } from "./own_records.ts";
import {
  compareAddresses,
  makeServiceInfo,
  type ServiceInfo,
} from "./service_info.ts";
import { encodeTxt } from "./txt.ts";

/** Says how an {@linkcode Advertiser} reaches the network. */
export interface AdvertiserOptions {
  /**
   * Names or addresses of interfaces. Default: all that lead to other hosts, or
   * the loopback interface where there is no other.
   */
  interfaces?: readonly string[];
  /**
   * The name of this host, without `.local`. Default: the system's with
   * `-platypush` behind it, since another stack on this host may have that.
   */
  host?: string;
  /** True if it lets the process end; then no goodbye is sent. Default: `false`. */
  daemon?: boolean;
  /**
   * The logger that hears what it does. Default: LogTape's category
   * `["platypush", "redis", "zeroconf"]`.
   */
  logger?: Logger;
}

/** A service that an {@linkcode Advertiser} advertises. */
export interface ServiceOptions {
  /** The instance name, at most 63 bytes; longer ones are cut with a warning. */
  name: string;
  /** The service's name such as `platypush-redis`, or its whole type. */
  type: string;
  /**
   * The port that it listens on; 0 says that the network does not reach it
   * (RFC 6763, section 8).
   */
  port: number;
  /** The protocol that the service speaks. Default: `tcp`. */
  protocol?: "tcp" | "udp";
  /**
   * The TXT record: up to 1,300 bytes, each key with its value up to 255; `null`
   * advertises the key alone, without `=`. Default: empty.
   */
  properties?: Readonly<
    Record<string, string | number | boolean | Uint8Array | null>
  >;
  /**
   * The subtypes under which it is found too, such as `printer` (RFC 6763,
   * section 7.1): `browse({ type: "_printer._sub._http._tcp" })`. Default: none.
   */
  subtypes?: readonly string[];
  /** Called with the new full name when a conflict appears later. */
  onRename?: (name: string) => void;
}

const OPTIONS: Rows<AdvertiserOptions, "daemon"> = {
  interfaces: TEXTS,
  host: TEXT,
  daemon: DAEMON,
  logger: LOGGER,
};

const SERVICE_OPTIONS: Rows<ServiceOptions> = {
  name: required(TEXT),
  type: required(TEXT),
  port: required(PORT),
  protocol: oneOf("tcp", "udp"),
  properties: OBJECT,
  subtypes: TEXTS,
  onRename: FUNCTION,
};

interface Registered {
  readonly service: Service;
  onRename: (name: string) => void;
  /** The name that is shown to the caller. */
  name: string;
}

/**
 * Advertises services on the local network by multicast DNS, and answers for
 * them until it is closed.
 *
 * It probes for the name first and takes another one when it is taken
 * (RFC 6762, section 8), defends it (section 9), follows the addresses of the
 * host, and says goodbye (section 10.1).
 *
 * @example
 * ```ts
 * import { Advertiser } from "@platypush/redis/zeroconf";
 *
 * await using advertiser = new Advertiser({ interfaces: ["127.0.0.1"] });
 * const name = await advertiser.register({
 *   name: "livingroom",
 *   type: "platypush-redis",
 *   port: 6379,
 *   properties: { queue: "platypush/backend/redis" },
 * });
 * console.log(name); // livingroom._platypush-redis._tcp.local.
 * ```
 */
export class Advertiser implements AsyncDisposable {
  readonly #participant: Participant;
  readonly #host: string;
  readonly #services = new Map<string, Registered>();
  #joining: Promise<Engine> | undefined;
  #engine: Engine | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Makes an advertiser, which opens the sockets with the first service.
   *
   * @param options How it reaches the network.
   * @throws {TypeError} There is no such option or it is of another kind.
   * @throws {Deno.errors.NotCapable} The host's name is needed, not given, and
   * may not be read (`--allow-sys=hostname`).
   */
  constructor(options: AdvertiserOptions = {}) {
    const {
      interfaces,
      daemon,
      host = hostLabel("advertise", "give `host`, a name for it"),
      logger = createLogger("zeroconf"),
    } = checkOptions("advertise", options, OPTIONS);
    this.#host = host;
    this.#participant = new Participant({ interfaces, daemon, logger });
  }

  /** The services that are advertised, under the names that they have won. */
  get services(): ServiceInfo[] {
    return [...this.#services.values()].map((each) => this.#describe(each));
  }

  /**
   * Advertises a service, or changes what is advertised under the same name and
   * type: then no goodbye is sent.
   *
   * @param options The service: its name, type, port and properties.
   * @returns The full name, which differs from the wanted one when that is
   * taken: `name (2)`.
   * @throws {TypeError} There is no such option or it is of another kind, or
   * the type, name or a property is not allowed.
   * @throws {RangeError} The port is none, or a property does not fit a TXT
   * record.
   * @throws {Error} The advertiser is closed.
   * @throws {Deno.errors.NotCapable} Deno does not permit to use the network
   * (`--allow-net`) or to look at its interfaces (`--allow-sys=networkInterfaces`).
   *
   * @example
   * ```ts
   * import { Advertiser } from "@platypush/redis/zeroconf";
   * import assert from "node:assert/strict";
   *
   * await using advertiser = new Advertiser({ interfaces: ["127.0.0.1"] });
   * await assert.rejects(
   *   advertiser.register({ name: "hall", type: "platypush-redis", port: 65_536 }),
   *   /from 0 to 65535/,
   * );
   * ```
   */
  async register(options: ServiceOptions): Promise<string> {
    this.#mustBeOpen();
    const records = this.#check(options);
    const key = keyOf(records.instance, records.type);
    const engine = await (this.#joining ??= Engine.join(this.#participant));
    this.#mustBeOpen();
    this.#engine = engine;
    const known = this.#services.get(key);
    if (known) {
      known.onRename = this.#guard(options);
      const { port, txt } = records;
      Object.assign(known.service.records, { port, txt });
      engine.registry.setSubtypes(known.service, records.subtypes);
      known.service.prober.changed();
      return `${await known.service.prober.won}.`;
    }
    const service = engine.registry.add(
      records,
      this.#host,
      this.#participant,
      (instance) => {
        const won = service.prober.everAnnounced;
        this.#rename(registered, instance);
        if (won) registered.onRename(registered.name);
      },
    );
    const registered: Registered = {
      service,
      onRename: this.#guard(options),
      name: `${records.instance}.${records.type}.`,
    };
    if (`${service.prober.name}.` !== registered.name) {
      this.#rename(
        registered,
        service.prober.name.slice(0, -records.type.length - 1),
      );
    }
    this.#services.set(key, registered);
    return `${await service.prober.won}.`;
  }

  /**
   * Takes a service off the network with a goodbye (RFC 6762, section 10.1).
   *
   * @param name The full name that {@linkcode Advertiser.register}
   * returned; all services where it is missing.
   * @returns Whether there was one.
   */
  unregister(name?: string): boolean {
    const services: Service[] = [];
    for (const [key, each] of this.#services) {
      if (name !== undefined && each.name !== name) continue;
      this.#services.delete(key);
      services.push(each.service);
    }
    this.#engine?.registry.remove(services);
    return services.length > 0;
  }

  /** Says goodbye for all services and closes the sockets that nobody else needs. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.unregister();
      // Why it failed is told to whoever has registered.
      const engine = await this.#joining?.catch((): undefined => undefined);
      await engine?.leave(this.#participant);
    })();
    return this.#closing;
  }

  /** Closes it at the end of a block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #mustBeOpen(): void {
    if (this.#closing) {
      throw new Error("Cannot register a service: the advertiser is closed");
    }
  }

  #guard({ onRename }: ServiceOptions): (name: string) => void {
    const { logger } = this.#participant;
    return guarded(
      onRename,
      (error) => logger.error(`\`onRename\` has failed: ${error}.`),
    );
  }

  #rename(registered: Registered, instance: string): void {
    const { records } = registered.service;
    registered.name = `${instance}.${records.type}.`;
    this.#participant.logger.warn(
      `The name "${records.instance}" is taken: the service is now "${instance}".`,
    );
  }

  #describe({ service: { records, host }, name }: Registered): ServiceInfo {
    return makeServiceInfo({
      type: `${records.type}.`,
      name,
      port: records.port,
      addresses: this.#participant.networks.flatMap(addressesOf)
        .sort(compareAddresses),
      server: `${host.prober.name}.`,
      priority: 0,
      weight: 0,
      txt: records.txt,
    });
  }

  #check(options: ServiceOptions): ServiceRecords {
    checkOptions("register a service", options, SERVICE_OPTIONS);
    const { name, type, port, protocol = "tcp", properties = {} } = options;
    const { subtypes = [] } = options;
    const base = serviceType(type, protocol).slice(0, -1);
    if (base !== baseOf(base)) {
      throw new TypeError(
        `Cannot register a service of the subtype "${type}": give its type, and the subtype in \`subtypes\``,
      );
    }
    const instance = cutLabel(name);
    if (instance === "") {
      throw new TypeError("Cannot register a service: its name is empty");
    }
    if (/\p{Cc}/u.test(name)) {
      throw new TypeError(
        `Cannot register the service ${
          JSON.stringify(name)
        }: its name has a control character, such as a line end; leave it out`,
      );
    }
    if (subtypes.includes("")) {
      throw new TypeError("Cannot register a service: a subtype is empty");
    }
    if (instance !== name) {
      this.#participant.logger.warn(
        `The name "${name}" takes more than ${MAX_LABEL} bytes: it is cut to "${instance}".`,
      );
    }
    return {
      instance,
      port,
      type: base,
      subtypes: subtypes.map((each) =>
        serviceType(`_${each.replace(/^_/, "")}._sub.${base}`).slice(0, -1)
      ),
      txt: encodeTxt(properties),
    };
  }
}

function keyOf(instance: string, type: string): string {
  return `${instance}.${type}`.toLowerCase();
}
