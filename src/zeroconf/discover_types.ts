import { checkOptions, type Kinds } from "../check_options.ts";
import { FLAG, LOGGER, SECONDS, SIGNAL, TEXTS } from "../kinds.ts";
import { createLogger } from "../logger.ts";
import type { DiscoverOptions } from "./discover.ts";
import { fold } from "./dns_message.ts";
import { isKnown, Sockets } from "./sockets.ts";
import { splitQuery } from "./split_query.ts";
import { sleep } from "../waiting.ts";

const ALL_TYPES = "_services._dns-sd._udp.local";
/** The most types that are listed, whatever invents them. */
const MAX_TYPES = 2_000;

const OPTIONS: Kinds<Omit<DiscoverOptions, "type">> = {
  timeout: SECONDS,
  signal: SIGNAL,
  interfaces: TEXTS,
  unref: FLAG,
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
  checkOptions("discover", options, OPTIONS);
  const { timeout = 2, signal, interfaces, unref } = options;
  const types = new Map<string, string>();
  const sockets = new Sockets({
    ...(interfaces && { interfaces }),
    ...(unref !== undefined && { unref }),
    logger: options.logger ?? createLogger("zeroconf"),
    onNetworkChange: () => {},
    onMessage: ({ type, answers, additionals }) => {
      if (type !== "response") return;
      for (const record of [...answers, ...additionals].filter(isKnown)) {
        if (record.type !== "PTR" || fold(record.name) !== ALL_TYPES) continue;
        if (types.size >= MAX_TYPES || record.ttl === 0) continue;
        types.set(fold(record.data), `${record.data}.`);
      }
    },
  });
  try {
    await sockets.open();
    const end = performance.now() + timeout * 1_000;
    // RFC 6762, section 5.2: the second query a second later, then twice as long.
    for (let pause = 1; !signal?.aborted; pause *= 2) {
      for (const query of splitQuery([{ name: ALL_TYPES, type: "PTR" }], [])) {
        sockets.send(query);
      }
      const left = (end - performance.now()) / 1_000;
      await sleep(Math.min(pause, Math.max(0, left)), { signal });
      if (performance.now() >= end) break;
    }
  } finally {
    await sockets.close();
  }
  return [...types.values()].sort();
}
