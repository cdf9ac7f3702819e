import { BACKEND_OPTIONS } from "../backend/backend_options.ts";
import type { Row } from "../options.ts";
import { REDIS_ARGUMENTS } from "../redis/redis_args.ts";
import { MASK, maskUrl } from "../redis/without_secrets.ts";

const SECRETS: readonly string[] = [
  "sentinel_password",
  ...[
    ...Object.entries<Row>(BACKEND_OPTIONS),
    ...Object.entries<Row>(REDIS_ARGUMENTS),
  ]
    .filter(([, { isSecret }]) => isSecret).map(([name]) => name),
];

/**
 * Replaces the secrets in options by `***`, for showing them: passwords, the
 * token, and the password in a `url`.
 *
 * @param options Options for a backend, arguments for Redis, or any part.
 * @returns A copy to show. What JSON has no value for is a text: functions and
 * class instances become their kind in parentheses, an infinity `Infinity`.
 *
 * @example
 * ```ts
 * import { maskSecrets } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * assert.deepEqual(
 *   maskSecrets({ redisArgs: { url: "redis://me:secret@redis.example" } }),
 *   { redisArgs: { url: "redis://me:***@redis.example" } },
 * );
 * ```
 */
export function maskSecrets<T extends object>(options: T): T {
  return mask("", options) as T;
}

/**
 * Replaces a value by `***` if its name says that it is a secret.
 *
 * @param name The name of an option or of an argument for Redis.
 * @param around The objects that it is in, which it may refer to.
 */
export function mask(
  name: string,
  value: unknown,
  around: readonly unknown[] = [],
): unknown {
  if (SECRETS.includes(name)) return (value ?? "") === "" ? value : MASK;
  if (typeof value === "string") return name === "url" ? maskUrl(value) : value;
  if (around.includes(value)) return "(itself)";
  const within = [...around, value];
  if (Array.isArray(value)) {
    return value.map((item) => mask(name, item, within));
  }
  if (value === Infinity) return "Infinity";
  if (typeof value === "function") return "(function)";
  if (typeof value !== "object" || value === null) return value;
  const { constructor } = value;
  if (constructor !== undefined && constructor !== Object) {
    return `(${constructor.name})`;
  }
  return Object.fromEntries(
    Object.entries(value)
      .map(([name, item]) => [name, mask(name, item, within)]),
  );
}
