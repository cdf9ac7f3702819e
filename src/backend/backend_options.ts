import { Bus } from "../bus/mod.ts";
import {
  type Checked,
  type Kind,
  problemIn,
  row,
  type Rows,
} from "../options.ts";
import {
  COUNT,
  FLAG,
  FUNCTION,
  LOGGER,
  NAME,
  NAMES,
  OBJECT,
  SECONDS,
  TEXT,
  TIME_LIMIT,
} from "../kinds.ts";
import {
  DELIVERY_OPTIONS,
  type FilledInboxOption,
} from "../redis/inbox_options.ts";
import { DEFAULT_QUEUE } from "../redis/queue_keys.ts";
import { type PeerOptions, PEERS } from "./peer_access.ts";
import { PEER_PLACE } from "./peer_browser.ts";
import type { Logger } from "../logger.ts";
import type { DeliveryOptions, RedisArgs } from "../redis/mod.ts";
import type { TokenCheck } from "./actions.ts";
import type { BrowserOptions } from "../zeroconf/mod.ts";

/** Configures a {@linkcode Backend}. Everything has a default. */
export interface BackendOptions {
  /** Its name, for people. Default: the name of its class. */
  name?: string | null;
  /** Lets the process end while the backend runs. Default: `false`. */
  daemon?: boolean | null;
  /**
   * The pause between two calls of `loop()`, in seconds, and after an error in
   * it. Default: no pause, and 5 after an error.
   */
  pollSeconds?: number | undefined;
  /**
   * The longest time that `stop()` waits for what still runs, in seconds, before
   * it goes on without; it takes up to a second more where a handler on a bus that
   * was given holds on to a message. Default: 10.
   */
  stopTimeout?: number;
  /** The bus to post to. Default: one of its own, named `platypush/bus` and closed with the backend. */
  bus?: Bus | null | undefined;
  /** The Redis server that `send...` sends to. Default: `127.0.0.1:6379`. */
  redisArgs?: RedisArgs | undefined;
  /**
   * The id of this device; messages for others are not taken. `*` takes
   * everybody's, and calls itself by the host's name. Default: the host's name.
   */
  deviceId?: string | undefined;
  /**
   * Posts Platypush's Zeroconf events of peers' services on the bus while the
   * backend runs; an object says where to look for them. The type is that of
   * its own service where `type` does not say. Default: `false`.
   */
  postEvents?: boolean | Pick<BrowserOptions, "type" | "interfaces">;
  /**
   * Tells what is known of other devices beforehand, by their ids: who we are
   * on the Redis of each, and where that is. `sendTo` shows no credentials to
   * others.
   */
  peers?: Readonly<Record<string, PeerOptions>>;
  /**
   * The folder with the Ed25519 key by which peers know this device, and with
   * the keys by which it knows them. It is made where it is missing; Deno has to
   * permit to read and to write it. Default: none, so that others have to say
   * that they trust us unproved.
   */
  identity?: string | undefined;
  /** The limit for one message, in bytes. Default: 8 MiB. */
  maxSize?: number;
  /**
   * Gives whole numbers beyond 2^53 as `BigInt`, with all their digits: ids of
   * Discord, Telegram or Zigbee. Default: false, they are rounded to a double.
   */
  bigint?: boolean;
  /**
   * The `token` that requests for registered actions need: a text, which is
   * compared in constant time, or a function that checks it, which may take as
   * long as an action. The others are answered with an error. Default: none,
   * every request is executed; one that is given and undefined, as a variable
   * that is not set, is refused.
   */
  token?: string | TokenCheck | undefined;
  /** The number of registered actions that are executed at a time, at most. Default: 16. */
  actionConcurrency?: number;
  /**
   * The longest time a registered action may take, in seconds, before its
   * request is answered with an error; `Infinity` for no limit. Default: 30.
   */
  actionTimeout?: number;
  /**
   * For how many seconds a request for a registered action is valid, by its
   * `_timestamp`; an older one is not executed, but answered with an error.
   * `Infinity` for no limit. Default: 300.
   */
  actionMaxAge?: number;
  /** Takes its reports. Default: LogTape's category `["platypush", "redis", "backend"]`. */
  logger?: Logger;
  /** {@linkcode BackendOptions.redisArgs}. */
  redis_args?: RedisArgs | null | undefined;
  /** {@linkcode BackendOptions.pollSeconds}. */
  poll_seconds?: number | null | undefined;
  /** {@linkcode BackendOptions.deviceId}. */
  device_id?: string | undefined;
}

/** The options of a {@linkcode RedisBackend}. */
export interface RedisBackendOptions extends BackendOptions, DeliveryOptions {
  /**
   * The queue to consume, or several: while there are messages in one, nothing is
   * taken from those that are named after it. `send...` sends to the first one.
   * Default: `platypush/backend/redis`.
   */
  queue?: string | readonly string[] | undefined;
  /**
   * For how many seconds a message is valid, by its `_timestamp`: a number for
   * all queues, or an object with a number for some of them. Older ones come to
   * nobody; requests among them are answered with an error. Default: no limit.
   * Actions have one of their own, {@linkcode BackendOptions.actionMaxAge}.
   */
  maxAge?: number | Readonly<Record<string, number>>;
  /**
   * The time in seconds to wait for the first subscriber of the bus before
   * consuming for plain listeners alone; 0 does not wait, `Infinity` never
   * consumes without a subscriber. While `registerService()` is under way it
   * does not pass. Default: 1.
   */
  subscriberGrace?: number;
}

