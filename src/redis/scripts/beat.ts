import { defineScript } from "../script.ts";

/** Shows that a consumer is alive, and tells it which batches it has in hand. */
export const beat = defineScript(`
-- KEYS[1]  the hash of the queue's consumers
-- KEYS[2]  the consumer's heartbeat
-- KEYS[3]  the hash of the consumer's batches
-- ARGV[1]  the consumer
-- ARGV[2]  after how many milliseconds without a heartbeat it is dead
-- Returns the numbers of the batches.
if redis.call('HGET', KEYS[1], ARGV[1]) ~= 'alive' then
  return {err = 'TAKEN another consumer has put the messages back'}
end
if redis.call('PEXPIRE', KEYS[2], ARGV[2]) == 0 then
  redis.call('SET', KEYS[2], '1', 'PX', ARGV[2])
end
return redis.call('HKEYS', KEYS[3])
`);
