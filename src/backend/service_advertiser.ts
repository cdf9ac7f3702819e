import { type Checked, row, type Rows } from "../options.ts";
import { FLAG, OBJECT, PORT, TEXT, TEXTS } from "../kinds.ts";
import type { Bus } from "../bus/mod.ts";
import type { Logger } from "../logger.ts";
import type { RedisArgs } from "../redis/mod.ts";
import { VERSION } from "../version.ts";
import {
  Advertiser,
  type ServiceInfo,
  type ServiceOptions,
  serviceType,
} from "../zeroconf/mod.ts";
import { Identity } from "./identity.ts";
import type { PeerBrowser, PeerPlace } from "./peer_browser.ts";
import { Prover } from "./peer_proof.ts";
import { hostLabel } from "../zeroconf/names.ts";
import { WITHOUT_SERVICE } from "./service_place.ts";
import { zeroconfEvent } from "./zeroconf_event.ts";

/** Says what {@linkcode Backend.registerService} advertises, as in Platypush. */
export interface RegisterServiceOptions {
  /**
   * The port of the service. Default: the one of the Redis server in use, or 0
   * where it is reached through a Unix socket, which no other host can.
   */
  port?: number | null | undefined;
  /** The short name. Default: the class's name without `Backend`, in lower case. */
  name?: string | null | undefined;
  /** The type of the service. Default: `_platypush-{name}._{tcp|udp}.local.`. */
  srvType?: string | null | undefined;
  /** The full name of the service. Default: `{device id}.{type}`. */
  srvName?: string | null | undefined;
  /** Makes it a service over UDP. Default: `false`, which is TCP. */
  udp?: boolean | null | undefined;
  /**
   * The TXT record, on top of `name`, `vendor`, `version`, `device_id`, and
   * `queue` where the backend has one.
   */
  properties?: ServiceOptions["properties"] | null | undefined;
  /**
   * The subtypes under which it is found too, such as `printer`; they are those
   * of {@linkcode ServiceOptions}. Default: none.
   */
  subtypes?: readonly string[] | null | undefined;
  /** Names or addresses of network interfaces. Default: all that lead to other hosts. */
  interfaces?: readonly string[] | null | undefined;
  /** {@linkcode RegisterServiceOptions.srvType}. */
  srv_type?: string | null | undefined;
  /** {@linkcode RegisterServiceOptions.srvName}. */
  srv_name?: string | null | undefined;
}

/** Every option of {@linkcode Backend.registerService}. */
export const SERVICE_OPTIONS: Rows<RegisterServiceOptions> = {
  port: row(PORT, {
    isNullable: true,
    description: "The port of the service",
    defaultText: "the Redis server's",
  }),
  name: row(TEXT, {
    isNullable: true,
    description: "The short name",
    defaultText: "the class's name without `Backend`, in lower case",
  }),
  srvType: row(TEXT, {
    aliases: ["srv_type"],
    isNullable: true,
    description: "The type of the service",
    defaultText: "`_platypush-{name}._{tcp\\|udp}.local.`",
  }),
  srvName: row(TEXT, {
    aliases: ["srv_name"],
    isNullable: true,
    description: "The full name of the service",
    defaultText: "`{device id}.{type}`",
  }),
  udp: row(FLAG, {
    isNullable: true,
    description: "The service is one over UDP",
    defaultText: "`false`",
  }),
  properties: row(OBJECT, {
    isNullable: true,
    description: "The TXT record, on top of what is there by default",
    defaultText: "`name`, `vendor`, `version`, `device_id`, `queue`",
  }),
  subtypes: row(TEXTS, {
    isNullable: true,
    description: "The subtypes under which it is found too",
    defaultText: "none",
  }),
  interfaces: row(TEXTS, {
    isNullable: true,
    description: "Names or addresses of network interfaces",
    defaultText: "all that lead to other hosts",
  }),
};

