/**
 * What a message costs from a Redis list to a handler, in a process of its own.
 *
 * @module
 */
import { type Connection, type RedisArgs } from "../src/redis/mod.ts";
import { median, type Row } from "./report.ts";
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

/** What came out of all rounds of some contenders, by their names. */
export type Costs = Readonly<Record<string, readonly Cost[]>>;

/** Says what figure is made of the rounds of a contender. */
export interface Figure {
  /** What stands before the name. */
  readonly prefix?: string;
  readonly pick: (costs: readonly Cost[]) => number;
  readonly unit: string;
  /** What the ratio has to be, of those that have to. */
  readonly must?: (name: string) => string | undefined;
}

/** One figure of each contender, beside that of one without anything. */
export function rowsOf(
  costs: Costs,
  without: string,
  { prefix = "", pick, unit, must }: Figure,
): Row[] {
  const least = pick(costs[without]!);
  return Object.entries(costs).map(([name, rounds]) => {
    const value = pick(rounds);
    const goal = must?.(name);
    const ratio = {
      to: without,
      value: value / least,
      ...(goal !== undefined && { must: goal }),
    };
    return {
      what: prefix + name,
      value,
      unit,
      ...(name !== without && { ratio }),
    };
  });
}

/** Messages a second. */
export const rate = (costs: readonly Cost[]): number =>
  median(costs.map(({ rate }) => rate));

/** The least processor time of all rounds: what else runs only adds to it. */
export const leastCpu = (costs: readonly Cost[]): number =>
  Math.min(...costs.map(({ cpu }) => cpu));
