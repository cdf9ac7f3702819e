import { whenAborted } from "../waiting.ts";
import { checkOptions, row, type Rows } from "../options.ts";
import { DAEMON, FUNCTION, LOGGER, SIGNAL, TEXT, TEXTS } from "../kinds.ts";
import { guarded } from "../guarded.ts";
import { createLogger, type Logger } from "../logger.ts";
import { Engine, Participant } from "./engine.ts";
import { serviceType } from "./names.ts";
import { ServiceBrowser } from "./service_browser.ts";
import type { ServiceChange, ServiceInfo } from "./service_info.ts";

/**
 * The type of Platypush's Redis backends, which a {@linkcode Browser} looks for
 * where nothing else is said.
 */
export const PLATYPUSH_REDIS = "_platypush-redis._tcp.local.";

/** Says what a {@linkcode Browser} looks for, and where. */
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
  /** True if it lets the process end. Default: `false`. */
  daemon?: boolean;
  /**
   * The logger that hears what it does. Default: LogTape's category
   * `["platypush", "redis", "zeroconf"]`.
   */
  logger?: Logger;
}

const OPTIONS: Rows<BrowserOptions, "daemon" | "type"> = {
  type: row(TEXT, { default: PLATYPUSH_REDIS }),
  interfaces: TEXTS,
  onChange: FUNCTION,
  daemon: DAEMON,
  logger: LOGGER,
};

/**
 * Follows the services of one type on the local network by multicast DNS
 * (RFC 6762 and 6763) until it is closed.
 *
 * At most 2,000 services and 20,000 records are kept: a host that invents more
 * crowds out its own, and nobody else's.
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
  readonly #participant: Participant;
  readonly #type: string;
  readonly #onChange: (change: ServiceChange) => void;
  #browser: ServiceBrowser | undefined;
  #started: Promise<void> | undefined;
  #engine: Engine | undefined;
  #closing: Promise<void> | undefined;

  /**
   * Makes a browser, which does nothing until it is started.
   *
   * @param options What to look for, and where.
   * @throws {TypeError} There is no such option or it is of another kind, or
   * the type is not one that a service may have.
   */
  constructor(options: BrowserOptions = {}) {
    const {
      interfaces,
      daemon,
      type,
      logger = createLogger("zeroconf"),
    } = checkOptions("browse", options, OPTIONS);
    this.#type = serviceType(type).slice(0, -1);
    this.#participant = new Participant({ interfaces, daemon, logger });
    this.#onChange = guarded(
      options.onChange,
      (error) =>
        logger.error(`\`onChange\` of the browser has failed: ${error}.`),
    );
  }

  /** The services that are there now, sorted by name. */
  get services(): ServiceInfo[] {
    return this.#browser?.services ?? [];
  }

  /**
   * Tells how a service is.
   *
   * @param name Its full name, as in {@linkcode ServiceInfo}.
   * @returns `here` where it is known completely; `unreachable` where others have
   * told that it exists, but it does not answer, and is asked for every eight
   * seconds; `gone` where nobody tells of it, or the browser does not look.
   *
   * @example
   * ```ts
   * import { Browser } from "@platypush/redis/zeroconf";
   *
   * await using browser = new Browser({ interfaces: ["127.0.0.1"] });
   * await browser.start();
   * console.assert(browser.stateOf("attic._platypush-redis._tcp.local.") === "gone");
   * ```
   */
  stateOf(name: string): "here" | "unreachable" | "gone" {
    return this.#engine?.querier.stateOf(withoutDot(name)) ?? "gone";
  }

  /**
   * Asks for a service again, because it did not answer by other ways: unless it
   * does within ten seconds, it is `removed` (RFC 6762, section 10.4). `sendTo`
   * does so where a connection to a peer fails.
   *
   * @param name Its full name, as in {@linkcode ServiceInfo}.
   *
   * @example
   * ```ts
   * import { Browser } from "@platypush/redis/zeroconf";
   *
   * await using browser = new Browser({ interfaces: ["127.0.0.1"] });
   * await browser.start();
   * for (const { name } of browser.services) browser.reconfirm(name);
   * ```
   */
  reconfirm(name: string): void {
    this.#engine?.querier.reconfirm(withoutDot(name));
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
    return this.#started ??= this.#start();
  }

  /** Stops looking and closes the sockets that nobody else needs. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      // Why it failed is told to whoever has started it.
      await this.#started?.catch(() => {});
      if (this.#browser) this.#engine?.querier.unfollow(this.#browser);
      await this.#engine?.leave(this.#participant);
    })();
    return this.#closing;
  }

  /** Closes it at the end of a block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #start(): Promise<void> {
    const engine = this.#engine = await Engine.join(this.#participant);
    if (this.#closing) return;
    this.#browser = new ServiceBrowser({
      type: this.#type,
      place: this.#participant,
      cache: engine.querier.cache,
      isOwnAddress: (address) => engine.isOwnAddress(address),
      isOnLink: (on, address) => engine.isOnLink(on, address),
      onChange: this.#onChange,
    });
    engine.querier.follow(this.#browser);
  }
}

function withoutDot(name: string): string {
  return name.replace(/\.$/, "");
}

/** Says what {@linkcode browse} looks for, and for how long. */
export interface BrowseOptions extends Omit<BrowserOptions, "onChange"> {
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
}

const BROWSE_OPTIONS: Rows<BrowseOptions> = {
  type: TEXT,
  interfaces: TEXTS,
  daemon: DAEMON,
  logger: LOGGER,
  signal: SIGNAL,
};

/**
 * Follows the services of one type.
 *
 * @param options What to look for, and where.
 * @returns Each change in order, beginning with the services that are there.
 * It goes on until the signal is aborted or the loop is left.
 * @throws {TypeError} There is no such option or it is of another kind, or the
 * type is not one that a service may have.
 * @throws {Deno.errors.NotCapable} Deno does not permit to use the network
 * (`--allow-net`) or to look at its interfaces (`--allow-sys=networkInterfaces`).
 *
 * @example
 * ```ts
 * import { browse } from "@platypush/redis/zeroconf";
 *
 * const signal = AbortSignal.timeout(100);
 * for await (const change of browse({ interfaces: ["127.0.0.1"], signal })) {
 *   console.log(change.kind, change.service.redisUrl);
 * }
 * ```
 */
export async function* browse(
  options: BrowseOptions = {},
): AsyncGenerator<ServiceChange, void, void> {
  const { signal, ...place } = checkOptions("browse", options, BROWSE_OPTIONS);
  const changes: ServiceChange[] = [];
  let more = Promise.withResolvers<void>();
  const wake = (): void => more.resolve();
  using _end = whenAborted(signal, wake);
  await using browser = new Browser({
    ...place,
    onChange: (change) => {
      changes.push(change);
      wake();
    },
  });
  if (!signal?.aborted) await browser.start();
  while (!signal?.aborted) {
    yield* changes.splice(0);
    if (signal?.aborted) return;
    if (changes.length === 0) await more.promise;
    more = Promise.withResolvers();
  }
}
