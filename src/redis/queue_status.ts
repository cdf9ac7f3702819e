import { checkOptions, type Rows } from "../options.ts";
import { NAME, SIGNAL } from "../kinds.ts";
import { BriefConnection } from "./brief_connection.ts";
import { KEEP_TEXT } from "./dead_letter_box.ts";
import { findKeys, type FoundKeys } from "./find_keys.ts";
import { HEARTBEAT_FUNCTIONS } from "./heartbeat.ts";
import { parsePause, type QueuePause } from "./queue_gate.ts";
import { DEFAULT_QUEUE, QueueKeys } from "./queue_keys.ts";
import { nameQueue } from "./redis_error.ts";
import type { RedisArgs } from "./redis_args.ts";
import { defineMove } from "./script.ts";

/**
 * The state of a queue, its consumers and its server at one moment, from
 * {@linkcode queueStatus}.
 */
export interface QueueStatus {
  /** The queue. */
  readonly queue: string;
  /** The number of messages that wait. */
  readonly length: number;
  /**
   * The number of messages that have failed and wait until they are tried
   * again.
   */
  readonly retrying: number;
  /** The number of messages that were sent with a delay and are not due yet. */
  readonly delayed: number;
  /** Since when it is paused for all its consumers, and by whom; `undefined` while it is not. */
  readonly pause: QueuePause | undefined;
  /** The number of messages that consumers have in hand. */
  readonly inFlight: number;
  /**
   * The consumers that take messages at least once. Those that take them at
   * most once leave no trace in Redis.
   */
  readonly consumers: readonly {
    /** Its name: the device's id, and something unique. */
    readonly name: string;
    /**
     * In how many seconds it counts as dead, without a heartbeat until then;
     * `undefined` once it does, and somebody has to put back what it has in hand.
     */
    readonly heartbeat: number | undefined;
    /** The number of messages that it has in hand. */
    readonly inFlight: number;
    /**
     * Is `false` if somebody has removed it from the queue's index of consumers though
     * it has messages in hand. Then the next consumer that starts puts them back,
     * or one that runs does so within ten minutes.
     */
    readonly isIndexed: boolean;
  }[];
  /** The messages that wait for named subscribers that are away. */
  readonly missed: readonly {
    /** The name of the subscriber. */
    readonly subscriber: string;
    /** The number of messages. */
    readonly count: number;
    /** The bytes that they take in Redis; `undefined` where that may not be asked. */
    readonly bytes: number | undefined;
    /**
     * Is `false` if somebody has removed the subscriber from the queue's index. Then
     * the next consumer that starts enters it again, or one that runs does so
     * within ten minutes.
     */
    readonly isIndexed: boolean;
  }[];
  /** The messages that could not be handled. */
  readonly deadLetters: {
    /** The number of them. */
    readonly count: number;
    /** For how many seconds the oldest one has been one; `undefined` without any. */
    readonly oldest: number | undefined;
    /**
     * The bytes that they take in Redis, 0 without any; `undefined` where that may not
     * be asked.
     */
    readonly bytes: number | undefined;
    /**
     * The bytes of the text that is kept beside them, since it alone is more than
     * {@linkcode DeliveryOptions.maxDeadLetterBytes}; 0 without one, `undefined` where
     * that may not be asked.
     */
    readonly textBytes: number | undefined;
  };
  /** The server. */
  readonly server: {
    /** `Redis`, or `Valkey`. */
    readonly name: string;
    /** Its version, such as `7.0.15`; empty where that may not be asked. */
    readonly version: string;
    /** Its address: `host:port`, or the path of a socket. */
    readonly address: string;
    /** The number of bytes that it uses; `undefined` where that may not be asked. */
    readonly usedMemory: number | undefined;
    /**
     * The number of bytes that it may use (`maxmemory`); `undefined` without a
     * limit.
     */
    readonly maxMemory: number | undefined;
  };
}

/** Which queue {@linkcode queueStatus} looks at. */
export interface QueueStatusOptions {
  /** The queue. Default: `platypush/backend/redis`. */
  queue?: string;
  /** Gives up when aborted. Default: never. */
  signal?: AbortSignal;
}

const OPTIONS: Rows<QueueStatusOptions> = {
  queue: NAME,
  signal: SIGNAL,
};

type StatusReply = [
  length: number,
  retrying: number,
  dead: number,
  oldest: string,
  consumers: [name: string, state: string, left: number, inFlight: number][],
  delayed: number,
  missed: [subscriber: string, count: number, bytes: number, known: number][],
  deadBytes: number,
  textBytes: number,
  pause: string | null,
];

