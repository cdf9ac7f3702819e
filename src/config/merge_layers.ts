import { expandUrl } from "../redis/expand_url.ts";
import type { RedisArgs } from "../redis/redis_args.ts";
import type { Given, Layer } from "./layer.ts";

type Args = Readonly<Record<string, Given>>;

/** Each of these says by itself where the server is. */
const WHOLE_PLACE = /^(url|unix_socket_path|sentinels|cluster)$/;
/** What holds for one server, not for connections as such. */
const OF_SERVER =
  /^(url|host|port|db|unix_socket_path|sentinels?\w*|serviceName|cluster|username|password|ssl\w*)$/;
const SECRET = /^(password|ssl_password|sentinelPassword)$/;

/**
 * Puts a stronger source on top of weaker ones, value by value.
 *
 * Where the stronger one says in one piece where the server is (`url`,
 * `unix_socket_path`, `sentinels` or `cluster`), all that the weaker ones say
 * about their server is left out: its place, its credentials and its TLS. A
 * password must not go to a server that it was not meant for.
 *
 * @param weaker What counts where the stronger one is silent.
 * @param stronger What counts.
 * @param warn Told when a password is left out.
 */
export function mergeLayers(
  weaker: Layer,
  stronger: Layer,
  warn: (text: string) => void,
): Layer {
  return {
    options: { ...weaker.options, ...stronger.options },
    redisArgs: mergeRedisArgs(weaker.redisArgs, stronger.redisArgs, warn),
  };
}

function mergeRedisArgs(
  weaker: Args,
  stronger: Args,
  warn: (text: string) => void,
): Args {
  const place = Object.entries(stronger).find(([name, given]) =>
    WHOLE_PLACE.test(name) && isGiven(given)
  )?.[1];
  if (place !== undefined) {
    warnOfSecrets(weaker, stronger, place, warn);
    return { ...without(weaker, OF_SERVER), ...stronger };
  }
  if (!Object.keys(stronger).some((name) => OF_SERVER.test(name))) {
    return { ...weaker, ...stronger };
  }
  // In the arguments a URL wins over the others, here the stronger source does.
  const expanded = expand(weaker);
  const isElsewhere = isGiven(stronger.host) || isGiven(stronger.port);
  return {
    ...(isElsewhere
      ? without(
        expanded,
        /^(unix_socket_path|sentinel\w*|serviceName|cluster)$/,
      )
      : expanded),
    ...stronger,
  };
}

function warnOfSecrets(
  weaker: Args,
  stronger: Args,
  place: Given,
  warn: (text: string) => void,
): void {
  const instead = expand(stronger);
  for (const [name, { value, origin }] of Object.entries(expand(weaker))) {
    if (!SECRET.test(name) || !value || isGiven(instead[name])) continue;
    warn(
      `\`${name}\` from ${origin} is not used, since ${place.origin} names the server; give its credentials there`,
    );
  }
}

function expand(args: Args): Args {
  const { url, ...rest } = args;
  if (url === undefined) return args;
  const parts = Object.entries(
    expandUrl({ url: String(url.value) } as RedisArgs),
  );
  const expanded = parts.map(([name, value]) => [name, { ...url, value }]);
  return { ...rest, ...Object.fromEntries(expanded) };
}

function without(args: Args, names: RegExp): Args {
  return Object.fromEntries(
    Object.entries(args).filter(([name]) => !names.test(name)),
  );
}

function isGiven(given: Given | undefined): boolean {
  return (given?.value ?? undefined) !== undefined;
}
