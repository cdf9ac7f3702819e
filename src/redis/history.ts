import { Buffer } from "node:buffer";

/** Holds what a message has for good where its sender has left it out. */
export interface MessageIdentity {
  /** Its id: 32 hexadecimal digits. */
  readonly id: string;
  /** When it was delivered first, in seconds since the epoch; none where the message certainly says when it was made. */
  readonly timestamp?: number;
}

/**
 * Gives each message of a batch its identity: what was given to those that came
 * before, and to the others an id made of the batch and their place in it, so
 * that it costs nothing until somebody asks.
 */
export interface BatchIdentities {
  /** The first 22 digits of the ids; the index is the rest. */
  readonly prefix: string;
  /** When the batch was delivered, in seconds since the epoch. */
  readonly time: number;
  /** The identities of messages that came before, by index. */
  readonly known: Readonly<Record<number, MessageIdentity>>;
}

/** Gives a message of a batch its identity. */
export function identify(
  identities: BatchIdentities,
  index: number,
): MessageIdentity {
  const { prefix, time, known } = identities;
  return known[index] ?? {
    id: `${prefix}${index.toString(16).padStart(10, "0")}`,
    timestamp: time,
  };
}

/** Counts what happened to a message before; it follows the message back into the queue. */
export interface History {
  /** The number of times that it was delivered. */
  readonly deliveries: number;
  /** The number of times that its handling failed. */
  readonly failures: number;
  /** The number of times that its consumer died while it was in hand. */
  readonly deaths: number;
  /** The number of times that it did so while it had nothing else in hand. */
  readonly crashes: number;
  /** Says who still has to get it, in words that only their author reads. */
  readonly retry?: string | undefined;
  /** Its identity, once it was delivered. */
  readonly identity?: MessageIdentity | undefined;
}

/** The history of a message that was never delivered. */
export const FIRST_TIME: History = {
  deliveries: 0,
  failures: 0,
  deaths: 0,
  crashes: 0,
};

/** The longest pause before a message is tried again, in seconds. */
export const LONGEST_PAUSE = 300;

/** One crash may be chance: consumers are also ended while they handle something harmless. */
const CRASHES = 2;

/**
 * Tells whether a message may be what its consumers die of. Many others were in
 * hand with it, so from now on it is handed out alone.
 */
export function isSuspected(history: History, maxDeliveries: number): boolean {
  return history.deaths >= Math.max(1, maxDeliveries - 1);
}

/** Tells whether it is what its consumers die of. */
export function isPoison(history: History): boolean {
  return history.crashes >= CRASHES;
}

/**
 * Writes `deliveries.failures.deaths.crashes`, then `~retry` in Base64 and
 * `~id@milliseconds` where there are such. Versions that know no identity read
 * the rest, and lose it only where handling fails with them.
 */
export function formatHistory(history: History): string {
  const { deliveries, failures, deaths, crashes, retry, identity } = history;
  const counts = `${deliveries}.${failures}.${deaths}.${crashes}`;
  const who = retry === undefined ? "" : btoa(retry);
  if (identity === undefined) return who === "" ? counts : `${counts}~${who}`;
  const { id, timestamp } = identity;
  const time = timestamp === undefined ? "" : Math.round(timestamp * 1000);
  return `${counts}~${who}~${id}@${time}`;
}

/** Holds what Redis keeps of a batch in hand. */
interface BatchNotes {
  /** When it was delivered, in seconds since the epoch. */
  readonly time: number | undefined;
  /** The histories of some of its messages, by index. */
  readonly histories: ReadonlyMap<number, History>;
}

/** The notes of a message of which nothing has to be known. */
export const NO_NOTES: BatchNotes = { time: undefined, histories: new Map() };

/** The index of a message, and its history as {@link formatHistory} writes it. */
const NOTE = new RegExp(
  String.raw`^(\d+):(\d+)\.(\d+)\.(\d+)\.(\d+)` +
    String
      .raw`(?:~((?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=)?)` +
    String.raw`(?:~([^~@]+)@(\d*))?)?$`,
);

/**
 * Reads `@milliseconds index:history ...`, with or without a mark. What is none is
 * passed over: somebody may have written it by hand.
 */
