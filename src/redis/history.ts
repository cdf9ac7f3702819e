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

/** Writes `deliveries.failures.deaths.crashes`, and `~retry` in Base64 where there is one. */
export function formatHistory(history: History): string {
  const { deliveries, failures, deaths, crashes, retry } = history;
  const counts = `${deliveries}.${failures}.${deaths}.${crashes}`;
  return retry === undefined ? counts : `${counts}~${btoa(retry)}`;
}

/** Reads `index:history …`, with or without a mark. */
export function parseHistories(text: string): Map<number, History> {
  const histories = new Map<number, History>();
  if (text === "") return histories;
  for (const item of text.replace(/!$/, "").split(" ")) {
    const [counts, retry] = item.split("~") as [string, string?];
    const [index, deliveries, failures, deaths, crashes] = counts.split(/[:.]/)
      .map(Number) as [number, number, number, number, number];
    histories.set(index, {
      deliveries,
      failures,
      deaths,
      crashes,
      retry: retry === undefined ? undefined : atob(retry),
    });
  }
  return histories;
}

/**
 * Lua functions about histories, shared by the scripts that give messages out
 * and take them back.
 *
 * There a history is text, `deliveries.failures.deaths.crashes`, as in
 * `4.1.3.1`: delivered four times before; once its handling failed, three times
 * its consumer died, and one of them when it had nothing else in hand, which is
 * marked by a `!` behind the histories of the batch. Behind a `~` it can say who
 * still has to get the message. Messages in the queue are
 * nothing but their payload, so that every other program can read them; the
 * histories of those that came back to it wait in a hash beside it, under the
 * digest of the payload. Equal payloads have a list of histories there: which of
 * them gets which makes no difference to anybody.
 */
export const HISTORY_FUNCTIONS = `
local HISTORY_SECONDS = 86400
local CHUNK = 1000

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

-- Takes the histories of messages that leave the queue, as 'index:history …'.
local function recall(deliveries, payloads)
  if redis.call('EXISTS', deliveries) == 0 then return '' end
  local found = {}
  for index, payload in ipairs(payloads) do
    local digest = redis.sha1hex(payload)
    local histories = redis.call('HGET', deliveries, digest)
    if histories then
      local history, others = histories:match('^(%S+) ?(.*)$')
      found[#found + 1] = (index - 1) .. ':' .. history
      note(deliveries, digest, histories, others)
    end
  end
  return table.concat(found, ' ')
end

-- Adds messages to the head of the queue, in their order, with their histories.
local function putBack(queue, deliveries, payloads, histories)
  local hasHistory, reversed = false, {}
  for index = #payloads, 1, -1 do
    local payload, history = payloads[index], histories[index]
    reversed[#reversed + 1] = payload
    if history and history ~= '0.0.0.0' then
      local digest = redis.sha1hex(payload)
      local others = redis.call('HGET', deliveries, digest)
      note(deliveries, digest, others, others and (others .. ' ' .. history) or history)
      hasHistory = true
    end
  end
  if hasHistory then redis.call('EXPIRE', deliveries, HISTORY_SECONDS) end
  for first = 1, #reversed, CHUNK do
    local last = math.min(first + CHUNK - 1, #reversed)
    add({'LTRIM', queue, last - first + 1, -1},
      'LPUSH', queue, unpack(reversed, first, last))
  end
end

-- Puts the messages of a batch back at the head of the queue, and counts one
-- delivery more, one death more, or neither.
local function restore(queue, deliveries, batch, histories, delivered, died)
  local payloads = redis.call('LRANGE', batch, 0, -1)
  if #payloads == 0 then return 0 end
  -- '?' is a batch for BLMOVE: the histories are still where they were.
  if histories == '?' then histories = recall(deliveries, payloads) end
  local marks
  histories, marks = histories:gsub('!$', '')
  local known, after = {}, {}
  for index, history in histories:gmatch('(%d+):(%S+)') do
    known[tonumber(index) + 1] = history
  end
  for index = 1, #payloads do
    local count, failures, deaths, crashes, retry =
      (known[index] or '0.0.0.0'):match('^(%d+)%.(%d+)%.(%d+)%.(%d+)(.*)$')
    after[index] = string.format('%d.%d.%d.%d%s',
      count + delivered, failures, deaths + died, crashes + marks * died, retry)
  end
  putBack(queue, deliveries, payloads, after)
  redis.call('DEL', batch)
  commit()
  return #payloads
end
`;
