/**
 * Zeroconf: an {@linkcode Advertiser} advertises services on the local network,
 * {@linkcode discover} and {@linkcode browse} find those of others, by multicast
 * DNS (RFC 6762) and DNS service discovery (RFC 6763).
 *
 * @module
 */

export {
  Advertiser,
  type AdvertiserOptions,
  type ServiceOptions,
} from "./advertiser.ts";
export {
  browse,
  type BrowseOptions,
  Browser,
  type BrowserOptions,
  PLATYPUSH_REDIS,
} from "./browser.ts";
export { discover, type DiscoverOptions, discoverTypes } from "./discover.ts";
export { serviceType } from "./names.ts";
export type { ServiceChange, ServiceInfo } from "./service_info.ts";
export type { Logger } from "../logger.ts";
