import { OBJECT } from "../kinds.ts";

/** What Platypush's names of options are here. */
const OPTIONS: Readonly<Record<string, string>> = {
  redis_args: "redisArgs",
  poll_seconds: "pollSeconds",
  device_id: "deviceId",
  srv_type: "srvType",
  srv_name: "srvName",
  on_response: "onResponse",
  response_timeout: "responseTimeout",
  queue_name: "queueName",
};

/**
 * Renames Platypush's names of options; where an option has both, the
 * camelCase one counts.
 *
 * @param options Options as the application wrote them.
 * @returns A copy that has only camelCase names, without undefined ones.
 */
export function camelCaseOptions<T extends object>(options: T): T {
  if (!OBJECT.accepts(options)) return options;
  const entries = Object.entries(options).filter(([, value]) =>
    value !== undefined
  );
  const renamed = entries.filter(([name]) => Object.hasOwn(OPTIONS, name))
    .map(([name, value]) => [OPTIONS[name], value]);
  const others = entries.filter(([name]) => !Object.hasOwn(OPTIONS, name));
  return Object.fromEntries([...renamed, ...others]) as T;
}
