import { defineScript } from "../script.ts";

/** Puts a response where who asked waits for it, for a limited time. */
export const respond = defineScript(`
-- KEYS[1]  the list of the responses to one request
-- ARGV[1]  the response
-- ARGV[2]  for how many seconds it is kept
redis.call('RPUSH', KEYS[1], ARGV[1])
return redis.call('EXPIRE', KEYS[1], ARGV[2])
`);
