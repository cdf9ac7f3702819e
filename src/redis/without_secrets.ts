import type { Row } from "../options.ts";
import { isUrl, REDIS_ARGUMENTS, type RedisArgs } from "./redis_args.ts";

/** Stands for a secret. */
export const MASK: string = "***";

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
    payload: maskTokens(new TextDecoder().decode(payload)),
  }));
}

/** A text within such quotes, also where all ends within it. */
function textIn(quotes: string): string {
  const [quote] = quotes;
  const within = quotes.length > 1 ? `|${quote}(?!${quote}{2})` : "";
  return String
    .raw`${quotes}[^${quote}\\]*(?:(?:\\.${within})[^${quote}\\]*)*(?:${quotes}|\\?$)`;
}

/** A text in JSON or Python, with the signs before it. */
const TEXT = String.raw`\w{0,2}(?:${
  [`"""`, `'''`, `"`, `'`].map(textIn).join("|")
})`;

/** The name, each letter of which may be an escape such as `\u0074` or `\x74`. */
const NAME = ["t74", "o6[fF]", "k6[bB]", "e65", "n6[eE]"].map(
  ([letter, ...code]) => String.raw`(?:${letter}|\\+(?:u00|x)${code.join("")})`,
).join("");

/**
 * A token; Python takes texts behind one another for one. In a text within a text,
 * the quotes have a backslash, or several.
 */
export const TOKEN: RegExp = new RegExp(
  String
    .raw`((["'])${NAME}(\\*\2)(?:\2\2)?\s*:\s*)(${TEXT}(?:\s*${TEXT})*|-?\d[\d.]*|(\\+["']).*?(?:(?<!\\)\5|$))`,
  "gs",
);

/** Hides the tokens in the text of a message, each in quotes as its name has them. */
export function maskTokens(text: string): string {
  return text.replace(TOKEN, `$1$3${MASK}$3`);
}

/**
 * Keeps of a URL what is surely no secret. In one that is wrong, anything may be a
 * password; a user alone is often one whose colon was left out.
 */
export function maskUrl(url: string): string {
  if (!isUrl(url) || /@.*@/.test(url)) return MASK;
  const [place, query] = url.split("?") as [string, string?];
  const shown = place.replace(
    // A path may have an "@", too.
    /(?<=:)\/\/(?!\/[^:@]*@)([^:@]*:)?([^@]*)@/,
    (_, user = "", last) => `//${user}${last === "" ? "" : MASK}@`,
  );
  return query === undefined ? shown : `${shown}?${maskQuery(query)}`;
}

function maskQuery(query: string): string {
  return query.split("&").map((part) => {
    const [name = ""] = part.split("=");
    const isPublic = Object.hasOwn(REDIS_ARGUMENTS, name) &&
      !REDIS_ARGUMENTS[name as keyof RedisArgs].isSecret;
    return isPublic ? part : `${name}=${MASK}`;
  }).join("&");
}
