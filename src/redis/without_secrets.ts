import type { Row } from "../options.ts";
import { REDIS_ARGUMENTS, type RedisArgs } from "./redis_args.ts";

const MASK = "***";

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
          ? String(value).replace(/:[^:@/]*@/, `:${MASK}@`)
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