export function parseNotes(text: string): BatchNotes {
  const histories = new Map<number, History>();
  const time = /^@(\d+)/.exec(text)?.[1];
  for (const item of text.replace(/!$/, "").split(" ")) {
    const note = NOTE.exec(item);
    if (note === null) continue;
    const [index, deliveries, failures, deaths, crashes] = note.slice(1, 6)
      .map(Number) as [number, number, number, number, number];
    const [retry, id, milliseconds] = note.slice(6);
    histories.set(index, {
      deliveries,
      failures,
      deaths,
      crashes,
      retry: retry ? atob(retry) : undefined,
      identity: id === undefined ? undefined : {
        id,
        ...(milliseconds && { timestamp: Number(milliseconds) / 1000 }),
      },
    });
  }
  return {
    time: time === undefined ? undefined : Number(time) / 1000,
    histories,
  };
}

/** So many bytes at each end of a message are looked at for its id and time. */
const ENDS = 512;
const ID = /^\s*\{[^{}[\]]*"id"\s*:\s*"[^"]/;
const TIME_IN_FRONT = /^\s*\{[^{}[\]]*"_timestamp"\s*:\s*\d/;
const TIME_BEHIND = /,\s*"_timestamp"\s*:\s*\d[^{}[\]]*\}\s*$/;

/**
 * Tells whether a message certainly has an id and a time of its own: the id in
 * front of all that is nested in it, the time in front of it or behind.
 */
export function isComplete(
  { buffer, byteOffset, byteLength }: Uint8Array,
): boolean {
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  const head = bytes.toString("latin1", 0, ENDS);
  if (!ID.test(head)) return false;
  if (TIME_IN_FRONT.test(head)) return true;
  const tail = bytes.toString("latin1", Math.max(0, byteLength - ENDS));
  return TIME_BEHIND.test(tail);
}

/** A Lua function that keeps the history of a message in the queue, see {@link HISTORY_FUNCTIONS}. */
export const REMEMBER: string = `
local HISTORY_SECONDS = 604800

-- Takes back a death: the consumer lives, and has said so late.
local function acquit(history, verdict)
  local counts, deaths, crashes, rest =
    history:match('^(%d+%.%d+)%.(%d+)%.(%d+)(.*)$')
  local alone = verdict == '0!' and 1 or 0
  return string.format('%s.%d.%d%s', counts, math.max(0, deaths - 1),
    math.max(0, crashes - alone), rest)
end

-- Replaces the histories under a digest; '' stands for none.
local function note(deliveries, digest, before, after)
  local undo = before and {'HSET', deliveries, digest, before}
    or {'HDEL', deliveries, digest}
  if after == '' then
    add(undo, 'HDEL', deliveries, digest)
  else
    add(undo, 'HSET', deliveries, digest, after)
  end
end

-- Keeps the histories of messages that come into the queue, those of equal ones at
-- once: each time, all that are there already are copied.
local function remember(deliveries, payloads, histories)
  local equal = {}
  for index, payload in ipairs(payloads) do
    local history = histories[index]
    if history ~= '' and history ~= '0.0.0.0' then
      equal[payload] = equal[payload] or {}
      table.insert(equal[payload], history)
    end
  end
  for payload, those in pairs(equal) do
    local digest = redis.sha1hex(payload)
    local others = redis.call('HGET', deliveries, digest)
    if others then table.insert(those, 1, others) end
    note(deliveries, digest, others, table.concat(those, ' '))
  end
  if next(equal) then redis.call('EXPIRE', deliveries, HISTORY_SECONDS) end
end
`;

/**
 * Lua functions about histories, shared by the scripts that give messages out
 * and take them back.
 *
 * There a history is text, `deliveries.failures.deaths.crashes`, as in
 * `4.1.3.1`: delivered four times before; once its handling failed, three times
 * its consumer died, and one of them when it had nothing else in hand, which is
 * marked by a `!` behind the histories of the batch. Behind a `~` it can say who
 * still has to get the message, and behind another one the message's identity,
 * `id@milliseconds`. The histories of a batch may begin with `@milliseconds`,
 * when it was delivered: its place and that time are the identity of those that
 * have none yet.
 *
 * Messages in the queue are nothing but their payload, so that every other
 * program can read them; the histories of those that came back to it wait in a
 * hash beside it, under the digest of the payload. Equal payloads have a list of
 * histories there: which of them gets which makes no difference to anybody.
 */
