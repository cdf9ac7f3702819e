/**
 * Lua functions about how messages were delivered before, shared by scripts.
 *
 * A *history* is `deliveries.failures`, as in `2.1`: delivered twice before, and
 * one of these times its handling failed. Messages in the queue are nothing but
 * their payload, so that every other program can read them; the histories of
 * those that came back to it wait in a hash beside it, under the digest of the
 * payload. Equal payloads have a list of histories there: which of them gets
 * which makes no difference to anybody.
 */
export const historyFunctions = `
local HISTORY_SECONDS = 86400

-- Notes the history of a message that goes back to the queue.
local function remember(deliveries, payload, history)
  if history == '0.0' then return end
  local digest = redis.sha1hex(payload)
  local others = redis.call('HGET', deliveries, digest)
  redis.call('HSET', deliveries, digest, others and (others .. ' ' .. history) or history)
  redis.call('EXPIRE', deliveries, HISTORY_SECONDS)
end

-- Takes the histories of messages that have left the queue, as 'index:history …'.
local function recall(deliveries, payloads)
  if redis.call('EXISTS', deliveries) == 0 then return '' end
  local found = {}
  for index, payload in ipairs(payloads) do
    local digest = redis.sha1hex(payload)
    local histories = redis.call('HGET', deliveries, digest)
    if histories then
      local history, others = histories:match('^(%S+) ?(.*)$')
      found[#found + 1] = (index - 1) .. ':' .. history
      if others == '' then
        redis.call('HDEL', deliveries, digest)
      else
        redis.call('HSET', deliveries, digest, others)
      end
    end
  end
  return table.concat(found, ' ')
end

-- Puts the messages of a batch back at the head of the queue, in their order.
local function restore(queue, deliveries, batch, histories, isDelivered)
  local payloads = redis.call('LRANGE', batch, 0, -1)
  redis.call('DEL', batch)
  -- '?' is a batch for BLMOVE: the histories are still where they were.
  if histories == '?' then histories = recall(deliveries, payloads) end
  local known = {}
  for index, history in histories:gmatch('(%d+):(%S+)') do
    known[tonumber(index) + 1] = history
  end
  for index = #payloads, 1, -1 do
    redis.call('LPUSH', queue, payloads[index])
    local count, failures = (known[index] or '0.0'):match('^(%d+)%.(%d+)$')
    if isDelivered then count = count + 1 end
    remember(deliveries, payloads[index], string.format('%d.%d', count, failures))
  end
  return #payloads
end
`;
