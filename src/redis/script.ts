import { createHash } from "node:crypto";
import { type RedisError, restate } from "./redis_error.ts";

/**
 * A Lua script for {@linkcode Connection.script}, together with the digest that
 * names it on the server.
 */
export interface Script {
  /** The script's text. */
  readonly lua: string;
  /** The hexadecimal SHA-1 digest of the text (`EVALSHA`). */
  readonly sha1: string;
}

/** The type that a key has to have, where it exists. */
type KeyType = "list" | "hash" | "zset" | "string";

/** Prepares a script. */
export function defineScript(lua: string): Script {
  return { lua, sha1: createHash("sha1").update(lua).digest("hex") };
}

/**
 * Prepares a script that moves messages and cannot lose any. Redis keeps what a
 * script did before a command was refused, so the order decides: it reads, adds,
 * and removes only then. What it adds is taken back where a later command is
 * refused, up to its first removal that succeeds, which it marks by `commit()`.
 *
 * Its text can use:
 * - `add(undo, ...)`: runs a command; `undo` is the command that takes it back.
 * - `commit()`: from here on nothing is taken back.
 * - `begin(hash)`: has to be the first write. A server that is out of memory
 *   refuses a script's first write where that needs memory, but none of the later
 *   ones: this one needs none, and changes nothing.
 * - `own(type, key)`: returns a key that the script has made. It is to be called
 *   where the next command uses it.
 *
 * @param types The types of its keys, in their order; the last one is that of all
 * further keys. An error about a wrong type names the key, also one of `own()`.
 */
export function defineMove(types: readonly KeyType[], lua: string): Script {
  return defineScript(`
local undoing = {}
local function add(undo, ...)
  local reply = redis.call(...)
  undoing[#undoing + 1] = undo
  return reply
end
local function commit() undoing = {} end
local function begin(hash) redis.call('HDEL', hash, '') end
local made, madeType
local function own(type, key)
  made, madeType = key, type
  return key
end

local isDone, reply = pcall(function()${lua}end)
if isDone then return reply end

for at = #undoing, 1, -1 do redis.pcall(unpack(undoing[at])) end
-- Redis 7 throws a table, Redis 6.2 a text with the place in front.
local text = type(reply) == 'table' and reply.err or tostring(reply)
text = text:gsub('^@?user_script: ?%d+: ?%-?', '')
if text:find('^WRONGTYPE') then
  local function blame(key, expected)
    local found = redis.pcall('TYPE', key).ok
    if found and found ~= 'none' and found ~= expected then
      text = 'WRONGTYPE the key "' .. key .. '" is a ' .. found ..
        ', but has to be a ' .. expected
    end
  end
  local types = {${types.map((type) => `'${type}'`).join(", ")}}
  if made then blame(made, madeType) end
  for at, key in ipairs(KEYS) do blame(key, types[math.min(at, #types)]) end
end
return {err = text}
`);
}

/** Names the key that is of another type than a command needs. A script has several, and names it itself. */
export function nameKey(
  error: RedisError,
  [name, key]: readonly (string | Uint8Array)[],
): RedisError {
  const { code, subject } = error;
  const isNamed = code !== "wrong-type" || subject !== undefined;
  if (isNamed || typeof key !== "string" || /^EVAL/i.test(String(name))) {
    return error;
  }
  const reason = `the key "${key}" is of another type than ${name} needs`;
  return restate(error, { reason, subject: key });
}