export const HISTORY_FUNCTIONS: string = `${REMEMBER}
local CHUNK = 1000

-- Takes the histories of messages that leave the queue, as 'index:history ...'.
local function recall(deliveries, payloads)
  -- Those of equal messages are read and written once.
  local found, known, places = {}, {}, {}
  for index, payload in ipairs(payloads) do
    local digest = redis.sha1hex(payload)
    if places[digest] == nil then
      known[digest] = redis.call('HGET', deliveries, digest) or nil
      places[digest] = 1
    end
    local history = known[digest] and known[digest]:match('^%S+', places[digest])
    if history then
      found[#found + 1] = (index - 1) .. ':' .. history
      places[digest] = places[digest] + #history + 1
    end
  end
  for digest, histories in pairs(known) do
    note(deliveries, digest, histories, histories:sub(places[digest]))
  end
  return table.concat(found, ' ')
end

-- Makes the function that gives the history with which a message goes back; nil
-- where somebody has handled it who was taken for dead meanwhile.
local function judge(deliveries)
  local handled = deliveries:gsub('deliveries$', 'handled')
  local isLate = redis.call('EXISTS', handled) == 1
  return function(history)
    local id = isLate and history:match('~([^~@]+)@')
    local verdict = id and redis.call('HGET', handled, id)
    if not verdict then return history end
    if verdict == '1' then return nil end
    add({'HSET', handled, id, verdict}, 'HDEL', handled, id)
    return acquit(history, verdict)
  end
end

-- Adds messages to the head of the queue, in their order, with their histories.
-- Returns how many.
local function putBack(queue, deliveries, payloads, histories)
  local reversed, kept = {}, {}
  local judged = judge(deliveries)
  for index = #payloads, 1, -1 do
    local history = judged(histories[index] or '')
    if history then
      reversed[#reversed + 1] = payloads[index]
      kept[#kept + 1] = history
    end
  end
  remember(deliveries, reversed, kept)
  for first = 1, #reversed, CHUNK do
    local last = math.min(first + CHUNK - 1, #reversed)
    add({'LTRIM', queue, last - first + 1, -1},
      'LPUSH', queue, unpack(reversed, first, last))
  end
  return #reversed
end

-- Puts the messages of a batch back at the head of the queue, and counts one
-- delivery more, one death more, or neither. The prefix is that of the ids of
-- messages that were delivered first with this batch. Returns how many went back.
--
-- The last ones go first, some at a time: each is somewhere, with its history,
-- whatever is refused then. A few may be large, so the script has one of those at a
-- time; many are small, and may be equal to each other.
local function restore(queue, deliveries, batch, histories, delivered, died, prefix)
  local total = redis.call('LLEN', batch)
  local marks
  histories, marks = histories:gsub('!$', '')
  local time = histories:match('^@(%d+)') or ''
  local known = {}
  local function learn(text, first)
    for index, history in text:gmatch('(%d+):(%d+%.%d+%.%d+%.%d+%S*)') do
      known[first + index] = history
    end
  end
  learn(histories, 1)
  local some = math.max(1, math.floor(total / 8))
  -- '?' is a batch for BLMOVE: the histories are still where they were. All are
  -- taken before any is written, or equal messages would get those of each other.
  if histories == '?' and redis.call('EXISTS', deliveries) == 1 then
    for first = 1, total, some do
      learn(recall(deliveries,
        redis.call('LRANGE', batch, first - 1, first + some - 2)), first)
    end
  end
  local function age(index)
    local count, failures, deaths, crashes, rest =
      (known[index] or '0.0.0.0'):match('^(%d+)%.(%d+)%.(%d+)%.(%d+)(.*)$')
    if delivered > 0 and not rest:find('~.*~') then
      if rest == '' then rest = '~' end
      rest = string.format('%s~%s%010x@%s', rest, prefix, index - 1, time)
    end
    return string.format('%d.%d.%d.%d%s',
      count + delivered, failures, deaths + died, crashes + marks * died, rest)
  end
  local count = 0
  for last = total, 1, -some do
    local first = math.max(1, last - some + 1)
    local payloads = redis.call('LRANGE', batch, first - 1, -1)
    local aged = {}
    for index = first, last do aged[#aged + 1] = age(index) end
    count = count + putBack(queue, deliveries, payloads, aged)
    redis.call('LTRIM', batch, 0, -#payloads - 1)
    commit()
  end
  return count
end
`;
