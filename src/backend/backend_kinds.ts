import { Bus } from "../bus/mod.ts";
import type { Kinds } from "../check_options.ts";
import {
  COUNT,
  FLAG,
  FUNCTION,
  type Kind,
  LOGGER,
  NAME,
  NAMES,
  OBJECT,
  SECONDS,
  SIZE,
  TEXT,
  TIME_LIMIT,
} from "../kinds.ts";
import { DELIVERY_OPTIONS } from "../redis/inbox_options.ts";
import type { OptionAlias } from "./aliases.ts";
import type { RedisBackendOptions } from "./redis_backend_options.ts";

const BUS: Kind = {
  expected: "a Bus",
  accepts: (value) => value instanceof Bus,
};
const POST_EVENTS: Kind = {
  expected: "true, false, or an object that says where to look",
  accepts: (value) => FLAG.accepts(value) || OBJECT.accepts(value),
};
/** An empty one, as of a shell variable that is not set, is the usual queue. */
const QUEUE: Kind = {
  expected: NAMES.expected,
  accepts: (value) => TEXT.accepts(value) || NAMES.accepts(value),
};
const TOKEN: Kind = {
  expected: "a text that is not empty, or a function",
  accepts: (value) => NAME.accepts(value) || FUNCTION.accepts(value),
};

/** Every option of a backend, in camelCase. */
export const BACKEND_OPTIONS: Kinds<Omit<RedisBackendOptions, OptionAlias>> = {
  ...DELIVERY_OPTIONS,
  actionConcurrency: COUNT,
  actionTimeout: TIME_LIMIT,
  bus: BUS,
  daemon: FLAG,
  deviceId: TEXT,
  logger: LOGGER,
  maxSize: SIZE,
  name: TEXT,
  pollSeconds: SECONDS,
  postEvents: POST_EVENTS,
  queue: QUEUE,
  redisArgs: OBJECT,
  stopTimeout: SECONDS,
  subscriberGrace: SECONDS,
  token: TOKEN,
};
