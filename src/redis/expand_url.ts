import { parseAddress } from "./address.ts";
import { checkRedisArgs, type RedisArgs } from "./redis_args.ts";

/** Replaces `url` by the arguments that it stands for. */
export function expandUrl(args: RedisArgs): RedisArgs {
  const { url, ...rest } = args;
  return url === undefined ? rest : { ...rest, ...parseUrl(url) };
}

const URL_PATTERN =
  /^(redis|rediss|unix):\/\/(?:([^:@/?#]*)(?::([^@/?#]*))?@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?$/;
const URL_HELP =
  "Cannot connect to Redis: `url` has to be redis://[user:password@]host[:port][/db], " +
  "rediss://… for TLS, or unix://[user:password@]/path[?db=0]; other signs in a password are encoded, as %40 for @";

/** Reads a URL by hand, because `URL` refuses a user without a host (`unix://`). */
function parseUrl(url: string): RedisArgs {
  const match = URL_PATTERN.exec(url);
  const [, scheme, user, password, authority = "", path = "", query] = match ??
    [];
  // Behind a `?` that should be encoded is the rest of a password.
  if (match === null || query?.includes("@")) throw new TypeError(URL_HELP);
  const found: RedisArgs = {};
  try {
    if (user) found.username = decodeURIComponent(user);
    if (password) found.password = decodeURIComponent(password);
    if (scheme === "unix") {
      found.unix_socket_path = decodeURIComponent(authority + path);
    } else {
      Object.assign(found, parseAddress(authority || "127.0.0.1", 6379));
      if (scheme === "rediss") found.ssl = true;
      if (path.length > 1) found.db = Number(path.slice(1));
    }
  } catch {
    throw new TypeError(URL_HELP);
  }
  for (const [name, value] of new URLSearchParams(query)) {
    Object.assign(found, { [name]: fromQuery(value) });
  }
  checkRedisArgs(found);
  return found;
}

function fromQuery(value: string): string | number | boolean {
  if (value === "true" || value === "True") return true;
  if (value === "false" || value === "False") return false;
  return /^\d+(\.\d+)?$/.test(value) ? Number(value) : value;
}
