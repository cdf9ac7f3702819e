import type { BackendOptionAliases } from "./aliases.ts";
import { checkNames, type Names } from "../check_names.ts";
import { Bus } from "../bus/mod.ts";
import {
  checkInboxOptions,
  refuseValue,
} from "../redis/check_inbox_options.ts";
import { PEER_PLACE } from "./peers.ts";
import type { RedisBackendOptions } from "./redis_backend_options.ts";

type Name = Exclude<keyof RedisBackendOptions, keyof BackendOptionAliases>;

const NAMES: Names<Omit<RedisBackendOptions, keyof BackendOptionAliases>> = {
  actionConcurrency: true,
  actionTimeout: true,
  batchSize: true,
  bus: true,
  daemon: true,
  delivery: true,
  deviceId: true,
  foreign: true,
  heartbeatTimeout: true,
  logger: true,
  maxDeadLetters: true,
  maxDeliveries: true,
  maxInFlight: true,
  maxSize: true,
  name: true,
  pollSeconds: true,
  postEvents: true,
  queue: true,
  redisArgs: true,
  retryPause: true,
  stopTimeout: true,
  subscriberGrace: true,
  token: true,
};

const METHODS = ["debug", "info", "warn", "error"] as const;

type Check = (value: unknown) => boolean;

const isText: Check = (value) => typeof value === "string";
const isNames: Check = (value) =>
  Array.isArray(value) && value.length > 0 &&
  value.every((name) => isText(name) && name !== "");
const isObject: Check = (value) =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Options of a certain type, and what they have to be. */
const TYPES: Readonly<Partial<Record<Name, [Check, expected: string]>>> = {
  bus: [(value) => value instanceof Bus, "a Bus"],
  daemon: [(value) => typeof value === "boolean", "true or false"],
  deviceId: [isText, "a text"],
  logger: [
    (value) =>
      isObject(value) &&
      METHODS.every((name) =>
        typeof (value as Record<string, unknown>)[name] === "function"
      ),
    `an object with the functions ${METHODS.join(", ")}`,
  ],
  name: [isText, "a text"],
  postEvents: [
    (value) => typeof value === "boolean" || isObject(value),
    "true, false, or an object that says where to look",
  ],
  queue: [
    (value) => isText(value) || isNames(value),
    "a name or a list of names, at least one and none empty",
  ],
  redisArgs: [isObject, "an object, such as { url }"],
};

const TIMES = ["pollSeconds", "stopTimeout", "subscriberGrace"] as const;

/**
 * Refuses options that do not exist, which would be passed over silently, and
 * values that make no sense.
 *
 * @param options Options in camelCase.
 * @throws {TypeError} If there is no such option, or it is of another type.
 * @throws {RangeError} If a value makes no sense.
 */
export function checkOptions(options: RedisBackendOptions): void {
  checkNames("make the backend", options, NAMES);
  for (const [name, [isValid, expected]] of Object.entries(TYPES)) {
    const value = options[name as Name];
    if (value === undefined || isValid(value)) continue;
    // What it is may be a secret, such as a URL with a password.
    throw new TypeError(
      `Cannot make the backend: \`${name}\` is of the wrong kind, expected ${expected}`,
    );
  }
  if (typeof options.postEvents === "object") {
    checkNames("look for other hosts", options.postEvents, PEER_PLACE);
  }
  checkInboxOptions(options, "make the backend");
  const { maxSize } = options;
  if (maxSize !== undefined && !(Number.isInteger(maxSize) && maxSize > 0)) {
    refuse("maxSize", maxSize, "a whole number above 0");
  }
  for (const name of TIMES) {
    const value = options[name];
    if (value === undefined || (typeof value === "number" && value >= 0)) {
      continue;
    }
    refuse(name, value, "a number of seconds from 0 on");
  }
}

/** Throws the error for a value that makes no sense. */
export function refuse(name: string, value: unknown, expected: string): never {
  refuseValue("make the backend", name, value, expected);
}
