import { nearest } from "../redis/nearest.ts";
import type { RedisBackendOptions } from "./redis_backend_options.ts";

type Name = Exclude<
  keyof RedisBackendOptions,
  "redis_args" | "poll_seconds" | "device_id"
>;

/** Every option, so that the compiler finds one that is missing here. */
const NAMES: Readonly<Record<Name, true>> = {
  actionConcurrency: true,
  actionTimeout: true,
  batchSize: true,
  bus: true,
  daemon: true,
  delivery: true,
  deviceId: true,
  foreign: true,
  logger: true,
  maxDeliveries: true,
  maxSize: true,
  name: true,
  pollSeconds: true,
  postEvents: true,
  queue: true,
  redisArgs: true,
  stopTimeout: true,
  subscriberGrace: true,
  token: true,
};

const COUNTS = ["batchSize", "maxDeliveries", "maxSize"] as const;
const TIMES = ["pollSeconds", "stopTimeout", "subscriberGrace"] as const;
const CHOICES = {
  delivery: ["at-least-once", "at-most-once"],
  foreign: ["dead-letter", "drop"],
} as const;

/**
 * Refuses options that do not exist, which would be passed over silently, and
 * values that make no sense.
 *
 * @param options Options in camelCase.
 * @throws {TypeError} If there is no such option.
 * @throws {RangeError} If a value makes no sense.
 */
export function checkOptions(options: RedisBackendOptions): void {
  for (const name of Object.keys(options)) {
    if (Object.hasOwn(NAMES, name)) continue;
    throw new TypeError(
      `Cannot make the backend: there is no option \`${name}\`; the nearest one is \`${
        nearest(name, Object.keys(NAMES))
      }\``,
    );
  }
  for (const name of COUNTS) {
    const value = options[name];
    if (value === undefined || (Number.isInteger(value) && value > 0)) continue;
    refuse(name, value, "a whole number above 0");
  }
  for (const name of TIMES) {
    const value = options[name];
    if (value === undefined || (typeof value === "number" && value >= 0)) {
      continue;
    }
    refuse(name, value, "a number of seconds from 0 on");
  }
  for (const [name, choices] of Object.entries(CHOICES)) {
    const value = options[name as keyof typeof CHOICES];
    if (value === undefined || choices.some((choice) => choice === value)) {
      continue;
    }
    refuse(name, value, choices.map((choice) => `"${choice}"`).join(" or "));
  }
}

/** Throws the error for a value that makes no sense. */
export function refuse(name: string, value: unknown, expected: string): never {
  throw new RangeError(
    `Cannot make the backend: \`${name}\` is ${
      JSON.stringify(value)
    }, expected ${expected}`,
  );
}