const BUS: Kind = {
  expected: "a Bus",
  accepts: (value) => value instanceof Bus,
};
const POST_EVENTS: Kind = {
  expected: "true, false, or an object that says where to look",
  accepts: (value) =>
    FLAG.accepts(value) ||
    (OBJECT.accepts(value) && placeProblem(value) === undefined),
  explain: (value) => OBJECT.accepts(value) ? placeProblem(value) : undefined,
};

function placeProblem(place: unknown): string | undefined {
  return problemIn(place as object, PEER_PLACE)?.text;
}

/** An empty one, as of a shell variable that is not set, is the usual queue. */
const QUEUE: Kind = {
  expected:
    "a name or a list of names, at least one, none empty or with a blank at an end",
  accepts: (value) =>
    value === "" ||
    (NAMES.accepts(value) &&
      [value as string | string[]].flat().every((name) =>
        name.trim() === name
      )),
};
const FOLDER: Kind = { ...NAME, expected: "the path of a folder" };
const MAX_AGE: Kind = {
  expected: "a number of seconds above 0, or an object with one for each queue",
  accepts: (value) =>
    TIME_LIMIT.accepts(value) || OBJECT.accepts(value) &&
      Object.values(value as object).every(TIME_LIMIT.accepts),
};
const TOKEN: Kind = {
  expected: "a text that is not empty, or in code a function",
  accepts: (value) => NAME.accepts(value) || FUNCTION.accepts(value),
};

/** Every option of a backend, in camelCase. */
export const BACKEND_OPTIONS: Rows<
  RedisBackendOptions,
  FilledBackendOption
> = {
  queue: row(QUEUE, {
    description:
      "The queue, or several, the first one first; `send...` sends to that",
    default: DEFAULT_QUEUE,
    variable: "PLATYPUSH_REDIS_QUEUE",
    flag: {
      name: "--queue",
      metavar: "NAME",
      example: "lights",
      help: "The queue",
    },
  }),
  redisArgs: row(OBJECT, {
    description: "How to reach Redis: redis-py's arguments, or a `url`",
    aliases: ["redis_args"],
    isNullable: true,
    defaultText: "127.0.0.1:6379",
  }),
  bus: row(BUS, {
    description: "The bus to post to",
    isNullable: true,
    defaultText: "a new `Bus`",
    isCodeOnly: true,
  }),
  pollSeconds: row(SECONDS, {
    description: "The pause between two `loop()`s; Redis needs no polling",
    aliases: ["poll_seconds"],
    isNullable: true,
    defaultText: "none",
  }),
  deviceId: row(TEXT, {
    description: "This device; `*` takes messages for all",
    aliases: ["device_id"],
    defaultText: "the host's name",
    variable: "PLATYPUSH_DEVICE_ID",
    flag: {
      name: "--device-id",
      metavar: "ID",
      example: "kitchen",
      help: "Who we are",
    },
  }),
  name: row(TEXT, {
    isNullable: true,
    description: "The backend's name, for people",
    defaultText: "the class's name",
  }),
  daemon: row(FLAG, {
    isNullable: true,
    description: "The process may end while it runs",
    default: false,
  }),
  ...DELIVERY_OPTIONS,
  postEvents: row(POST_EVENTS, {
    description:
      "Post Zeroconf events of other hosts: `true`, or where to look for them",
    default: false,
  }),
  subscriberGrace: row(SECONDS, {
    description: "How long to wait for the bus's first subscriber",
    default: 1,
  }),
  peers: row(PEERS, {
    description:
      "Who we are on the Redis of other devices, and where that is, by their ids",
    defaultText: "none",
    isSecret: true,
  }),
  identity: row(FOLDER, {
    description:
      "The folder with our key, and with those by which we know our peers",
    defaultText: "none",
  }),
  bigint: row(FLAG, {
    description: "Whole numbers beyond 2^53 keep all their digits",
    default: false,
  }),
  stopTimeout: row(SECONDS, {
    description: "How long `stop()` waits for handlers",
    default: 10,
  }),
  token: row(TOKEN, {
    description:
      "What requests for actions need: a text, or a function that checks it",
    defaultText: "nothing",
    isSecret: true,
    isProtection: true,
  }),
  actionConcurrency: row(COUNT, {
    description: "Actions that are executed at a time",
    default: 16,
  }),
  actionTimeout: row(TIME_LIMIT, {
    description: "How long an action may take",
    default: 30,
  }),
  actionMaxAge: row(TIME_LIMIT, {
    description: "How old the request for an action may be",
    default: 300,
  }),
  maxAge: row(MAX_AGE, {
    description:
      "How old a message may be: a number for all queues, or one for some by name",
    defaultText: "no limit",
  }),
  logger: row(LOGGER, {
    description: "An object with `debug`, `info`, `warn` and `error`",
    defaultText: "LogTape's `platypush`, `redis`",
    isCodeOnly: true,
  }),
};

/** Options that have the same default for everybody. */
type FilledBackendOption =
  | FilledInboxOption
  | "queue"
  | "bigint"
  | "daemon"
  | "postEvents"
  | "subscriberGrace"
  | "stopTimeout"
  | "actionConcurrency"
  | "actionTimeout"
  | "actionMaxAge";

/** Options that a file has at its top, not under `backend.redis`. */
export const TOP_OPTIONS = ["deviceId", "token"] as const;

/** The options of a backend, checked and with the defaults of their rows. */
export type CheckedBackendOptions = Checked<
  RedisBackendOptions,
  FilledBackendOption
>;
