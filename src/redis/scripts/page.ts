import { defineScript } from "../script.ts";

/** Reads some dead letters, and not more than fit into a reply. */
export const page = defineScript(`
-- KEYS[1]  the list of the dead letters
-- ARGV[1]  the index of the first dead letter of the page
-- ARGV[2]  the largest number of dead letters
-- ARGV[3]  the number of bytes after which the page is full
-- ARGV[4]  the digest of the dead letter before the page, or ''
-- Returns the dead letters, or nil where another one is before them by now.
local function at(index) return redis.call('LRANGE', KEYS[1], index, index)[1] end

local first, limit, maxBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if ARGV[4] ~= '' and redis.sha1hex(at(first - 1) or '') ~= ARGV[4] then return false end
local letters, bytes = {}, 0
while #letters < limit and bytes < maxBytes do
  local letter = at(first + #letters)
  if not letter then break end
  letters[#letters + 1] = letter
  bytes = bytes + #letter
end
return letters
`);
