import { defineScript } from "../script.ts";
import { historyFunctions } from "./history.ts";

/** Puts a batch that nobody has seen back at the head of the queue. */
export const release = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the hash of this consumer's batches
-- KEYS[3]  the list of the batch
-- KEYS[4]  the hash of the histories
-- ARGV[1]  the number of the batch
-- Returns how many messages went back.
${historyFunctions}
local histories = redis.call('HGET', KEYS[2], ARGV[1])
if not histories then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
return restore(KEYS[1], KEYS[4], KEYS[3], histories, 0, 0)
`);
