import type { Connection } from "./connection.ts";
import { isNumber, isText } from "./reply_shape.ts";
import { defineMove, type Script } from "./script.ts";

/**
 * So many seconds after the last look comes the next one, even if nothing is due
 * then: the server's clock may have been set, or something been delayed of which
 * the server does not tell.
 */
export const LATEST_LOOK = 180;

/** A Lua function that gives the server's time, in milliseconds. */
export const CLOCK: string = `
local function clock()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end
`;

/**
 * Prepares a script for a {@linkcode DueMover}. It moves members of a sorted set,
 * some at a time, when they are due: those that failed and pause, or those that
 * were sent with a delay. A member begins with a name and how many milliseconds it
 * waits at most: `NAME@MILLISECONDS `.
 *
 * @param lua A function that is given those that are due, and adds to KEYS[1], a
 * list, what is to go there. KEYS[3] is a hash.
 */
export function defineDueMove(lua: string): Script {
  return defineMove(
    ["list", "zset", "hash"],
    `
-- KEYS[1]  the queue
-- KEYS[2]  the sorted set of those that wait, by when they are due
-- KEYS[3]  the hash of the histories
-- ARGV[1]  how many milliseconds those wait at most that do not tell it
-- ARGV[2]  a place, see straighten
-- ARGV[3]  the score before it
-- ARGV[4]  the server's time at the last look, or 0
-- Returns after how many milliseconds to look again, or -1 where none waits, and
-- the next ARGV[2] to ARGV[4].
${CLOCK}
-- The member at a place, and its score.
local function at(place)
  return unpack(redis.call('ZRANGE', KEYS[2], place, place, 'WITHSCORES'))
end

-- Reads some that are due, and the first one behind them with its score.
local function readDue(now)
  local MOST, MOST_BYTES = 200, 262144
  local due, bytes = {}, 0
  while true do
    local member, score = at(#due)
    local isFull = #due == MOST or bytes >= MOST_BYTES
    if not member or isFull or tonumber(score) > now then return due, member, score end
    due[#due + 1], bytes = member, bytes + #member
  end
end

-- When a message is due that waits from now on.
local function latest(now, member)
  return now + (member:match('^[^%s{]-@(%d+) ') or ARGV[1])
end

-- Where the server's clock has gone back, it is due later than that.
local function isAstray(now, member, score)
  return tonumber(score) > latest(now, member)
end

-- Looks at all, some at a time, from a place on. Known is the score of the one
-- before it. A last one that is astray moves last: so whoever looks after somebody
-- has died begins anew.
-- Returns the next place, or -1 in the end, and its known score.
local function straighten(now, place, known)
  local MOST, MOST_BYTES = 100, 262144
  -- Some that were before it may be gone by now.
  local low, middle = 0, place
  while low < place do
    local _, score = at(middle - 1)
    if score and tonumber(score) <= tonumber(known) then low = middle else place = middle - 1 end
    middle = math.ceil((low + place) / 2)
  end
  local last, bytes = place + MOST, 0
  while place < last and bytes < MOST_BYTES do
    local member, score = at(place)
    if not member then return -1, '' end
    if isAstray(now, member, score) then
      -- It gets a place that is already behind us.
      add({'ZADD', KEYS[2], score, member}, 'ZADD', KEYS[2], latest(now, member), member)
    end
    place, bytes = place + 1, bytes + #member
  end
  return place, (select(2, at(place - 1)))
end

local move = ${lua.trim()}
local now = clock()
local due, first, score = readDue(now)
if #due > 0 then
  begin(KEYS[3])
  move(due)
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, #due - 1)
  commit()
end
if not first then return {-1, -1, '', now} end
local place, known = tonumber(ARGV[2]), ARGV[3]
if now < tonumber(ARGV[4]) then place = 0 end
-- Whoever has not seen the clock go back learns of it by the first one, or the last.
if place >= 0 or isAstray(now, first, score) or isAstray(now, at(-1)) then
  begin(KEYS[3])
  place, known = straighten(now, math.max(place, 0), known)
  if place >= 0 then return {0, place, known, now} end
  first, score = at(0)
end
return {math.max(score - now, 0), -1, '', now}
`,
  );
}

function isLook(reply: unknown): boolean {
  return Array.isArray(reply) && reply.length === 4 && isNumber(reply[0]) &&
    isNumber(reply[1]) && isText(reply[2]) && isNumber(reply[3]);
}

/** Moves messages out of a sorted set when they are due. */
export class DueMover {
  readonly #script: Script;
  readonly #keys: readonly string[];
  readonly #longest: string;
  /** The next move is told of it: a place, the score before it, and the time of the server. */
  #noted: readonly (string | number)[] = [-1, "", 0];
  /** The last move: the next one is told what it has found. */
  #moving: Promise<unknown> = Promise.resolve();

  /**
   * @param script What {@linkcode defineDueMove} has made, and its keys.
   * @param longest The longest time that one may wait, in seconds.
   */
  constructor(script: Script, keys: readonly string[], longest: number) {
    this.#script = script;
    this.#keys = keys;
    this.#longest = String(longest * 1000);
  }

  /**
   * Moves some of those that are due.
   *
   * @returns In how many seconds to look again; `Infinity` where none waits.
   * @throws {RedisError} The server cannot be reached, or refuses.
   */
  async move(connection: Connection): Promise<number> {
    const moving = this.#moving.then(() => this.#move(connection));
    this.#moving = moving.catch(() => {});
    return await moving;
  }

  async #move(connection: Connection): Promise<number> {
    const [next, ...noted] = await connection.script<
      [next: number, place: number, known: string, time: number]
    >(
      this.#script,
      this.#keys,
      [this.#longest, ...this.#noted.map(String)],
      { isReply: isLook },
    );
    this.#noted = noted;
    return next < 0 ? Infinity : Math.min(next / 1000, LATEST_LOOK);
  }
}
