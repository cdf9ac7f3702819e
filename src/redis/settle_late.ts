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
begin(KEYS[2])
local count = 0
for at = 2, #ARGV, 3 do
  local id, payload, verdict = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  local digest = redis.sha1hex(payload)
  local histories = redis.call('HGET', KEYS[2], digest)
  local waits = histories and histories:find('~' .. id .. '@', 1, true)
  if verdict == '1' or not waits then
    add({'HDEL', KEYS[3], id}, 'HSET', KEYS[3], id, verdict)
    redis.call('EXPIRE', KEYS[3], ARGV[1])
  else
    note(KEYS[2], digest, histories, (histories:gsub('%S+', function(history)
      if history:find('~' .. id .. '@', 1, true) then
        return acquit(history, verdict)
      end
    end)))
  end
  -- It waits near the head, where it was put back.
  if verdict == '1' and waits and
    redis.call('LPOS', KEYS[1], payload, 'MAXLEN', 10000) and
    redis.call('LREM', KEYS[1], 1, payload) == 1 then
    commit()
    local others = {}
    for history in histories:gmatch('%S+') do
      if not history:find('~' .. id .. '@', 1, true) then
        others[#others + 1] = history
      end
    end
    note(KEYS[2], digest, histories, table.concat(others, ' '))
    commit()
    count = count + 1
  end
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
