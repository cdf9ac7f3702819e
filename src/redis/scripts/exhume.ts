import { defineScript } from "../script.ts";

/** Removes dead letters, and puts their messages back into the queue if wanted. */
export const exhume = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the list of the dead letters
-- ARGV[1]  'requeue' or 'purge'
-- ARGV[2…] in turns: a dead letter, and its message
-- Returns how many dead letters were removed.
local count = 0
for position = 2, #ARGV, 2 do
  if redis.call('LREM', KEYS[2], 1, ARGV[position]) == 1 then
    count = count + 1
    if ARGV[1] == 'requeue' then
      redis.call('RPUSH', KEYS[1], ARGV[position + 1])
    end
  end
end
return count
`);
