import { defineScript } from "../script.ts";

/** Enters a consumer into the list of a queue's consumers. */
export const join = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the queue's consumers
-- KEYS[3]  the consumer's heartbeat
-- ARGV[1]  the consumer
-- ARGV[2]  after how many milliseconds without a heartbeat it is dead
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'list' and kind ~= 'none' then
  return {err = 'WRONGTYPE the queue is a ' .. kind}
end
-- A server that is out of memory refuses a script's first write if that needs
-- memory, but not the later ones: so the first one frees some.
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], 'alive')
redis.call('SET', KEYS[3], '1', 'PX', ARGV[2])
return 1
`);
