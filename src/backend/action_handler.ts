import type { Request } from "../message/mod.ts";

/** What an {@linkcode ActionHandler} is told besides the request. */
export interface ActionContext {
  /**
   * Aborted when nobody waits for the action any more: its time limit is over,
   * or the backend, which is stopping, has waited for it as long as it does.
   */
  readonly signal: AbortSignal;
}

/**
 * Executes an action.
 *
 * @param args The request's arguments.
 * @param request The request.
 * @param context The signal.
 * @returns The response's output, or a promise of it. What it throws becomes
 * the response's error.
 *
 * @example
 * ```ts
 * import { type ActionHandler, RedisBackend } from "@platypush/redis";
 *
 * const download: ActionHandler = async ({ url }, request, { signal }) => {
 *   const response = await fetch(String(url), { signal });
 *   return `${request.origin} gets ${(await response.bytes()).length} bytes`;
 * };
 *
 * await using backend = new RedisBackend({ deviceId: "livingroom" });
 * backend.registerAction("web.download", download, { timeout: 300 });
 * ```
 */
export type ActionHandler = (
  args: Record<string, unknown>,
  request: Request,
  context: ActionContext,
) => unknown;

/** How an {@linkcode ActionHandler} is executed. */
export interface ActionOptions {
  /**
   * How long it may take, in seconds; `Infinity` for no limit. Default: the
   * backend's `actionTimeout`.
   */
  timeout?: number;
}