interface ServiceAdvertiserOptions {
  /** The short name of the service. */
  readonly name: string;
  /** The instance, and whose events it posts. */
  readonly deviceId: string;
  /** Says how we reach our own Redis. */
  readonly redisArgs: RedisArgs;
  /** The folder with the key by which peers know us. */
  readonly identity: string | undefined;
  /** Is told what is advertised. */
  readonly bus: Bus;
  /** Lets the process end although something is advertised. */
  readonly daemon: boolean;
  /** Reports what happens. */
  readonly logger: Logger;
}

interface Advertised {
  readonly advertiser: Advertiser;
  readonly options: Checked<RegisterServiceOptions>;
  readonly interfaces: string;
  /** The name asked for: the one that was won may be another. */
  readonly instance: string;
  readonly type: string;
  service: ServiceInfo;
}

/** Our answers to those who ask who we are. */
interface Proving {
  readonly identity: Identity;
  readonly prover: Promise<Prover | void>;
  readonly end: AbortController;
}

/** Advertises the service of a backend, follows those of peers, and tells the bus. */
export class ServiceAdvertiser {
  readonly #options: ServiceAdvertiserOptions;
  /** The names of peers' services of which the bus was told. */
  readonly #posted = new Set<string>();
  #advertised: Advertised | undefined;
  #proving: Proving | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: ServiceAdvertiserOptions) {
    this.#options = options;
  }

  /** Advertises the service, or changes what is advertised; gives its full name. */
  register(options: Checked<RegisterServiceOptions>): Promise<string> {
    return this.#inTurn(() => this.#register(options));
  }

  /**
   * Changes what is advertised, and leaves the rest.
   *
   * @throws {Error} Nothing is advertised.
   */
  update(changes: Checked<RegisterServiceOptions>): Promise<string> {
    return this.#inTurn(() => {
      const options = this.#advertised?.options;
      if (options === undefined) {
        throw new Error(
          "Cannot update the service: none is registered; call `registerService()` first",
        );
      }
      const properties = { ...options.properties, ...changes.properties };
      return this.#register({ ...options, ...changes, properties });
    });
  }

  /** Withdraws the service, if there is one. */
  unregister(): Promise<void> {
    return this.#inTurn(() => this.#withdraw());
  }

  /**
   * Posts what becomes of the services of peers. What becomes of the own one
   * is posted as it is advertised and withdrawn, and not again when it is seen.
   *
   * @returns A function that ends it.
   */
  followPeers(peers: PeerBrowser, place: PeerPlace): Promise<() => void> {
    const { name } = this.#options;
    const own = name !== "" && { type: `platypush-${name}` };
    return peers.follow({ ...own, ...place }, ({ kind, service }) => {
      const { name } = service;
      if (kind === "removed") {
        if (this.#posted.delete(name)) this.#post(kind, service);
      } else if (name !== this.#advertised?.service.name) {
        // After a conflict, another host may have what was the own name.
        this.#post(this.#posted.has(name) ? "updated" : "added", service);
        this.#posted.add(name);
      }
    });
  }

  async #register(options: Checked<RegisterServiceOptions>): Promise<string> {
    const { deviceId, daemon, logger } = this.#options;
    const { name = this.#options.name, port, udp, srvType, srvName } = options;
    if (port === undefined) {
      throw new TypeError(
        "Cannot register the service: this backend has no port of its own; pass `port`",
      );
    }
    const protocol = udp ? "udp" : "tcp";
    const type = serviceType(srvType ?? `platypush-${name}`, protocol);
    const instance = instanceOf(srvName ?? deviceId, type);
    const interfaces = JSON.stringify(options.interfaces);

    const last = this.#advertised;
    const isSame = last?.instance === instance && last.type === type &&
      last.interfaces === interfaces;
    if (!isSame) await this.#withdraw();
    const advertiser = isSame ? last!.advertiser : new Advertiser({
      ...(options.interfaces && { interfaces: options.interfaces }),
      host: hostLabel("advertise the service", WITHOUT_SERVICE),
      daemon,
      logger,
    });
    try {
      const properties = await this.#properties(options.properties);
      const fullName = await advertiser.register({
        name: instance,
        type,
        port,
        properties,
        subtypes: options.subtypes ?? [],
        onRename: (renamed) => this.#update(renamed),
      });
      const service = infoOf(advertiser, fullName);
      this.#advertised = {
        advertiser,
        options,
        interfaces,
        instance,
        type,
        service,
      };
      this.#post(isSame ? "updated" : "added", service);
      logger.info(`Advertised as ${fullName} on port ${port}.`);
      return fullName;
    } catch (error) {
      if (!isSame) {
        await advertiser.close();
        await this.#endProving();
      }
      throw error;
    }
  }

  /** Puts together what the TXT record says, with our key where we can prove it. */
  async #properties(
    given: RegisterServiceOptions["properties"],
  ): Promise<NonNullable<ServiceOptions["properties"]>> {
    const key = await this.#prove();
    return {
      name: "Platypush",
      vendor: "Platypush",
      version: VERSION,
      device_id: this.#options.deviceId,
      ...given,
      ...(key !== undefined && { key }),
    };
  }

  async #withdraw(): Promise<void> {
    const advertised = this.#advertised;
    if (advertised === undefined) return;
    this.#advertised = undefined;
    await advertised.advertiser.close();
    await this.#endProving();
    this.#post("removed", advertised.service);
    this.#options.logger.info(`Withdrew ${advertised.service.name}`);
  }

  /**
   * Answers peers who ask who we are, where we have a key.
   *
   * @returns The key's fingerprint, to be advertised.
   */
  async #prove(): Promise<string | undefined> {
    const { identity: folder, deviceId, redisArgs, daemon, logger } =
      this.#options;
    if (folder === undefined) return undefined;
    if (this.#proving !== undefined) return this.#proving.identity.fingerprint;
    const identity = await Identity.open(folder);
    const end = new AbortController();
    const isOurs = (host: string, port: number): boolean =>
      this.#advertised?.advertiser.services.some((service) =>
        service.port === port &&
        [...service.addresses, service.properties["host"]].includes(host)
      ) ?? false;
    // A Redis that is not there yet does not keep us from being seen.
    const prover = Prover.open(
      { identity, deviceId, redisArgs, daemon, logger, isOurs },
      end.signal,
    ).catch((error) => {
      if (!end.signal.aborted) {
        logger.warn(`Cannot prove to peers who we are: ${error.message}.`);
      }
    });
    this.#proving = { identity, prover, end };
    return identity.fingerprint;
  }

  async #endProving(): Promise<void> {
    const proving = this.#proving;
    this.#proving = undefined;
    proving?.end.abort();
    const prover = await proving?.prover;
    if (prover) await prover[Symbol.asyncDispose]();
  }

  #update(fullName: string): void {
    const advertised = this.#advertised;
    if (advertised === undefined) return;
    advertised.service = infoOf(advertised.advertiser, fullName);
    this.#post("updated", advertised.service);
  }

  #post(kind: "added" | "updated" | "removed", service: ServiceInfo): void {
    const { bus, deviceId, logger } = this.#options;
    bus.post(zeroconfEvent({ kind, service }, deviceId)).catch((error) =>
      logger.warn(`The bus did not take the Zeroconf event: ${error.message}.`)
    );
  }

  /** One after the other: a second call finds what the first one has made. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#turn.then(work);
    this.#turn = result.catch(() => {});
    return result;
  }
}

function infoOf(advertiser: Advertiser, fullName: string): ServiceInfo {
  return advertiser.services.find(({ name }) => name === fullName)!;
}

/** The first part of a full name; whatever does not end in the type is one by itself. */
function instanceOf(name: string, type: string): string {
  const full = name.endsWith(".") ? name : `${name}.`;
  return full.endsWith(`.${type}`) ? full.slice(0, -type.length - 1) : name;
}
