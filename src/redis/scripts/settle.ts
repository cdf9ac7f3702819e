import { defineScript } from "../script.ts";

/**
 * Acknowledges a batch: its messages are gone, except those that are tried
 * again later, become dead letters, or stay in hand until the end.
 */
export const settle = defineScript(`
-- KEYS[1]  the hash of this consumer's batches
-- KEYS[2]  the list of the batch
-- KEYS[3]  the sorted set of the messages that pause
-- KEYS[4]  the list of the dead letters
-- ARGV[1]  the number of the batch
-- ARGV[2]  the largest number of dead letters
-- ARGV[3]  the number of messages in the batch
-- then for each message that was not handled, in the order of the batch, either
--   'retry', its index, its history, the pause in milliseconds, a unique name
-- or
--   'bury', the dead letter
-- or
--   'keep', its index, its history
-- Returns how many dead letters had to make room, or -1 where the batch is not
-- this consumer's (any more), or was settled before.
if not redis.call('HGET', KEYS[1], ARGV[1]) then return -1 end
local payloads = #ARGV > 3 and redis.call('LRANGE', KEYS[2], 0, -1)
if payloads and #payloads ~= tonumber(ARGV[3]) then return -1 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])

local now = redis.call('TIME')
local milliseconds = now[1] * 1000 + math.floor(now[2] / 1000)
local hasBuried, kept, position = false, {}, 4
while position <= #ARGV do
  if ARGV[position] == 'retry' then
    local index, history, pause, name = unpack(ARGV, position + 1, position + 4)
    local member = name .. ' ' .. history .. ' ' .. payloads[index + 1]
    redis.call('ZADD', KEYS[3], milliseconds + pause, member)
    position = position + 5
  elseif ARGV[position] == 'keep' then
    local index, history = unpack(ARGV, position + 1, position + 2)
    redis.call('RPUSH', KEYS[2], payloads[index + 1])
    kept[#kept + 1] = #kept .. ':' .. history
    position = position + 3
  else
    redis.call('RPUSH', KEYS[4], ARGV[position + 1])
    hasBuried, position = true, position + 2
  end
end

if #kept > 0 then
  redis.call('HSET', KEYS[1], ARGV[1], table.concat(kept, ' '))
end
if not hasBuried then return 0 end
local excess = math.max(redis.call('LLEN', KEYS[4]) - ARGV[2], 0)
if excess > 0 then redis.call('LTRIM', KEYS[4], excess, -1) end
return excess
`);
