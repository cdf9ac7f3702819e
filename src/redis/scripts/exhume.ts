import { defineScript } from "../script.ts";

/**
 * Removes dead letters, and puts their messages back at the end of the queue if
 * wanted. A dead letter that is gone already is passed over, so that doing all
 * of it once more changes nothing.
 */
export const exhume = defineScript(`
-- KEYS[1]  the queue
-- KEYS[2]  the list of the dead letters
-- ARGV[1]  'requeue' or 'purge'
-- ARGV[2…] in turns: a dead letter, and its message
-- Returns how many dead letters were removed.
local count = 0
for position = 2, #ARGV, 2 do
  if redis.call('LPOS', KEYS[2], ARGV[position]) then
    -- A script that is refused something stops and undoes nothing: as long as
    -- the message is not in the queue, it stays where it is.
    if ARGV[1] == 'requeue' then
      redis.call('RPUSH', KEYS[1], ARGV[position + 1])
    end
    redis.call('LREM', KEYS[2], 1, ARGV[position])
    count = count + 1
  end
end
return count
`);
