/**
 * The version of this package, as services announce it in their TXT record.
 *
 * @example
 * ```ts
 * import { VERSION } from "@platypush/redis";
 *
 * console.assert(/^\d+\.\d+\.\d+/.test(VERSION));
 * ```
 */
export const VERSION = "0.1.0";
