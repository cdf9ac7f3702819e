import type { Words } from "../redis/check_rights.ts";
import { QueueKeys } from "../redis/queue_keys.ts";

/** Names a piece of work for which a user needs rights. */
export type Deed =
  | "consume"
  | "consume at most once"
  | "send"
  | "schedule"
  | "cancel"
  | "ask"
  | "answer"
  | "list dead letters"
  | "purge dead letters"
  | "requeue dead letters"
  | "requeue large dead letters"
  | "survey"
  | "pause"
  | "resume";

/**
 * Lists the commands that each piece of work about a queue takes, those in scripts
 * included, with arguments as the module sends them.
 */
export function commandsFor(
  queue: string,
): Readonly<Record<Deed, readonly Words[]>> {
  const keys = new QueueKeys(queue, "doctor");
  const { processing, heartbeat, consumers, deliveries } = keys;
  const { retry, delayed, dead, text, paused, subscribers } = keys;
  const batch = keys.batch(1);
  const response = "platypush/responses/doctor";
  const duplicate = `${keys.duplicates}doctor`;
  const script = (key: string): Words[] => [
    ["EVAL", "return 1", "1", key],
    ["EVALSHA", "0".repeat(40), "1", key],
  ];
  const removal: Words[] = [
    ...script(queue),
    ["LLEN", dead],
    ["LRANGE", dead, "0", "0"],
    ["LSET", dead, "0", ""],
    ["LREM", dead, "1", ""],
  ];
  return {
    consume: [
      ...script(queue),
      ["TYPE", queue],
      ["LLEN", queue],
      ["LPUSH", queue, ""],
      ["LPOS", queue, ""],
      ["LREM", queue, "1", ""],
      ["BLMOVE", queue, batch, "LEFT", "RIGHT", "1"],
      ["RPUSH", batch, ""],
      ["LRANGE", batch, "0", "-1"],
      ["DEL", batch],
      ["SET", heartbeat, "1", "PX", "1"],
      ["GET", heartbeat],
      ["PTTL", heartbeat],
      ["EXISTS", heartbeat],
      ["PEXPIRE", heartbeat, "1"],
      ["HSET", processing, "1", ""],
      ["HSETNX", processing, "1", ""],
      ["HKEYS", processing],
      ["HGET", consumers, "doctor"],
      ["HGETALL", consumers],
      ["HDEL", consumers, "doctor"],
      ["EXPIRE", deliveries, "1"],
      ["ZADD", retry, "0", ""],
      ["ZRANGE", retry, "0", "0"],
      ["ZREMRANGEBYRANK", retry, "0", "0"],
      ["RPUSH", dead, ""],
      ["LTRIM", dead, "0", "-1"],
      ["SORT", queue, "BY", "nosort", "STORE", batch],
      ["RENAME", batch, text],
      ["LMOVE", batch, queue, "RIGHT", "LEFT"],
      ["MEMORY", "USAGE", dead],
      ["TIME"],
    ],
    "consume at most once": [
      ["LPOP", queue, "1"],
      ["BLPOP", queue, "1"],
      ["BLMPOP", "1", "1", queue, "LEFT"],
    ],
    send: [["RPUSH", queue, ""]],
    schedule: [
      ...script(queue),
      ["RPUSH", queue, ""],
      ["TIME"],
      ["GET", duplicate],
      ["SET", duplicate, "", "PX", "1"],
      // Takes it back where something else is refused.
      ["DEL", duplicate],
      ["ZRANGE", delayed, "0", "0"],
      ["ZADD", delayed, "0", ""],
      ["HGETALL", consumers],
    ],
    cancel: [
      ["ZSCAN", delayed, "0"],
      ["ZREM", delayed, ""],
    ],
    ask: [
      ["RPUSH", queue, ""],
      ["LRANGE", response, "0", "0"],
      ["LTRIM", response, "1", "0"],
      ["UNLINK", response],
      // Takes it back where nobody answers.
      ["LREM", queue, "-1", ""],
    ],
    answer: [
      ...script(response),
      ["RPUSH", response, ""],
      ["EXPIRE", response, "1"],
    ],
    "list dead letters": [
      ...script(dead),
      ["LLEN", dead],
      ["LRANGE", dead, "0", "0"],
    ],
    "purge dead letters": [...removal, ["HDEL", deliveries, ""]],
    "requeue dead letters": [
      ...removal,
      ["HGET", deliveries, ""],
      ["HSET", deliveries, "1", ""],
      ["HDEL", deliveries, ""],
      ["EXPIRE", deliveries, "1"],
      ["RPUSH", queue, ""],
      // Takes it back where something else is refused.
      ["LTRIM", queue, "0", "-2"],
    ],
    "requeue large dead letters": [
      ["EXISTS", text],
      ["LMOVE", text, queue, "LEFT", "RIGHT"],
      ["DEL", text],
      ["GET", text],
    ],
    survey: [
      ["EVAL", "return 1", "1", queue],
      ["LLEN", queue],
      ["HGETALL", consumers],
      ["HKEYS", subscribers],
      ["PTTL", heartbeat],
      ["GET", paused],
      ["ZCARD", retry],
      ["LRANGE", dead, "0", "0"],
    ],
    pause: [["SET", paused, "", "NX"]],
    resume: [["DEL", paused]],
  };
}
