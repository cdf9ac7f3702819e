/**
 * What a message costs from a Redis list to a handler, in a process of its own.
 *
 * @module
 */
import { type Connection, type RedisArgs } from "../src/redis/mod.ts";
import { CLIMATE, sensorEvent } from "./sensor_event.ts";

const QUEUE = "bench";
const EVENT = JSON.stringify(sensorEvent(CLIMATE));

/** What came out of a run, for each message. */
export interface Cost {
  /** Messages a second. */
  readonly rate: number;
  /** Microseconds of all threads of the process. */
  readonly cpu: number;
}

/** Says how a run is to be. */
export interface RunOptions {
  readonly redisArgs: RedisArgs;
  readonly messages: number;
  /** What Deno is told before the program. */
  readonly flags?: readonly string[] | undefined;
  /** What the program is told behind the server and the number of messages. */
  readonly args?: readonly string[] | undefined;
  readonly env?: Record<string, string> | undefined;
}

/** Lets events wait in the queue, and a program of this folder handle them. */
export async function costOf(
  redis: Connection,
  program: string,
  { redisArgs, messages, flags = [], args = [], env = {} }: RunOptions,
): Promise<Cost> {
  const thousand = new Array<string>(1000).fill(EVENT);
  for (let filled = 0; filled < messages; filled += 1000) {
    await redis.command([
      "RPUSH",
      QUEUE,
      ...thousand.slice(0, messages - filled),
    ]);
  }
  const { stdout, success } = await new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      ...flags,
      new URL(program, import.meta.url).pathname,
      JSON.stringify(redisArgs),
      String(messages),
      ...args,
    ],
    env,
    stderr: "inherit",
  }).output();
  if (!success) throw new Error("A run has failed.");
  const { seconds, cpu } = JSON.parse(new TextDecoder().decode(stdout));
  return { rate: messages / seconds, cpu: cpu / messages };
}
