import { RedisError } from "./redis_error.ts";

/** Says which queue it is that is none. */
export function explainWrongType(error: unknown, queue: string): unknown {
  if (!(error instanceof RedisError) || error.code !== "wrong-type") {
    return error;
  }
  return new RedisError(
    `Cannot read "${queue}": the key exists, but is no list; use another queue or remove the key.`,
    "wrong-type",
    { cause: error },
  );
}
