import { defineScript } from "../script.ts";

/** Looks at what waits in a queue. */
export const glance = defineScript(`
-- KEYS[1]  the queue
-- ARGV[1]  how many bytes the first message may have to be returned
-- Returns the length of the queue, and its first message or nil.
local first = redis.call('LRANGE', KEYS[1], 0, 0)[1]
if first and #first > tonumber(ARGV[1]) then first = nil end
return {redis.call('LLEN', KEYS[1]), first or false}
`);
