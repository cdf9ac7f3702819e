/**
 * What contenders use in windows of time, in several processes of each. One
 * process may be half as expensive again as the next, and V8 tidies up now and
 * then, which takes a tenth of a second of the processor in whichever window it
 * falls: so what counts is the median of all windows of all processes.
 *
 * @module
 */
import { Connection, startRedis } from "../../src/redis/mod.ts";
import {
  commandsOf,
  type Contender,
  cpuOf,
  Peer,
  type PeerOptions,
} from "./process.ts";

/** So many processes of each contender are measured. */
export const PROCESSES = 3;

/** So many messages each has handled before it is measured: one at home has run for weeks. */
export const WARM = 5000;

/** A server that one contender has for itself. */
export interface Home {
  readonly contender: Contender;
  readonly redis: Connection;
  readonly path: string;
}

/** A contender in a process and on a server of its own. */
export interface Running extends Home {
  readonly peer: Peer;
}

/** Starts the server of a contender. */
export async function startHome(
  contender: Contender,
  stack: AsyncDisposableStack,
): Promise<Home> {
  const { redisArgs } = stack.use(await startRedis());
  const redis = stack.use(await Connection.connect(redisArgs));
  return { contender, redis, path: redisArgs.unix_socket_path! };
}

/** Starts a contender and its server. */
export async function startRunning(
  contender: Contender,
  stack: AsyncDisposableStack,
  options: Omit<PeerOptions, "path">,
): Promise<Running> {
  const home = await startHome(contender, stack);
  const peer = await Peer.start(contender, { ...options, path: home.path });
  return { ...home, peer: stack.use(peer) };
}

/** What a contender and its server have used: times in ms. */
export type Used = Readonly<
  Record<"cpu" | "switches" | "redis" | "commands", number>
>;

/** Looks at what a contender and its server have used until now. */
async function look({ peer, redis }: Running): Promise<Used> {
  return {
    ...await peer.usage.look(),
    redis: await cpuOf(redis) / 1000,
    commands: await commandsOf(redis),
  };
}

/** Lets something happen several times; gives what each of them has used each time. */
export async function inWindows(
  all: readonly Running[],
  count: number,
  run: () => Promise<void>,
): Promise<readonly Used[][]> {
  const looks = [await Promise.all(all.map(look))];
  for (let left = count; left > 0; left--) {
    await run();
    looks.push(await Promise.all(all.map(look)));
  }
  return all.map((_, at) =>
    looks.slice(1).map((after, window): Used => {
      const [now, before] = [after[at]!, looks[window]![at]!];
      return {
        cpu: now.cpu - before.cpu,
        switches: now.switches - before.switches,
        redis: now.redis - before.redis,
        commands: now.commands - before.commands,
      };
    })
  );
}
