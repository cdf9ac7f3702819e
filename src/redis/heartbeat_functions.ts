/**
 * Lua functions about heartbeats, shared by the scripts that join, look and
 * leave. The keys of the others are made from the names in the index of
 * consumers, and may point to a heartbeat that another queue of theirs has.
 */
export const HEARTBEAT_FUNCTIONS = `
-- Finds the heartbeat of a consumer: its key, and what it holds, if it beats.
-- One that this user may not read counts as alive.
local function heartOf(key)
  local beat = redis.call('GET', key)
  if beat and beat:sub(1, 1) == '=' then
    key = beat:sub(2)
    beat = redis.pcall('GET', key)
    if type(beat) == 'table' then beat = '1' end
  end
  return key, beat
end

-- Lets the other consumers of a queue look who is there, with their next beat.
local function poke(consumers, heartbeats, but)
  local list = redis.call('HGETALL', consumers)
  for at = 1, #list, 2 do
    if list[at + 1] == 'alive' and list[at] ~= but then
      local key, beat = heartOf(heartbeats .. list[at])
      if beat and beat:sub(-1) ~= '!' then
        redis.pcall('SET', key, beat .. '!', 'KEEPTTL')
      end
    end
  end
end
`;