/**
 * Looks at a queue, its consumers and its server, without taking or changing
 * anything. It connects once, and does not wait for a server that is not there.
 * It goes through the names of all keys (`SCAN`, where that is permitted), so
 * that it also finds what the queue's index does not know.
 *
 * @param args redis-py's arguments, see {@linkcode RedisArgs}.
 * @param options The queue, and what interrupts it; see {@linkcode QueueStatusOptions}.
 * @returns How the queue, its consumers and its server stand.
 * @throws {TypeError} There is no such option or it is of another kind, or an
 * argument is unknown or wrong.
 * @throws {RedisError} The server could not be reached or refused, or the queue
 * is no list.
 *
 * @example
 * ```ts
 * import { Outbox, queueStatus, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using outbox = new Outbox(server.redisArgs);
 * await outbox.push("queue", ["one", "two"]);
 * const status = await queueStatus(server.redisArgs, { queue: "queue" });
 * console.assert(status.length === 2 && status.consumers.length === 0);
 * ```
 */
export async function queueStatus(
  args: RedisArgs,
  options: QueueStatusOptions = {},
): Promise<QueueStatus> {
  checkOptions("tell the status of a queue", options, OPTIONS);
  const { queue = DEFAULT_QUEUE, signal } = options;
  using connection = await BriefConnection.open(args, {
    key: queue,
    ...(signal && { signal }),
  });
  return {
    ...await readQueueStatus(connection, queue),
    server: await serverStatus(connection),
  };
}

/** Looks at a queue and its consumers, all at one moment. */
const SURVEY = defineMove(
  ["list", "hash", "zset", "list", "string", "zset", "hash", "string", "list"],
  `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the sorted set of the messages that pause
-- KEYS[4]  the list of the dead letters
-- KEYS[5]  says that the queue is paused
-- KEYS[6]  the sorted set of the messages that are delayed
-- KEYS[7]  the hash of the named subscribers
-- KEYS[8]  the dead letter whose text is kept apart
-- KEYS[9]  the front of the list of the dead letters
-- ARGV[1]  the start of the keys of the heartbeats
-- ARGV[2]  the start of the keys of the consumers' batches
-- ARGV[3]  the start of the keys of what named subscribers have missed
-- ARGV[4...] what an index may not know: 'batch', a consumer, the number of one of its
--          batches or ''; 'missed', a named subscriber; 'text', the id of a letter
-- It also reads the heartbeats, hashes and batches of the consumers, whose keys
-- are made from ARGV and lie in the same slot.
-- Returns the length of the queue, how many messages pause, how many dead
-- letters there are, when the oldest one became one or '', and for each consumer
-- its name, its state ('missing' where it is not in the hash), the milliseconds
-- left of its heartbeat (-2 without one), and how many messages it has in hand;
-- how many messages are delayed; the named subscribers that have missed some, how
-- many, their bytes, and 1 where the index knows them; the bytes of the dead
-- letters, and of texts that are kept apart; and what the queue's pause holds, or
-- nil. Bytes are -1 where the user may not ask for them.
${HEARTBEAT_FUNCTIONS}
${KEEP_TEXT}
local names, states, numbers = {}, {}, {}
local function enter(name, state)
  if not states[name] then
    names[#names + 1], states[name], numbers[name] = name, state, {}
    for _, number in ipairs(redis.call('HKEYS', own('hash', ARGV[2] .. name))) do
      numbers[name][number] = true
    end
  end
  return numbers[name]
end
local index = redis.call('HGETALL', KEYS[2])
for at = 1, #index, 2 do enter(index[at], index[at + 1]) end
local subscribers, isKnown = redis.call('HKEYS', KEYS[7]), {}
for _, name in ipairs(subscribers) do isKnown[name] = true end
local texts = {}
local apart = redis.call('GET', KEYS[8])
if apart then texts[textKey(KEYS[8], apart)] = true end
local at = 4
while at <= #ARGV do
  local kind, name = ARGV[at], ARGV[at + 1]
  if kind == 'batch' then
    local known = enter(name, 'missing')
    if ARGV[at + 2] ~= '' then known[ARGV[at + 2]] = true end
    at = at + 3
  else
    if kind == 'text' then texts[KEYS[8] .. ':' .. name] = true
    elseif not isKnown[name] then subscribers[#subscribers + 1] = name end
    at = at + 2
  end
end
local consumers = {}
for position, name in ipairs(names) do
  local inFlight = 0
  for number in pairs(numbers[name]) do
    local list = own('list', ARGV[2] .. name .. ':' .. number)
    inFlight = inFlight + redis.call('LLEN', list)
  end
  local left = redis.call('PTTL', (heartOf(own('string', ARGV[1] .. name))))
  consumers[position] = {name, states[name], left, inFlight}
end
local function size(list)
  local bytes = redis.pcall('MEMORY', 'USAGE', list, 'SAMPLES', 0) or 0
  return type(bytes) == 'number' and bytes or -1
end
local missed = {}
for _, name in ipairs(subscribers) do
  local list = own('list', ARGV[3] .. name)
  local count = redis.call('LLEN', list)
  if count > 0 then
    missed[#missed + 1] = {name, count, size(list), isKnown[name] and 1 or 0}
  end
end
local textBytes = 0
for key in pairs(texts) do
  local bytes = size(key)
  textBytes = (bytes < 0 or textBytes < 0) and -1 or textBytes + bytes
end
local dead, oldest, deadBytes = 0, '', 0
for _, list in ipairs({KEYS[9], KEYS[4]}) do
  local count = redis.call('LLEN', list)
  -- Inside of a text the quotes would be escaped.
  if dead == 0 and count > 0 then oldest = redis.call('LRANGE', list, 0, 0)[1] end
  if count > 0 and deadBytes >= 0 then
    local bytes = size(list)
    deadBytes = bytes < 0 and -1 or deadBytes + bytes
  end
  dead = dead + count
end
return {
  redis.call('LLEN', KEYS[1]), redis.call('ZCARD', KEYS[3]),
  dead, oldest:match('"time":([%d.]+)') or '', consumers,
  redis.call('ZCARD', KEYS[6]), missed, deadBytes,
  textBytes, redis.call('GET', KEYS[5]),
}
`,
);

