import { createHash, timingSafeEqual } from "node:crypto";
import type { Request } from "../message/mod.ts";

/**
 * Tells whether a request may be executed.
 *
 * @param token The request's token, which anybody may have sent; `null` where
 * it has none.
 * @param request The request.
 * @returns Whether it may; nothing but `true` allows it.
 *
 * @example
 * ```ts
 * import { RedisBackend, type TokenCheck } from "@platypush/redis";
 *
 * const check: TokenCheck = (token, { action }) =>
 *   action.endsWith(".status") || token === "what only the family knows";
 * const backend = new RedisBackend({ token: check });
 * console.assert(!backend.isAlive());
 * ```
 */
export type TokenCheck = (
  token: string | null,
  request: Request,
) => boolean | Promise<boolean>;

/**
 * Makes a check of a token. It takes the same time whatever is wrong with the
 * token that is checked.
 *
 * @param token The right token, or a check.
 * @returns The check.
 */
export function tokenCheck(token: string | TokenCheck): TokenCheck {
  if (typeof token === "function") return token;
  const expected = digest(token);
  return (given) => given !== null && timingSafeEqual(digest(given), expected);
}

/** Of equal length for all tokens. */
function digest(token: string): Uint8Array {
  return createHash("sha256").update(token).digest();
}
