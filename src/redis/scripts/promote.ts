import { defineScript } from "../script.ts";
import { historyFunctions } from "./history.ts";

/** Puts messages whose pause is over back at the head of the queue. */
export const promote = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the sorted set of the messages that pause
-- KEYS[3]  the hash of the histories
-- ARGV[1]  the largest number of messages
-- Returns after how many milliseconds the next one is due, or -1.
${historyFunctions}
local now = redis.call('TIME')
local milliseconds = now[1] * 1000 + math.floor(now[2] / 1000)
local due = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', milliseconds, 'LIMIT', 0, ARGV[1])
if #due > 0 then
  redis.call('ZREMRANGEBYRANK', KEYS[2], 0, #due - 1)
  for position = #due, 1, -1 do
    local history, payload = due[position]:match('^%S+ (%S+) (.*)$')
    redis.call('LPUSH', KEYS[1], payload)
    remember(KEYS[3], payload, history)
  end
end
local first = redis.call('ZRANGE', KEYS[2], 0, 0, 'WITHSCORES')
if #first == 0 then return -1 end
return math.max(first[2] - milliseconds, 0)
`);
