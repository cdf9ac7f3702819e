/**
 * Lua functions about sorted sets of messages that wait for a time: those that
 * failed and pause, and those that were sent with a delay. A member begins with a
 * name and how many milliseconds it waits at most: `NAME@MILLISECONDS `. They use
 * those of `defineMove`.
 */
export const DUE_FUNCTIONS: string = `
local function clock()
  local now = redis.call('TIME')
  return now[1] * 1000 + math.floor(now[2] / 1000)
end

-- A message is due further away than it is to wait where the server's clock has
-- gone back: then it is due when it has waited from now on. The longest wait is
-- that of members which do not tell theirs.
local function straighten(waiting, milliseconds, longest)
  local PAGE = 1000
  local function latest(member)
    return milliseconds + (member:match('^%S-@(%d+) ') or longest)
  end
  local function isAstray(position)
    local found = redis.call('ZRANGE', waiting, position, position, 'WITHSCORES')
    return found[1] and tonumber(found[2]) > latest(found[1])
  end
  -- After a clock has gone back its last message is astray, or soon will be last.
  if not isAstray(0) and not isAstray(-1) then return end
  local first = 0
  repeat
    local page = redis.call('ZRANGE', waiting, first, first + PAGE - 1, 'WITHSCORES')
    -- What moves gets a rank that is already behind us.
    for at = 1, #page, 2 do
      local member, score = page[at], page[at + 1]
      if tonumber(score) > latest(member) then
        add({'ZADD', waiting, score, member},
          'ZADD', waiting, latest(member), member)
      end
    end
    first = first + PAGE
  until #page == 0
end

-- Tells in how many milliseconds the next message is due, or -1.
local function untilNext(waiting, milliseconds)
  local first = redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES')
  if #first == 0 then return -1 end
  return math.max(first[2] - milliseconds, 0)
end
`;
