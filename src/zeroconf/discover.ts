import { checkOptions, type Row, row, type Rows } from "../options.ts";
import { DAEMON, LOGGER, SECONDS, SIGNAL, TEXT, TEXTS } from "../kinds.ts";
import { createLogger } from "../logger.ts";
import { Browser, type BrowserOptions } from "./browser.ts";
import type { DnsQuestion } from "./dns_message.ts";
import { Engine, Participant } from "./engine.ts";
import { ALL_TYPES } from "./names.ts";
import type { Follower } from "./querier.ts";
import type { ServiceInfo } from "./service_info.ts";
import { sleep } from "../waiting.ts";

/** Says what {@linkcode discover} looks for, and for how long. */
export interface DiscoverOptions extends Omit<BrowserOptions, "onChange"> {
  /** The time to look, in seconds. Default: 2. */
  timeout?: number;
  /** Ends the search early, without an error. */
  signal?: AbortSignal;
}

/** The time to look. */
export const LOOK_TIMEOUT: Row & { readonly default: number } = row(SECONDS, {
  default: 2,
});

const OPTIONS: Rows<DiscoverOptions, "daemon" | "timeout"> = {
  type: TEXT,
  interfaces: TEXTS,
  daemon: DAEMON,
  logger: LOGGER,
  timeout: LOOK_TIMEOUT,
  signal: SIGNAL,
};

/**
 * Looks for the services of one type.
 *
 * @param options What to look for, and for how long.
 * @returns The services that were found, sorted by name.
 * @throws {TypeError} There is no such option or it is of another kind, or the
 * type is not one that a service may have.
 * @throws {RangeError} The time is no number of seconds.
 * @throws {Deno.errors.NotCapable} Deno does not permit to use the network
 * (`--allow-net`) or to look at its interfaces (`--allow-sys=networkInterfaces`).
 *
 * @example
 * ```ts
 * import { discover } from "@platypush/redis/zeroconf";
 *
 * const peers = await discover({ timeout: 0.2, interfaces: ["127.0.0.1"] });
 * for (const { deviceId, redisUrl } of peers) console.log(deviceId, redisUrl);
 * ```
 */
export async function discover(
  options: DiscoverOptions = {},
): Promise<ServiceInfo[]> {
  const { timeout, signal, ...place } = checkOptions(
    "discover",
    options,
    OPTIONS,
  );
  await using browser = new Browser(place);
  await browser.start();
  await sleep(timeout, { signal });
  return browser.services;
}

const TYPES_OPTIONS: Rows<
  Omit<DiscoverOptions, "type">,
  "daemon" | "timeout"
> = {
  timeout: LOOK_TIMEOUT,
  signal: SIGNAL,
  interfaces: TEXTS,
  daemon: DAEMON,
  logger: LOGGER,
};

/**
 * Lists the service types on the network (RFC 6763, section 9).
 *
 * @param options For how long to look, and where.
 * @returns The types, sorted, such as `_http._tcp.local.`.
 * @throws {TypeError} There is no such option or it is of another kind.
 * @throws {RangeError} The time is no number of seconds.
 * @throws {Deno.errors.NotCapable} Deno does not permit to use the network
 * (`--allow-net`) or to look at its interfaces (`--allow-sys=networkInterfaces`).
 *
 * @example
 * ```ts
 * import { discoverTypes } from "@platypush/redis/zeroconf";
 *
 * console.log(await discoverTypes({ timeout: 0.2, interfaces: ["127.0.0.1"] }));
 * ```
 */
export async function discoverTypes(
  options: Omit<DiscoverOptions, "type"> = {},
): Promise<string[]> {
  const {
    timeout,
    signal,
    interfaces,
    daemon,
    logger = createLogger("zeroconf"),
  } = checkOptions("discover", options, TYPES_OPTIONS);
  const place = new Participant({ interfaces, daemon, logger });
  const engine = await Engine.join(place);
  // Of a type there is nothing more to know than that it is there.
  const follower: Follower = {
    type: ALL_TYPES,
    place,
    review: () => {},
    missing: (): DnsQuestion[] => [],
  };
  try {
    engine.querier.follow(follower);
    await sleep(timeout, { signal });
    return engine.querier.namesOf(ALL_TYPES).map((type) => `${type}.`).sort();
  } finally {
    engine.querier.unfollow(follower);
    await engine.leave(place);
  }
}
