import type { Connection } from "./connection.ts";
import { QueueKeys } from "./queue_keys.ts";
import { isNumber } from "./reply_shape.ts";
import { defineMove } from "./script.ts";

/**
 * The largest number of dead letters that move at once, and the bytes after
 * which no more do.
 */
const CHUNK = 200;
const CHUNK_BYTES = 2 ** 18;

/** Runs something on a connection to the server of the queue; again where the connection breaks. */
export type Run = <Reply>(
  work: (connection: Pick<Connection, "command" | "script">) => Promise<Reply>,
) => Promise<Reply>;

/**
 * A Lua function that reads the dead letters of a queue as one list, although
 * they may be in two.
 *
 * Redis reaches the middle of a list from one of its ends, and to remove an
 * element there it looks at each one on the way. So whoever takes some out of the
 * middle of a long list parts it there: the front has a key of its own meanwhile.
 * Both together, the front first, are the same list at every moment, wherever it
 * is parted; who buries something appends it to the rest.
 */
export const RANGE = `
local function range(front, rest, first, last)
  local count = redis.call('LLEN', front)
  if first >= count then
    return redis.call('LRANGE', rest, first - count, last - count)
  end
  local found = redis.call('LRANGE', front, first, last)
  if last >= count then
    for _, letter in ipairs(redis.call('LRANGE', rest, 0, last - count)) do
      found[#found + 1] = letter
    end
  end
  return found
end
`;

/**
 * A Lua function that tells which letters are in lists, by their ids: the rest of
 * a letter may be another one there. All are looked for at once, the newest first,
 * since each look goes through the lists.
 */
export const FIND_LETTERS = `
local function idOf(letter)
  return letter:match('^{"id":"([^"]*)"') or ''
end
-- Returns what has the ids of those that are there as its keys.
local function findLetters(lists, letters)
  local open, found = {}, {}
  for _, letter in ipairs(letters) do open[idOf(letter)] = true end
  for _, list in ipairs(lists) do
    local last = redis.call('LLEN', list) - 1
    while last >= 0 and next(open) do
      for _, one in ipairs(redis.call('LRANGE', list, math.max(0, last - 99), last)) do
        local id = idOf(one)
        if open[id] then open[id], found[id] = nil, true end
      end
      last = last - 100
    end
  end
  return found
end
`;

const PART = defineMove(
  ["list", "list", "hash"],
  `
-- KEYS[1]  the list of the dead letters
-- KEYS[2]  the front of that list
-- KEYS[3]  the hash of the histories, which is not changed
-- ARGV[1]  how many of the oldest are to be in front
-- ARGV[2]  the largest number that moves
-- ARGV[3]  the number of bytes after which no more move
-- Returns how many are left to be moved.
local count = redis.call('LLEN', KEYS[2])
local target = math.min(ARGV[1], count + redis.call('LLEN', KEYS[1]))
local left, bytes = math.abs(target - count), 0
if left == 0 then return 0 end
begin(KEYS[3])
for _ = 1, math.min(left, ARGV[2]) do
  local letter
  if count < target then
    letter = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
  else
    letter = redis.call('LMOVE', KEYS[2], KEYS[1], 'RIGHT', 'LEFT')
  end
  left, bytes = left - 1, bytes + #letter
  if bytes >= tonumber(ARGV[3]) then break end
end
return left
`,
);

/**
 * Parts the dead letters of a queue behind so many of the oldest; behind none,
 * they are one list again. It gives up where somebody else parts them elsewhere
 * at the same time.
 *
 * @throws {RedisError} The server cannot be reached, or refuses.
 */
export async function partDeadLetters(
  queue: string,
  count: number,
  run: Run,
): Promise<void> {
  const { dead, front, deliveries } = new QueueKeys(queue);
  for (let left = Infinity, next; left > 0; left = next) {
    next = await run((connection) =>
      connection.script<number>(PART, [dead, front, deliveries], [
        String(count),
        String(CHUNK),
        String(CHUNK_BYTES),
      ], { isReply: isNumber })
    );
    if (next >= left) return;
  }
}
