/**
 * A page to look at: {@linkcode dashboard} shows live how a backend stands, what
 * passes, what failed, and who else is on the network.
 *
 * @example
 * ```ts
 * import { RedisBackend } from "@platypush/redis";
 * import { dashboard } from "@platypush/redis/dashboard";
 *
 * await using backend = new RedisBackend({ deviceId: "hall" });
 * await using page = dashboard({ backend, token: "correct horse" });
 * const response = await page(new Request("http://127.0.0.1/login"));
 * console.assert(response.status === 200);
 * ```
 *
 * @module
 */

export { type Dashboard, dashboard } from "./dashboard.ts";
export type { DashboardOptions } from "./dashboard_options.ts";
export type { RequestInfo } from "./guard.ts";
