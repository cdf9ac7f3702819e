import { defineScript } from "../script.ts";
import { historyFunctions } from "./history.ts";

/**
 * Puts what consumers without a heartbeat had in hand back at the head of the
 * queue, in its order.
 *
 * A consumer that died stays in the list for an hour: a BLMOVE that it sent
 * before it died can still arrive, and what that moves must be found.
 */
export const reclaim = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the hash of the histories
-- ARGV[1]  the start of the keys of the heartbeats
-- ARGV[2]  the start of the keys of the consumers' batches
-- ARGV[3]  the consumer that leaves and has nothing on its way, or ''
-- It also touches the heartbeats, hashes and batches of the consumers, whose
-- keys are made from ARGV and lie in the same slot.
-- Returns how many messages went back, and the consumers whose they were.
${historyFunctions}
local TOMBSTONE_SECONDS = 3600
local now = tonumber(redis.call('TIME')[1])
local total, owners = 0, {}
local consumers = redis.call('HGETALL', KEYS[2])

for position = 1, #consumers, 2 do
  local consumer, state = consumers[position], consumers[position + 1]
  if redis.call('EXISTS', ARGV[1] .. consumer) == 0 then
    local hash = ARGV[2] .. consumer
    local batches, numbers = {}, {}
    local fields = redis.call('HGETALL', hash)
    for at = 1, #fields, 2 do
      batches[tonumber(fields[at])] = fields[at + 1]
      numbers[#numbers + 1] = tonumber(fields[at])
    end
    table.sort(numbers)
    -- Who leaves in an orderly way has not died of what it had in hand.
    local died = consumer == ARGV[3] and 0 or 1
    local moved = 0
    for at = #numbers, 1, -1 do
      local number = string.format('%d', numbers[at])
      local histories = batches[numbers[at]]
      local list = hash .. ':' .. number
      local count = restore(KEYS[1], KEYS[3], list, histories, 1, died)
      moved = moved + count
      -- An announced batch that is still empty may be filled by a late BLMOVE.
      if count > 0 or histories ~= '?' then redis.call('HDEL', hash, number) end
    end
    if moved > 0 then
      total = total + moved
      owners[#owners + 1] = consumer
    end
    local isOver = consumer == ARGV[3] or
      (state ~= 'alive' and now - state > TOMBSTONE_SECONDS)
    redis.call('HDEL', KEYS[2], consumer)
    if isOver then
      redis.call('DEL', hash)
    else
      redis.call('HSET', KEYS[2], consumer, state == 'alive' and now or state)
    end
  end
end
return {total, owners}
`);
