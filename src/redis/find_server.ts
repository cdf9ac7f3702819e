import { keySlot } from "./queue_keys.ts";
import { ServerConnection, type ServerOptions } from "./server_connection.ts";
import { type Address, formatAddress } from "./address.ts";
import type { Settings } from "./redis_args.ts";
import { RedisError } from "./redis_error.ts";

/**
 * Finds the server, and connects to it.
 *
 * @param key The key that matters, in a cluster.
 * @throws {RedisError} Nobody knows the server at the moment, it cannot be
 * reached or refuses, or it is no master, although the sentinels say so.
 */
export async function connectToServer(
  settings: Settings,
  key: string | undefined,
  options: ServerOptions,
): Promise<ServerConnection> {
  const { onLost: _, ...asking } = options;
  const address = await findServer(settings, key, asking);
  const server = await ServerConnection.open(address, settings, options);
  if (settings.sentinel !== undefined && server.role === "replica") {
    server.close();
    throw new RedisError({
      attempted: "use Redis",
      place: formatAddress(address),
      reason: "the sentinels name it as the master, but it is a replica still",
    }, "connection");
  }
  return server;
}

/**
 * Finds the server to talk to: the configured one, the master that the
 * sentinels name, or the cluster's node that holds a key. It is asked for again
 * on each connect, so a failover needs nothing else to be noticed.
 *
 * @param key The key that matters, in a cluster.
 * @param options How to connect to whom is asked.
 * @throws {RedisError} Nobody knows the server at the moment.
 */
async function findServer(
  settings: Settings,
  key: string | undefined,
  options: ServerOptions,
): Promise<Address> {
  const { sentinel, cluster } = settings;
  if (sentinel !== undefined) {
    return await ask(
      sentinel.addresses,
      {
        ...settings,
        db: 0,
        username: sentinel.username,
        password: sentinel.password,
      },
      options,
      `no sentinel knows a master named "${sentinel.serviceName}"`,
      (server) => masterOf(server, sentinel.serviceName),
    );
  }
  if (cluster !== undefined) {
    const slot = keySlot(key ?? "");
    const owner = ownerOf(await findSlots(settings, options), slot);
    if (owner !== undefined) return owner;
    throw new RedisError({
      attempted: "connect to Redis",
      reason: `no node of the cluster serves slot ${slot}`,
    }, "connection");
  }
  return settings.address;
}

/** A range of hash slots, both ends included, and the node that serves them. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly address: Address;
}

/**
 * Asks a cluster which node serves which slots.
 *
 * @param settings How to reach the cluster.
 * @param options How to connect to whom is asked.
 * @throws {RedisError} No node answers at the moment.
 */
export async function findSlots(
  settings: Settings,
  options: ServerOptions,
): Promise<readonly SlotRange[]> {
  return await ask(
    settings.cluster ?? [],
    settings,
    options,
    "no node of the cluster answers",
    slotsOf,
  );
}

/** The node that serves a slot, if any does. */
export function ownerOf(
  ranges: readonly SlotRange[],
  slot: number,
): Address | undefined {
  return ranges.find(({ first, last }) => first <= slot && slot <= last)
    ?.address;
}

/** Asks one after the other until somebody knows. */
async function ask<Answer>(
  addresses: readonly Address[],
  settings: Settings,
  options: ServerOptions,
  failure: string,
  question: (server: ServerConnection) => Promise<Answer | undefined>,
): Promise<Answer> {
  const problems: string[] = [];
  for (const address of addresses) {
    let server: ServerConnection | undefined;
    try {
      server = await ServerConnection.open(address, settings, options);
      const answer = await withTimeout(
        question(server),
        settings.connectTimeout,
      );
      if (answer !== undefined) return answer;
      problems.push(`${formatAddress(address)} does not know it`);
    } catch (error) {
      if (options.signal.aborted) throw error;
      if (
        error instanceof RedisError && !error.isTransient &&
        error.code !== "closed"
      ) throw error;
      problems.push((error as Error).message);
    } finally {
      server?.close();
    }
  }
  throw new RedisError({
    attempted: "connect to Redis",
    reason: failure,
    note: problems.join(". "),
  }, "connection");
}

/** `SENTINEL GET-MASTER-ADDR-BY-NAME`. */
async function masterOf(
  server: ServerConnection,
  name: string,
): Promise<Address | undefined> {
  const reply = await server.send<[string, string] | null>(
    ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name],
  );
  if (reply === null) return undefined;
  return { host: reply[0], port: Number(reply[1]) };
}

/** `CLUSTER SLOTS`; an empty host there means the node that was asked. */
async function slotsOf(
  server: ServerConnection,
): Promise<SlotRange[] | undefined> {
  const reply = await server.send<[number, number, [string | null, number]][]>(
    ["CLUSTER", "SLOTS"],
  );
  const asked = "host" in server.address ? server.address.host : "127.0.0.1";
  const ranges = reply.map(([first, last, [host, port]]) => ({
    first,
    last,
    address: { host: host || asked, port },
  }));
  return ranges.length > 0 ? ranges : undefined;
}

async function withTimeout<Value>(
  promise: Promise<Value>,
  seconds: number,
): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`no answer within ${seconds} s`)),
          seconds * 1000,
        );
        Deno.unrefTimer(timer);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
