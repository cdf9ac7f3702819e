import type { Rows } from "../options.ts";
import { TEXT, TEXTS } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import {
  Browser,
  type BrowserOptions,
  PLATYPUSH_REDIS,
  type ServiceChange,
  type ServiceInfo,
  serviceType,
} from "../zeroconf/mod.ts";
import { fold } from "../zeroconf/dns_message.ts";
import { sleep } from "../waiting.ts";
import { isSameDevice } from "./identity.ts";

/** The place to look for peers: a type, and network interfaces. */
export type PeerPlace = Pick<BrowserOptions, "type" | "interfaces">;

/** Every option of a {@linkcode PeerPlace}. */
export const PEER_PLACE: Rows<PeerPlace> = {
  type: TEXT,
  interfaces: TEXTS,
};

interface PeerBrowserOptions {
  /** Lets the process end although somebody looks. */
  readonly daemon: boolean;
  /** Reports what happens. */
  readonly logger: Logger;
}

type ChangeListener = (change: ServiceChange) => void;

/** The number of peers that were seen and that an error names. */
const MAX_NAMED = 10;

/**
 * Follows the services of peers from when they are first asked for, so that one
 * that is known need not be looked for again.
 */
export class PeerBrowser implements AsyncDisposable {
  readonly #options: PeerBrowserOptions;
  readonly #places = new Map<string, Followed>();
  readonly #closed = new AbortController();

  constructor(options: PeerBrowserOptions) {
    this.#options = options;
  }

  /**
   * Follows the services of a place.
   *
   * @param listener Called with each change, first with all that are there.
   * @returns A function that ends it.
   */
  async follow(
    place: PeerPlace,
    listener: ChangeListener,
  ): Promise<() => void> {
    const followed = this.#at(place);
    await followed.browser.start();
    for (const service of followed.browser.services) {
      listener({ kind: "added", service });
    }
    followed.listeners.add(listener);
    return () => followed.listeners.delete(listener);
  }

  /**
   * Finds a peer.
   *
   * @param name Its device id, or the name of its service, in full or without
   * the type.
   * @param timeout The longest time to look, in seconds.
   * @param isDevice Whether the name is the id of a device that is known: then
   * another device does not count, whatever its service is called.
   * @returns All that may be meant, as {@linkcode peersNamed} sorts them.
   * @throws {DOMException} `NotFoundError`: no such peer in time; the message
   * names those that were seen. `AbortError`: closed meanwhile.
   */
  async find(
    name: string,
    timeout: number,
    isDevice: boolean,
    place: PeerPlace,
  ): Promise<ServiceInfo[]> {
    const { browser } = this.#at(place);
    const found = new AbortController();
    const signal = AbortSignal.any([found.signal, this.#closed.signal]);
    const end = await this.follow(place, ({ kind, service }) => {
      if (kind === "removed") return;
      if (peersNamed([service], name, isDevice).length > 0) found.abort();
    });
    await sleep(timeout, { signal, daemon: this.#options.daemon });
    end();
    if (this.#closed.signal.aborted) {
      throw new DOMException("The backend was stopped", "AbortError");
    }
    const peers = peersNamed(browser.services, name, isDevice);
    if (peers.length > 0) return peers;
    throw noPeer(name, timeout, browser.services);
  }

  /** Asks for a peer again that could not be reached, where it is followed. */
  reconfirm({ name }: ServiceInfo): void {
    for (const { browser } of this.#places.values()) browser.reconfirm(name);
  }

  /** Stops following; whoever looks for a peer is told. */
  async close(): Promise<void> {
    this.#closed.abort();
    const browsers = [...this.#places.values()].map(({ browser }) => browser);
    await Promise.all(browsers.map((browser) => browser.close()));
  }

  /** The same as {@linkcode PeerBrowser.close}. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #at({ type = PLATYPUSH_REDIS, interfaces }: PeerPlace): Followed {
    const key = JSON.stringify([serviceType(type), interfaces]);
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const listeners = new Set<ChangeListener>();
    const browser = new Browser({
      type,
      ...(interfaces && { interfaces }),
      daemon: this.#options.daemon,
      logger: this.#options.logger,
      onChange: (change) => {
        for (const listener of listeners) listener(change);
      },
    });
    const followed = { browser, listeners };
    this.#places.set(key, followed);
    return followed;
  }
}

interface Followed {
  readonly browser: Browser;
  readonly listeners: Set<ChangeListener>;
}

/**
 * Picks those who may be meant by a name. Anybody may call a service as he
 * likes, and a device is known by its id: whoever has that comes first.
 *
 * @param name A device id, or the name of a service.
 * @param isDevice Whether it is the id of a device that is known.
 */
export function peersNamed(
  services: readonly ServiceInfo[],
  name: string,
  isDevice: boolean,
): ServiceInfo[] {
  const isMeant = ({ deviceId }: ServiceInfo): boolean =>
    isSameDevice(deviceId, name);
  const rank = (service: ServiceInfo): number =>
    2 * Number(isMeant(service)) + Number(isNamed(service, name));
  return services
    .filter((each) => isDevice ? isMeant(each) : rank(each) > 0)
    .sort((a, b) => rank(b) - rank(a));
}

function isNamed({ name: full, type }: ServiceInfo, name: string): boolean {
  return [name, `${name}.`, `${name}.${type}`].some((each) =>
    fold(each) === fold(full)
  );
}

/** Says that a peer was not found, and who was seen in that time. */
export function noPeer(
  name: string,
  timeout: number,
  seen: readonly ServiceInfo[],
): DOMException {
  return new DOMException(
    `There is no peer "${name}" on the local network: within ${timeout} s ${
      namesOf(seen)
    }`,
    "NotFoundError",
  );
}

function namesOf(services: readonly ServiceInfo[]): string {
  if (services.length === 0) return "none at all was seen";
  const named = services.slice(0, MAX_NAMED)
    .map(({ deviceId }) => `"${deviceId}"`).join(", ");
  const others = services.length - MAX_NAMED;
  const more = others > 0 ? ` and ${others} more` : "";
  return `only ${named}${more} ${services.length === 1 ? "was" : "were"} seen`;
}
