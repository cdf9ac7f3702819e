import { queueKeys } from "../redis/queue_keys.ts";
import type { Words } from "./rehearse.ts";

/** Names something that people want to do, and the commands that it takes. */
export interface Purpose {
  /** To do what, as in "may …". */
  readonly name: string;
  /** True if nearly everybody wants it. */
  readonly isCommon: boolean;
  /** Commands with arguments as the module sends them. */
  readonly commands: readonly Words[];
}

/**
 * All commands that the module sends about a queue, scripts included.
 */
export function commandsFor(queue: string): readonly Purpose[] {
  const keys = queueKeys(queue, "doctor");
  const { processing, heartbeat, consumers, deliveries, retry, dead } = keys;
  const batch = `${keys.batch}1`;
  const response = "platypush/responses/doctor";
  return [
    {
      name: "take messages",
      isCommon: true,
      commands: [
        ["EVAL", "return 1", "1", queue],
        ["EVALSHA", "0".repeat(40), "1", queue],
        ["TYPE", queue],
        ["LLEN", queue],
        ["LPUSH", queue, ""],
        ["BLMOVE", queue, batch, "LEFT", "RIGHT", "1"],
        ["RPUSH", batch, ""],
        ["LRANGE", batch, "0", "-1"],
        ["DEL", batch],
        ["SET", heartbeat, "1", "PX", "1"],
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
        ["ZRANGEBYSCORE", retry, "0", "0"],
        ["ZREMRANGEBYRANK", retry, "0", "0"],
        ["RPUSH", dead, ""],
        ["LTRIM", dead, "0", "-1"],
        ["TIME"],
      ],
    },
    {
      name: "take messages at most once",
      isCommon: false,
      commands: [
        ["LPOP", queue, "1"],
        ["BLPOP", queue, "1"],
        ["BLMPOP", "1", "1", queue, "LEFT"],
      ],
    },
    {
      name: "send messages",
      isCommon: true,
      commands: [["RPUSH", queue, ""]],
    },
    {
      name: "send requests and responses",
      isCommon: true,
      commands: [
        ["RPUSH", response, ""],
        ["EXPIRE", response, "1"],
        ["LRANGE", response, "0", "0"],
        ["UNLINK", response],
      ],
    },
    {
      name: "look after dead letters",
      isCommon: false,
      commands: [
        ["LLEN", dead],
        ["LRANGE", dead, "0", "0"],
        ["LPOS", dead, ""],
        ["LREM", dead, "1", ""],
        ["RPUSH", queue, ""],
      ],
    },
    {
      name: "see how the queue stands",
      isCommon: false,
      commands: [
        ["PTTL", heartbeat],
        ["ZCARD", retry],
        ["HGETALL", consumers],
        ["INFO", "server"],
      ],
    },
  ];
}

/** The patterns of the keys that these commands touch, as in an ACL. */
export function keyPatterns(queue: string): string {
  const { dead } = queueKeys(queue, "");
  const escape = (key: string): string => key.replace(/[*?[\]\\]/g, "\\$&");
  const others = escape(dead.slice(0, -"dead".length));
  return `~${escape(queue)} ~${others}* ~platypush/responses/*`;
}
