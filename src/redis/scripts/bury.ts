import { defineScript } from "../script.ts";

/** Appends dead letters, and lets the oldest make room for them. */
export const bury = defineScript(`
-- KEYS[1]  the list of the dead letters
-- ARGV[1]  the largest number of dead letters
-- ARGV[2…] the dead letters
-- Returns how many dead letters had to make room.
for position = 2, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[position]) end
local excess = math.max(redis.call('LLEN', KEYS[1]) - ARGV[1], 0)
if excess > 0 then redis.call('LTRIM', KEYS[1], excess, -1) end
return excess
`);
