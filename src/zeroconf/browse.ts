import { checkOptions, type Kinds } from "../check_options.ts";
import { FLAG, LOGGER, SIGNAL, TEXT, TEXTS } from "../kinds.ts";
import { Browser, type BrowserOptions } from "./browser.ts";
import type { ServiceChange } from "./service_info.ts";

/** What {@linkcode browse} looks for, and for how long. */
export interface BrowseOptions extends Omit<BrowserOptions, "onChange"> {
  /** Ends the iteration, without an error. */
  signal?: AbortSignal;
}

const OPTIONS: Kinds<BrowseOptions> = {
  type: TEXT,
  interfaces: TEXTS,
  unref: FLAG,
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
  checkOptions("browse", options, OPTIONS);
  const { signal, ...place } = options;
  const changes: ServiceChange[] = [];
  let more = Promise.withResolvers<void>();
  const wake = (): void => more.resolve();
  signal?.addEventListener("abort", wake);
  await using browser = new Browser({
    ...place,
    onChange: (change) => {
      changes.push(change);
      wake();
    },
  });
  try {
    if (!signal?.aborted) await browser.start();
    while (!signal?.aborted) {
      yield* changes.splice(0);
      if (signal?.aborted) return;
      if (changes.length === 0) await more.promise;
      more = Promise.withResolvers();
    }
  } finally {
    signal?.removeEventListener("abort", wake);
  }
}
