import type { ConsumerOptions } from "./consumer.ts";
import { REMEMBER } from "./history.ts";
import { queueKeys } from "./queue_keys.ts";
import { isNumber } from "./reply_shape.ts";
import { defineMove } from "./script.ts";
import { amount } from "../units.ts";

/** A message that was handled although its consumer had been taken for dead. */
export interface LateMessage {
  /** The id of its identity. */
  readonly id: string;
  readonly payload: Uint8Array;
}

/**
 * Tells that messages were handled by somebody who had been taken for dead. What
 * still waits in the queue is delivered no more. What others have in hand is
 * noted: it is not put back when they fail, or count as dead in their turn.
 */
const SETTLE_LATE = defineMove(
  ["list", "hash", "hash"],
  `
-- KEYS[1]  the queue
-- KEYS[2]  the hash of the histories
-- KEYS[3]  the hash of the ids that were handled late
-- ARGV[1]  for how many seconds they are noted
-- ARGV[2…] in turns: an id, and its message
-- Returns how many messages are delivered no more.
${REMEMBER}
begin(KEYS[2])
local count = 0
for at = 2, #ARGV, 2 do
  local id, payload = ARGV[at], ARGV[at + 1]
  add({'HDEL', KEYS[3], id}, 'HSET', KEYS[3], id, '1')
  redis.call('EXPIRE', KEYS[3], ARGV[1])
  local digest = redis.sha1hex(payload)
  local histories = redis.call('HGET', KEYS[2], digest)
  -- It waits near the head, where it was put back.
  if histories and histories:find('~' .. id .. '@', 1, true) and
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
  const { deliveries, handled } = queueKeys(queue, "");
  return await control.script<number>(
    SETTLE_LATE,
    [queue, deliveries, handled],
    [
      String(KNOWN_SECONDS),
      ...messages.flatMap(({ id, payload }) => [id, payload]),
    ],
    { isReply: isNumber },
  );
}

/** Says that messages were settled when somebody else had them already. */
export function tooLate(
  count: number,
  queue: string,
  cancelled: number,
): string {
  return `Settled ${
    amount(count, "message")
  } of "${queue}" too late: another consumer has put back what was in hand, or the server has lost it. Taken out of the queue again: ${cancelled}.`;
}