/**
 * Asks a server for everything about a queue.
 *
 * @param options Leaves out what the index does not know with `scan: false`,
 * which costs as much as the server has keys.
 */
export async function readQueueStatus(
  connection: BriefConnection,
  queue: string,
  { scan = true }: { readonly scan?: boolean } = {},
): Promise<Omit<QueueStatus, "server">> {
  const keys = new QueueKeys(queue);
  const found = scan
    ? (await findKeys(connection, [keys])).get(keys.start)
    : undefined;
  const [
    length,
    retrying,
    count,
    oldest,
    listed,
    delayed,
    missed,
    deadBytes,
    textBytes,
    pause,
  ] = await survey(connection, keys, found);
  const consumers = consumersOf(listed);
  return {
    queue,
    length,
    retrying,
    delayed,
    pause: parsePause(pause),
    inFlight: consumers.reduce((sum, { inFlight }) => sum + inFlight, 0),
    consumers,
    missed: missed.map(([subscriber, count, bytes, known]) => ({
      subscriber,
      count,
      bytes: bytesOf(bytes),
      isIndexed: known === 1,
    })),
    deadLetters: {
      count,
      oldest: oldest === ""
        ? undefined
        : Math.max(Date.now() / 1000 - Number(oldest), 0),
      bytes: bytesOf(deadBytes),
      textBytes: bytesOf(textBytes),
    },
  };
}

function consumersOf(
  listed: StatusReply[4],
): QueueStatus["consumers"] {
  return listed
    // Those that have left stay on the list for a while.
    .filter(([, state, , inFlight]) => state === "alive" || inFlight > 0)
    .map(([name, state, left, inFlight]) => ({
      name,
      heartbeat: left >= 0 ? left / 1000 : undefined,
      inFlight,
      isIndexed: state !== "missing",
    }));
}

async function survey(
  connection: BriefConnection,
  keys: QueueKeys,
  found: FoundKeys | undefined,
): Promise<StatusReply> {
  try {
    return await connection.script<StatusReply>(
      SURVEY,
      [
        keys.queue,
        keys.consumers,
        keys.retry,
        keys.dead,
        keys.paused,
        keys.delayed,
        keys.subscribers,
        keys.text,
        keys.front,
      ],
      [
        keys.allHeartbeats,
        keys.allProcessing,
        keys.allMissed,
        ...found === undefined ? [] : inWords(found),
      ],
    );
  } catch (error) {
    throw nameQueue(error, keys.queue);
  }
}

/** Says what was found, in the words of the script that looks at a queue. */
function inWords({ batches, subscribers, texts }: FoundKeys): string[] {
  const words: string[] = [];
  for (let at = 0; at < batches.length; at += 2) {
    words.push("batch", batches[at]!, batches[at + 1]!);
  }
  for (const subscriber of subscribers) words.push("missed", subscriber);
  for (const id of texts) words.push("text", id);
  return words;
}

function bytesOf(bytes: number): number | undefined {
  return bytes < 0 ? undefined : bytes;
}

/** Asks a server for its name, its version and its memory. */
export async function serverStatus(
  connection: BriefConnection,
): Promise<QueueStatus["server"]> {
  const server = await connection.info("server");
  const memory = await connection.info("memory");
  const valkey = server?.get("valkey_version");
  const limit = Number(memory?.get("maxmemory"));
  return {
    name: valkey === undefined ? connection.product : "Valkey",
    version: valkey ?? server?.get("redis_version") ?? connection.version,
    address: connection.address,
    usedMemory: memory && Number(memory.get("used_memory")),
    maxMemory: limit > 0 ? limit : undefined,
  };
}
