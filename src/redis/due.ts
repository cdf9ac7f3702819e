import type { Connection } from "./connection.ts";
import { isNumber, isText } from "./reply_shape.ts";
import type { Script } from "./script.ts";

/**
 * Lua functions about sorted sets of messages that wait for a time: those that
 * failed and pause, and those that were sent with a delay. A member begins with a
 * name and how many milliseconds it waits at most: `NAME@MILLISECONDS `. They use
 * those of `defineMove`. However many wait, a script moves only some.
 */
export const DUE_FUNCTIONS: string = `
local function clock()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- Reads those that are due, some at a time; nil where none waits at all.
local function readDue(waiting, milliseconds)
  local MOST, MOST_BYTES = 200, 262144
  local due, bytes = {}, 0
  while #due < MOST and bytes < MOST_BYTES do
    local found = redis.call('ZRANGE', waiting, #due, #due, 'WITHSCORES')
    if not found[1] and #due == 0 then return nil end
    if not found[1] or tonumber(found[2]) > milliseconds then break end
    due[#due + 1], bytes = found[1], bytes + #found[1]
  end
  return due
end

-- A message is due further away than it is to wait where the server's clock has
-- gone back: then it is due when it has waited from now on. The longest wait is
-- that of members which do not tell theirs. Where the first or the last one is
-- astray, all are looked at, some at a time, from a place on, which is -1 in the
-- beginning. Known is the score of the one before it. A last one that is astray moves
-- last: so whoever looks after somebody has died begins anew.
-- Returns the next place, or -1 in the end, and its known score.
local function straighten(waiting, milliseconds, longest, place, known)
  local MOST, MOST_BYTES = 100, 262144
  local function latest(member)
    return milliseconds + (member:match('^%S-@(%d+) ') or longest)
  end
  local function read(at)
    local member, score = unpack(redis.call('ZRANGE', waiting, at, at, 'WITHSCORES'))
    return member, score, member and tonumber(score) > latest(member)
  end
  if place < 0 then
    local isAstray = select(3, read(0)) or select(3, read(-1))
    if not isAstray then return -1, '' end
    place = 0
  end
  -- Some that were before it may be gone by now.
  local low, at = 0, place
  while low < place do
    local _, score = read(at - 1)
    if score and tonumber(score) <= tonumber(known) then low = at else place = at - 1 end
    at = math.ceil((low + place) / 2)
  end
  local last, bytes = place + MOST, 0
  while place < last and bytes < MOST_BYTES do
    local member, score, isAstray = read(place)
    if not member then return -1, '' end
    if isAstray then
      -- It gets a place that is already behind us.
      add({'ZADD', waiting, score, member}, 'ZADD', waiting, latest(member), member)
    end
    place, bytes = place + 1, bytes + #member
  end
  return place, (select(2, read(place - 1)))
end

-- Returns after how many milliseconds to look again, or -1, and from where on.
local function nextLook(waiting, milliseconds, longest, before, score)
  local place, known = straighten(waiting, milliseconds, longest, tonumber(before), score)
  local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  if not first[1] then return {-1, -1, ''} end
  return {place < 0 and math.max(first[2] - milliseconds, 0) or 0, place, known}
end
`;

function isLook(reply: unknown): boolean {
  return Array.isArray(reply) && reply.length === 3 &&
    isNumber(reply[0]) && isNumber(reply[1]) && isText(reply[2]);
}

/** Moves messages out of a sorted set when they are due. */
export class DueMover {
  readonly #script: Script;
  readonly #keys: readonly string[];
  readonly #longest: string;
  /** From which place on to look where the server's clock has gone back; -1 where it has not. */
  #place = -1;
  /** The score of the one before it. */
  #known = "";
  /** The last move: the next one has to know from which place on to look. */
  #moving: Promise<unknown> = Promise.resolve();

  /**
   * @param script Moves some that are due, with {@link DUE_FUNCTIONS}; it is given
   * the longest wait, a place, and its known score.
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
   * @returns In how many milliseconds the next ones are, or -1.
   * @throws {RedisError} The server cannot be reached, or refuses.
   */
  async move(connection: Connection): Promise<number> {
    const moving = this.#moving.then(() => this.#move(connection));
    this.#moving = moving.catch(() => {});
    return await moving;
  }

  async #move(connection: Connection): Promise<number> {
    const [next, place, known] = await connection.script<
      [next: number, place: number, known: string]
    >(
      this.#script,
      this.#keys,
      [this.#longest, String(this.#place), this.#known],
      { isReply: isLook },
    );
    this.#place = place;
    this.#known = known;
    return next;
  }
}
