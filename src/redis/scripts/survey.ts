import { defineScript } from "../script.ts";

/** Looks at a queue and its consumers, all at one moment. */
export const survey = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the sorted set of the messages that pause
-- KEYS[4]  the list of the dead letters
-- ARGV[1]  the start of the keys of the heartbeats
-- ARGV[2]  the start of the keys of the consumers' batches
-- It also reads the heartbeats, hashes and batches of the consumers, whose keys
-- are made from ARGV and lie in the same slot.
-- Returns the length of the queue, how many messages pause, how many dead
-- letters there are, when the oldest one became one or '', and for each consumer
-- its name, its state, the milliseconds left of its heartbeat (-2 without one),
-- and how many messages it has in hand.
local consumers = {}
local states = redis.call('HGETALL', KEYS[2])
for at = 1, #states, 2 do
  local name, inFlight = states[at], 0
  local hash = ARGV[2] .. name
  for _, number in ipairs(redis.call('HKEYS', hash)) do
    inFlight = inFlight + redis.call('LLEN', hash .. ':' .. number)
  end
  local left = redis.call('PTTL', ARGV[1] .. name)
  consumers[#consumers + 1] = {name, states[at + 1], left, inFlight}
end
-- Inside of a text the quotes would be escaped.
local oldest = redis.call('LRANGE', KEYS[4], 0, 0)[1] or ''
return {
  redis.call('LLEN', KEYS[1]), redis.call('ZCARD', KEYS[3]),
  redis.call('LLEN', KEYS[4]), oldest:match('"time":([%d.]+)') or '', consumers,
}
`);
