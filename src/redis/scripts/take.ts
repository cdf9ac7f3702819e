import { defineScript } from "../script.ts";
import { historyFunctions } from "./history.ts";

/**
 * Moves messages from the head of the queue into a batch of this consumer, and
 * returns them. A number stands for one batch only, ever: whatever happened to
 * an answer on its way, the batch can be read again, or acknowledged again.
 */
export const take = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the hash of this consumer's batches
-- KEYS[4]  the list of this batch
-- KEYS[5]  the hash of the histories
-- ARGV[1]  the consumer
-- ARGV[2]  the number of the batch
-- ARGV[3]  the largest number of messages; 0 reads what BLMOVE has just moved
--          there; -1 reads what a lost answer left there
-- ARGV[4]  the number of bytes after which the batch is full
-- Returns the histories, as 'index:history …', and the messages.
${historyFunctions}
if redis.call('HGET', KEYS[2], ARGV[1]) ~= 'alive' then
  return {err = 'TAKEN another consumer has put the messages back'}
end

local limit, maxBytes = tonumber(ARGV[3]), tonumber(ARGV[4])
local histories = redis.call('HGET', KEYS[3], ARGV[2])
local payloads = {}

if limit > 0 then
  -- Nobody knows how large messages are before they are popped: ask for a few
  -- at a time, and stop when there are enough bytes.
  local chunk, bytes = 1, 0
  while #payloads < limit and bytes < maxBytes do
    local count = math.min(chunk, limit - #payloads)
    local popped = redis.call('LPOP', KEYS[1], count)
    if not popped then break end
    redis.call('RPUSH', KEYS[4], unpack(popped))
    for _, payload in ipairs(popped) do
      payloads[#payloads + 1] = payload
      bytes = bytes + #payload
    end
    if #popped < count then break end
    chunk = math.min(chunk * 2, 16)
  end
  if #payloads == 0 then return {'', payloads} end
  histories = '?'
else
  payloads = redis.call('LRANGE', KEYS[4], 0, -1)
  if #payloads == 0 then
    if limit == 0 then redis.call('HDEL', KEYS[3], ARGV[2]) end
    return {'', payloads}
  end
end

-- A batch that could not be announced, for want of memory, has none either.
if not histories or histories == '?' then
  histories = recall(KEYS[5], payloads)
  -- Without memory only the first write of a script is refused, not this one.
  redis.call('HDEL', KEYS[3], ARGV[2])
  redis.call('HSET', KEYS[3], ARGV[2], histories)
end
return {histories, payloads}
`);
