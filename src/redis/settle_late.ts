import { inParts } from "../in_parts.ts";
import type { ConsumerOptions } from "./consumer.ts";
import { REMEMBER } from "./history.ts";
import { QueueKeys } from "./queue_keys.ts";
import { isNumber } from "./reply_shape.ts";
import { defineMove } from "./script.ts";

/** A message that was settled although its consumer had been taken for dead. */
export interface LateMessage {
  /** The id of its identity. */
  readonly id: string;
  readonly payload: Uint8Array;
  /**
   * Says what is known by now: it was handled; or only that its consumer has not died
   * of it, which had it in hand with others or alone.
   */
  readonly verdict: keyof typeof VERDICTS;
}

/** The same in the words of the scripts, see `acquit` in `HISTORY_FUNCTIONS`. */
const VERDICTS = { handled: "1", "not died": "0", "not died, alone": "0!" };

/**
 * Tells what became of messages with somebody who had been taken for dead. What
 * was handled and still waits in the queue is delivered no more. What was not has
 * killed nobody: that death is taken back. What others have in hand is noted, for
 * the time when they put it back: then it is gone, or the death is.
 */
const SETTLE_LATE = defineMove(
  ["list", "hash", "hash"],
  `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the histories
-- KEYS[3]  the hash of the ids that were settled late
-- ARGV[1]  for how many seconds they are noted
-- ARGV[2...] in turns: an id, its message, and '1' where it was handled, '0' where its
--          consumer has not died of it, '0!' where it had nothing else in hand
-- Returns how many messages are delivered no more.
${REMEMBER}
-- What is known of a message and of those that are equal to it. It is read and
-- written once: each time, all of it is copied.
local known = {}
local function knownOf(payload)
  if known[payload] then return known[payload] end
  local digest = redis.sha1hex(payload)
  local before = redis.call('HGET', KEYS[2], digest)
  local one = {digest = digest, before = before, histories = {}, places = {}}
  for history in (before or ''):gmatch('%S+') do
    table.insert(one.histories, history)
    one.places[history:match('~([^~@]+)@') or ''] = #one.histories
  end
  known[payload] = one
  return one
end

begin(KEYS[2])
local count = 0
for at = 2, #ARGV, 3 do
  local id, payload, verdict = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local one = knownOf(payload)
  local histories, place = one.histories, one.places[id]
  if verdict == '1' or not place then
    add({'HDEL', KEYS[3], id}, 'HSET', KEYS[3], id, verdict)
    redis.call('EXPIRE', KEYS[3], ARGV[1])
  else
    histories[place], one.isChanged = acquit(histories[place], verdict), true
  end
  -- It waits near the head, where it was put back.
  if verdict == '1' and place and
    redis.call('LPOS', KEYS[1], payload, 'MAXLEN', 10000) and
    redis.call('LREM', KEYS[1], 1, payload) == 1 then
    commit()
    histories[place], one.isChanged = '', true
    count = count + 1
  end
end
for _, one in pairs(known) do
  local left = {}
  for _, history in ipairs(one.histories) do
    if history ~= '' then left[#left + 1] = history end
  end
  if one.isChanged then note(KEYS[2], one.digest, one.before, table.concat(left, ' ')) end
end
commit()
return count
`,
);

/** For so long it is known which messages were handled late, in seconds. */
const KNOWN_SECONDS = 86_400;

/**
 * Settles messages late, whose batch was put back by others.
 *
 * @returns The number of messages whose redelivery was cancelled at once.
 * @throws {RedisError} The server cannot be reached, or refuses.
 */
export async function settleLate(
  { control, queue }: ConsumerOptions,
  messages: readonly LateMessage[],
): Promise<number> {
  const { deliveries, handled } = new QueueKeys(queue);
  let count = 0;
  // For each, the server may look at thousands of messages.
  for (const part of inParts(messages)) {
    count += await control.script<number>(
      SETTLE_LATE,
      [queue, deliveries, handled],
      [
        String(KNOWN_SECONDS),
        ...part.flatMap(({ id, payload, verdict }) => [
          id,
          payload,
          VERDICTS[verdict],
        ]),
      ],
      { isReply: isNumber },
    );
  }
  return count;
}
