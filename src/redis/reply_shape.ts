type Shape = (reply: unknown) => boolean;

export function isNumber(reply: unknown): reply is number {
  return Number.isSafeInteger(reply);
}

export function isText(reply: unknown): reply is string | Uint8Array {
  return typeof reply === "string" || reply instanceof Uint8Array;
}

export function isTexts(reply: unknown): reply is (string | Uint8Array)[] {
  return Array.isArray(reply) && reply.every(isText);
}

export function isPayload(reply: unknown): reply is Uint8Array | null {
  return reply === null || reply instanceof Uint8Array;
}

export function isPayloads(reply: unknown): reply is Uint8Array[] {
  return Array.isArray(reply) &&
    reply.every((payload) => payload instanceof Uint8Array);
}

/** A map that a server answers. */
export type Facts = Readonly<Record<string, unknown>> | readonly unknown[];

/** Tells whether a reply is a map, or what stands for one in version 2. */
export function isFacts(reply: unknown): reply is Facts {
  return typeof reply === "object" && reply !== null &&
    !(reply instanceof Uint8Array) &&
    (!Array.isArray(reply) || reply.length % 2 === 0);
}

/** Reads a map; version 2 has none, so that keys and values take turns there. */
export function pairs(list: Facts): Readonly<Record<string, unknown>> {
  if (!Array.isArray(list)) return list as Readonly<Record<string, unknown>>;
  const facts: Record<string, unknown> = {};
  for (let index = 0; index + 1 < list.length; index += 2) {
    facts[String(list[index])] = list[index + 1];
  }
  return facts;
}

/** A shape, or nothing at all. */
function orNull(shape: Shape): Shape {
  return (reply) => reply === null || shape(reply);
}

/** A list with one element of each of these shapes. */
function list(...shapes: readonly Shape[]): Shape {
  return (reply) =>
    Array.isArray(reply) && reply.length === shapes.length &&
    shapes.every((shape, at) => shape(reply[at]));
}

/** The shapes of replies, each with the commands that are answered so. */
const SHAPES: readonly [Shape, string][] = [
  [isNumber, "DEL EXISTS EXPIRE HDEL HSET HSETNX LLEN LPUSH LREM"],
  [isNumber, "PEXPIRE PTTL PUBLISH RPUSH TTL UNLINK ZADD ZCARD ZREM"],
  [isNumber, "ZREMRANGEBYRANK"],
  [isText, "DISCARD INFO LTRIM MULTI PING SELECT TYPE"],
  [orNull(isText), "BLMOVE GET HGET LINDEX LMOVE SET"],
  [isTexts, "HKEYS KEYS LRANGE"],
  [isFacts, "HELLO HGETALL"],
  [list(isText, isTexts), "SCAN"],
  [list(isText, isText), "TIME"],
  [orNull(list(isText, isText)), "BLPOP"],
  [orNull(list(isText, isTexts)), "BLMPOP"],
  [orNull((reply) => isText(reply) || isTexts(reply)), "LPOP"],
  [orNull((reply) => isNumber(reply) || Array.isArray(reply)), "LPOS"],
];

const SHAPE_OF: ReadonlyMap<string, Shape> = new Map(
  SHAPES.flatMap(([shape, names]) =>
    names.split(" ").map((name): [string, Shape] => [name, shape])
  ),
);

/**
 * Tells whether a command can be answered like this. One of which nothing is
 * known can be answered in any way.
 *
 * @param name The command's name, in capital letters.
 */
export function fitsCommand(name: string, reply: unknown): boolean {
  return SHAPE_OF.get(name)?.(reply) ?? true;
}
