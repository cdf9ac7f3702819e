/**
 * Connects with the arguments that it reads, gives up after the first failure,
 * and tells why. It ends as soon as nothing is under way any more.
 */
import { Connection, RedisError } from "../../src/redis/mod.ts";

const args = JSON.parse(await new Response(Deno.stdin.readable).text());
const giving = new AbortController();
try {
  await Connection.connect(args, {
    signal: giving.signal,
    onFailure: () => giving.abort(),
  });
} catch (error) {
  // deno-lint-ignore no-console -- it is what the program is for
  console.log(error instanceof RedisError ? error.code : error);
}
