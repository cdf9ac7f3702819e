import { expandUrl, type RedisArgs } from "../redis/options.ts";
import { type Given, type Layer, valuesOf } from "./layer.ts";

type Args = Readonly<Record<string, Given>>;

/** Each of these says by itself where the server is. */
const WHOLE_PLACES = ["url", "unix_socket_path", "sentinels", "cluster"];
const SENTINEL = [
  "serviceName",
  "sentinelUsername",
  "sentinelPassword",
];
const SECRETS = ["password", "ssl_password", "sentinelPassword"];

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
  const whole = WHOLE_PLACES.find((name) => isGiven(stronger[name]));
  if (whole !== undefined) {
    const kept = without(weaker, belongsToServer);
    warnOfSecrets(weaker, stronger, stronger[whole]!, warn);
    return { ...kept, ...stronger };
  }
  if (!Object.keys(stronger).some(belongsToServer)) {
    return { ...weaker, ...stronger };
  }
  // In the arguments a URL wins over the others, here the stronger source does.
  const expanded = expand(weaker);
  const namesServer = isGiven(stronger.host) || isGiven(stronger.port);
  const kept = namesServer
    ? without(
      expanded,
      (name) => WHOLE_PLACES.includes(name) || SENTINEL.includes(name),
    )
    : expanded;
  return { ...kept, ...stronger };
}

/** Whether an argument is about one server, not about connections as such. */
function belongsToServer(name: string): boolean {
  return [
    ...WHOLE_PLACES,
    ...SENTINEL,
    "host",
    "port",
    "db",
    "username",
    "password",
  ].includes(name) || /^ssl(_|$)/.test(name);
}

function warnOfSecrets(
  weaker: Args,
  stronger: Args,
  place: Given,
  warn: (text: string) => void,
): void {
  const values = valuesOf(expand(stronger));
  for (const [name, { source, origin }] of Object.entries(expand(weaker))) {
    if (!SECRETS.includes(name) || source === "default") continue;
    if (isGiven(stronger[name]) || values[name] !== undefined) continue;
    warn(
      `\`${name}\` from ${origin} is not used, since ${place.origin} names another server; give its credentials there.`,
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

function without(args: Args, isLeftOut: (name: string) => boolean): Args {
  return Object.fromEntries(
    Object.entries(args).filter(([name]) => !isLeftOut(name)),
  );
}

function isGiven(given: Given | undefined): boolean {
  return (given?.value ?? undefined) !== undefined;
}
