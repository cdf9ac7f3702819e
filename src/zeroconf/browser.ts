import { checkOptions, type Kinds } from "../check_options.ts";
import { FLAG, FUNCTION, LOGGER, TEXT, TEXTS } from "../kinds.ts";
import { createLogger, type Logger } from "../logger.ts";
import { serviceType } from "./advertiser.ts";
import { systemClock } from "./clock.ts";
import { isOwnAddress } from "./network.ts";
import { ServiceBrowser } from "./service_browser.ts";
import type { ServiceChange, ServiceInfo } from "./service_info.ts";
import { Sockets } from "./sockets.ts";

/**
 * The type of Platypush's Redis backends, which a {@linkcode Browser} looks for
 * where nothing else is said.
 */
export const PLATYPUSH_REDIS = "_platypush-redis._tcp.local.";

/** What a {@linkcode Browser} looks for, and where. */
export interface BrowserOptions {
  /**
   * The type, or the service's name alone, such as `http`. Default:
   * {@linkcode PLATYPUSH_REDIS}.
   */
  type?: string;
  /**
   * Names or addresses of interfaces. Default: all that lead to other hosts, or
   * the loopback interface where there is no other.
   */
  interfaces?: readonly string[];
  /** Called with each change, in order; what it throws is logged. */
  onChange?: (change: ServiceChange) => void;
  /** Whether it lets the process end. Default: `false`. */
  unref?: boolean;
  /** Where it reports what it does. Default: LogTape's category of this room. */
  logger?: Logger;
}

const OPTIONS: Kinds<BrowserOptions> = {
  type: TEXT,
  interfaces: TEXTS,
  onChange: FUNCTION,
  unref: FLAG,
  logger: LOGGER,
};

/**
 * Follows the services of one type on the local network by multicast DNS
 * (RFC 6762 and 6763) until it is closed.
 *
 * At most 2,000 services and 20,000 records are kept: what a flood of invented
 * names brings beyond that is not taken in.
 *
 * @example
 * ```ts
 * import { Browser } from "@platypush/redis/zeroconf";
 *
 * await using browser = new Browser({
 *   interfaces: ["127.0.0.1"],
 *   onChange: ({ kind, service }) => console.log(kind, service.name),
 * });
 * await browser.start();
 * console.log(browser.services.length);
 * ```
 */
export class Browser implements AsyncDisposable {
  readonly #sockets: Sockets;
  readonly #browser: ServiceBrowser;
  #started: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Makes a browser, which does nothing until it is started.
   *
   * @param options What to look for, and where.
   * @throws {TypeError} There is no such option or it is of another kind, or
   * the type is not one that a service may have.
   */
  constructor(options: BrowserOptions = {}) {
    checkOptions("browse", options, OPTIONS);
    const { interfaces, unref = false, type = PLATYPUSH_REDIS } = options;
    const logger = options.logger ?? createLogger("zeroconf");
    const names = (): string[] =>
      this.#sockets.networks.map(({ name }) => name);
    this.#sockets = new Sockets({
      ...(interfaces && { interfaces }),
      unref,
      logger,
      onMessage: (message, source) => this.#browser.receive(message, source),
      onNetworkChange: () => {
        this.#browser.keepInterfaces(names());
        this.#browser.start();
      },
    });
    this.#browser = new ServiceBrowser({
      type: serviceType(type).slice(0, -1),
      clock: systemClock(unref),
      random: Math.random,
      send: this.#sockets.send,
      interfaceNames: names,
      channels: () => this.#sockets.channels,
      isOwnAddress,
      onChange: (change) => {
        try {
          options.onChange?.(change);
        } catch (error) {
          logger.error(`A listener for services failed: ${error}`);
        }
      },
    });
  }

  /** The services that are there now, sorted by name. */
  get services(): ServiceInfo[] {
    return this.#browser.services;
  }

  /**
   * Begins to look.
   *
   * @returns Resolves once the sockets are open, or multicast turned out to
   * be impossible, which is logged and tried again.
   * @throws {Error} The browser is closed.
   * @throws {Deno.errors.NotCapable} Deno does not permit to use the network
   * (`--allow-net`) or to look at its interfaces (`--allow-sys=networkInterfaces`).
   */
  start(): Promise<void> {
    if (this.#closing) {
      return Promise.reject(
        new Error("Cannot start the browser: it is closed"),
      );
    }
    return this.#started ??= this.#sockets.open();
  }

  /** Stops looking and closes the sockets. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#browser.stop();
      await this.#sockets.close();
      // Why it failed is told to whoever has started it.
      await this.#started?.catch(() => {});
    })();
    return this.#closing;
  }

  /** Closes it at the end of a block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}
