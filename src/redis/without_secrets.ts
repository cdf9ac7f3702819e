import type { Row } from "../options.ts";
import { REDIS_ARGUMENTS, type RedisArgs } from "./redis_args.ts";

/** Stands for a secret. */
export const MASK: string = "***";

const URL_PATTERN =
  /^((?:rediss?|unix):\/\/)(?:([^:@/?#]*)(:[^/?#]*)?@)?([^@?#]*)(?:\?([^#]*))?$/i;

/**
 * Lets `console.log` show something else of an object than it holds. The property
 * for that is not enumerable, so that copies and comparisons pass it over.
 */
function showAs<Value extends object>(
  value: Value,
  shown: (value: Value) => object,
): Value {
  const inspectShown = (
    inspect: (value: unknown, options: unknown) => string,
    options: unknown,
  ): string => inspect(shown(value), options);
  return Object.defineProperty(value, Symbol.for("Deno.customInspect"), {
    value: inspectShown,
  });
}

/** Keeps passwords from being shown, wherever the arguments are logged. */
export function withoutSecrets(args: RedisArgs): RedisArgs {
  const rows: Readonly<Record<string, Row>> = REDIS_ARGUMENTS;
  return showAs(args, (args) =>
    Object.fromEntries(
      Object.entries(args).map(([name, value]) => [
        name,
        rows[name]?.isSecret && value
          ? MASK
          : name === "url"
          ? maskUrl(String(value))
          : value,
      ]),
    ));
}

/** Shows a payload as a text, and keeps the token of a request from being shown. */
export function withoutToken<Letter extends { readonly payload: Uint8Array }>(
  letter: Letter,
): Letter {
  return showAs(letter, ({ payload, ...others }) => ({
    ...others,
    payload: new TextDecoder().decode(payload)
      .replace(/(["']token["']\s*:\s*)(?:"[^"]*"|'[^']*'|\d+)/g, `$1"${MASK}"`),
  }));
}

/**
 * Keeps of a URL what is surely no secret. It takes known schemes only: where one
 * was left out, a name stands in its place, and a password may look like a host.
 */
export function maskUrl(url: string): string {
  const match = URL_PATTERN.exec(url);
  const [, scheme, user, password, place, query] = match ?? [];
  // A `?` in a password that is not encoded makes a query of its rest.
  if (match === null || query?.includes("@")) return MASK;
  const userInfo = user === undefined
    ? ""
    : `${user}${password === undefined || password === ":" ? "" : `:${MASK}`}@`;
  return `${scheme}${userInfo}${place}${
    query === undefined ? "" : `?${maskQuery(query)}`
  }`;
}

function maskQuery(query: string): string {
  return query.split("&").map((part) => {
    const [name = ""] = part.split("=");
    const isPublic = Object.hasOwn(REDIS_ARGUMENTS, name) &&
      !REDIS_ARGUMENTS[name as keyof RedisArgs].isSecret;
    return isPublic ? part : `${name}=${MASK}`;
  }).join("&");
}
