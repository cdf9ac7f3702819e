import { settledWithin } from "../waiting.ts";
import {
  type Address,
  formatAddress,
  isPort,
  parseAddress,
} from "./address.ts";
import { keySlot } from "./key_slot.ts";
import type { RedisArgs } from "./redis_args.ts";
import {
  parseRedisArgs,
  type SentinelSettings,
  type Settings,
} from "./settings.ts";
import { RedisError, toRedisError } from "./redis_error.ts";
import { type Facts, isFacts, isNumber, isText, pairs } from "./reply_shape.ts";
import {
  type ReplyOptions,
  ServerConnection,
  type ServerOptions,
} from "./server_connection.ts";

/** Tells {@link connectToServer} whom to connect to. */
interface SearchOptions extends ServerOptions {
  /** Takes no replica, although the server was named outright. */
  needsMaster?: boolean;
}

/**
 * Finds the server, and connects to it: the configured one, the master that the
 * sentinels name, or the cluster's node that holds a key. It is looked up on
 * each connect, so a failover needs nothing else to be noticed.
 *
 * @param key The key that matters, in a cluster.
 * @throws {RedisError} Nobody knows the server at the moment, it cannot be
 * reached or refuses, or it is no master.
 */
export async function connectToServer(
  settings: Settings,
  key: string | undefined,
  options: SearchOptions,
): Promise<ServerConnection> {
  const { sentinel, cluster } = settings;
  if (sentinel !== undefined) {
    return await connectToMaster(settings, sentinel, options);
  }
  if (cluster !== undefined) {
    const slot = keySlot(key ?? "");
    const owner = ownerOf(await findSlots(settings, options), slot);
    if (owner !== undefined) return await openMaster(owner, settings, options);
    throw new RedisError({
      attempted: "connect to Redis",
      reason: `no node of the cluster serves slot ${slot}`,
    }, "connection");
  }
  return await (options.needsMaster
    ? openMaster(settings.address, settings, options)
    : ServerConnection.open(settings.address, settings, options));
}

/** The address at which a server is reached that names another one. */
function reachable(named: Address, { addressMap }: Settings): Address {
  return addressMap.get(formatAddress(named)) ?? named;
}

/** Connects to a server, unless it is a replica. */
async function openMaster(
  address: Address,
  settings: Settings,
  options: ServerOptions,
): Promise<ServerConnection> {
  const server = await ServerConnection.open(address, settings, options);
  if (server.role !== "replica") return server;
  server.close();
  throw new RedisError({
    attempted: "use Redis",
    place: formatAddress(address),
    reason: "it is a replica, and no master",
  }, "readonly");
}

/** Answers to a question that was asked of several servers. */
class ServerErrors {
  readonly #errors: RedisError[] = [];

  /** Notes an error, unless it is none of Redis, or nobody waits any more. */
  note(error: unknown, signal: AbortSignal): void {
    if (!(error instanceof RedisError) || signal.aborted) throw error;
    this.#errors.push(error);
  }

  /** Makes one error of all; final is only what everybody refuses. */
  sum(reason: string): RedisError {
    const [first] = this.#errors;
    const isFinal = this.#errors.every(({ isTransient, code }) =>
      !isTransient && code !== "closed"
    );
    if (first !== undefined && isFinal) return first;
    const note = this.#errors.map(({ message }) => message).join(". ");
    return new RedisError({
      attempted: "connect to Redis",
      reason,
      ...(note === "" ? {} : { note }),
    }, "connection");
  }
}

/** Asks one server something, on a connection that is closed then. */
async function ask<Answer>(
  address: Address,
  settings: Settings,
  options: ServerOptions,
  question: (server: ServerConnection) => Promise<Answer>,
): Promise<Answer> {
  const { signal, daemon = false } = options;
  const { connectTimeout } = settings;
  const what = { attempted: "ask", place: formatAddress(address) };
  const server = await ServerConnection.open(address, settings, {
    signal,
    daemon,
  });
  try {
    const answer = question(server);
    if (
      !await settledWithin(answer, connectTimeout, { signal, daemon })
    ) {
      const reason = `no answer within ${connectTimeout} s`;
      throw new RedisError({ ...what, reason }, "connection");
    }
    return await answer;
  } catch (error) {
    throw toRedisError(error, what);
  } finally {
    server.close();
  }
}

/** The master, as a sentinel sees it. */
interface Opinion {
  readonly address: Address;
  /** The sentinel cannot reach it, or has heard that it is no master. */
  readonly isDoubtful: boolean;
  /** The number of the failover that made it the master. */
  readonly epoch: number;
}

/** Connects to the first of those that the sentinels name which is a master. */
async function connectToMaster(
  settings: Settings,
  sentinel: SentinelSettings,
  options: ServerOptions,
): Promise<ServerConnection> {
  const problems = new ServerErrors();
  const tried = new Set<string>();
  const opinions = opinionsOf(sentinel, settings, options, problems);
  for await (const opinion of opinions) {
    const address = reachable(opinion.address, settings);
    const name = formatAddress(address);
    if (tried.has(name)) continue;
    tried.add(name);
    try {
      return await openMaster(address, settings, options);
    } catch (error) {
      problems.note(error, options.signal);
    }
  }
  const { serviceName } = sentinel;
  throw problems.sum(
    tried.size === 0
      ? `no sentinel knows a master named "${serviceName}"`
      : `no sentinel names a master of "${serviceName}" that is one`,
  );
}

/**
 * Asks the sentinels one after the other who is the master. What a sentinel itself
 * doubts comes last, that of the latest failover first.
 *
 * @param problems Where it notes which of them could not be asked.
 */
async function* opinionsOf(
  { addresses, serviceName, username, password, tls }: SentinelSettings,
  settings: Settings,
  options: ServerOptions,
  problems: ServerErrors,
): AsyncGenerator<Opinion> {
  const asking: Settings = {
    ...settings,
    db: 0,
    username,
    password,
    tls,
    passwordFile: undefined,
    provide: undefined,
  };
  const doubtful: Opinion[] = [];
  for (const address of addresses) {
    let opinion: Opinion;
    try {
      opinion = await ask(
        address,
        asking,
        options,
        (server) => masterOf(server, serviceName),
      );
    } catch (error) {
      problems.note(error, options.signal);
      continue;
    }
    if (opinion.isDoubtful) doubtful.push(opinion);
    else yield opinion;
  }
  yield* doubtful.sort((a, b) => b.epoch - a.epoch);
}

/** Flags by which a sentinel says that the master is none, or not there. */
const DOUBTS = /\b(s_down|o_down|disconnected|slave)\b/;

/** `SENTINEL MASTER`; where that is not permitted, what everybody may ask. */
async function masterOf(
  server: ServerConnection,
  name: string,
): Promise<Opinion> {
  try {
    const facts = pairs(
      await server.send<Facts>(["SENTINEL", "MASTER", name], {
        isReply: (reply) => {
          if (!isFacts(reply)) return false;
          const { ip, port } = pairs(reply);
          return isPlace([ip, port]);
        },
      }),
    );
    return {
      address: { host: String(facts["ip"]), port: Number(facts["port"]) },
      isDoubtful: DOUBTS.test(String(facts["flags"])),
      epoch: Number(facts["config-epoch"]),
    };
  } catch (error) {
    const { code } = toRedisError(error, {});
    if (code !== "permission" && code !== "reply") throw error;
  }
  const address = await server.send<[string, string] | null>(
    ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name],
    { isReply: (reply) => reply === null || isPlace(reply) },
  );
  if (address === null) {
    const place = formatAddress(server.address);
    const reason = `it knows no master named "${name}"`;
    throw new RedisError(
      { attempted: "ask the sentinel", place, reason },
      "connection",
    );
  }
  const [host, port] = address;
  return { address: { host, port: Number(port) }, isDoubtful: false, epoch: 0 };
}

/** Tells whether it is a host and a port, as sentinels write them. */
function isPlace(reply: unknown): boolean {
  return Array.isArray(reply) && isText(reply[0]) && isText(reply[1]) &&
    isPort(Number(reply[1]));
}

/** A range of hash slots, both ends included, and the node that serves them. */
export interface SlotRange {
  readonly first: number;
  readonly last: number;
  readonly address: Address;
  /** That node and its replicas. */
  readonly nodes: readonly Address[];
}

/**
 * The nodes of each cluster that this process has ever heard of, by those that
 * were configured. Whoever answered last comes first.
 */
const NODES = new Map<string, ReadonlyMap<string, Address>>();

/**
 * Asks a cluster which node serves which slots: the configured nodes, and all
 * that they have ever named.
 *
 * @throws {RedisError} No node answers at the moment.
 */
export async function findSlots(
  settings: Settings,
  options: ServerOptions,
): Promise<readonly SlotRange[]> {
  const configured = byName(settings.cluster ?? []);
  const cluster = [...configured.keys()].join();
  const problems = new ServerErrors();
  const nodes = new Map([...NODES.get(cluster) ?? [], ...configured]);
  for (const [name, address] of nodes) {
    try {
      const ranges = await ask(
        address,
        settings,
        options,
        (server) => slotsOf(server, settings),
      );
      const named = byName(ranges.flatMap(({ nodes }) => nodes));
      NODES.set(cluster, new Map([[name, address], ...named, ...nodes]));
      return ranges;
    } catch (error) {
      problems.note(error, options.signal);
    }
  }
  throw problems.sum("no node of the cluster answers");
}

/**
 * Lists the nodes of a cluster, replicas included.
 *
 * @throws {RedisError} No node answers at the moment.
 */
export async function nodesOf(
  args: RedisArgs,
  signal: AbortSignal,
): Promise<readonly Address[]> {
  const ranges = await findSlots(parseRedisArgs(args), { signal });
  return [...byName(ranges.flatMap(({ nodes }) => nodes)).values()];
}

function byName(addresses: readonly Address[]): ReadonlyMap<string, Address> {
  return new Map(addresses.map((address) => [formatAddress(address), address]));
}

/** The node that serves a slot, if any does. */
export function ownerOf(
  ranges: readonly SlotRange[],
  slot: number,
): Address | undefined {
  return ranges.find(({ first, last }) => first <= slot && slot <= last)
    ?.address;
}

type Node = readonly [host: string | null, port: number];

/** Tells whether it is what `CLUSTER SLOTS` answers. */
function isSlots(reply: unknown): boolean {
  const isNode = (node: unknown): boolean =>
    Array.isArray(node) && (node[0] === null || isText(node[0])) &&
    isNumber(node[1]);
  return Array.isArray(reply) &&
    reply.every((range) =>
      Array.isArray(range) && range.length > 2 &&
      range.slice(0, 2).every(isNumber) && range.slice(2).every(isNode)
    );
}

/** `CLUSTER SLOTS`; an empty host there means the node that was asked. */
async function slotsOf(
  server: ServerConnection,
  settings: Settings,
): Promise<readonly SlotRange[]> {
  const reply = await server.send<[number, number, ...Node[]][]>(
    ["CLUSTER", "SLOTS"],
    { isReply: isSlots },
  );
  const asked = "host" in server.address ? server.address.host : "127.0.0.1";
  const ranges = reply.map(([first, last, ...nodes]) => {
    const addresses = nodes.map(([host, port]) =>
      reachable({ host: host || asked, port }, settings)
    );
    return { first, last, address: addresses[0]!, nodes: addresses };
  });
  if (ranges.length > 0) return ranges;
  throw new RedisError({
    attempted: "ask the cluster",
    place: formatAddress(server.address),
    reason: "this node knows of no slots",
  }, "connection");
}

/**
 * Sends single commands to the nodes that a cluster names while a slot is being
 * moved: `ASK` means that the key is not here any more, or not yet, and that this
 * one command belongs there. The slot itself is still served here.
 */
export class AskedNodes {
  readonly #settings: Settings;
  readonly #signal: AbortSignal;
  readonly #nodes = new Map<string, Promise<ServerConnection>>();

  /** @param signal Aborted when the nodes are not needed any more. */
  constructor(settings: Settings, signal: AbortSignal) {
    this.#settings = settings;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.close());
  }

  /**
   * Sends a command to the node that an answer names.
   *
   * @throws Whatever the client reports, as {@link ServerConnection.send} does.
   */
  async send<Reply>(
    ask: RedisError,
    args: readonly (string | Uint8Array)[],
    options: ReplyOptions,
  ): Promise<Reply> {
    const server = await this.#connect(askedNode(ask));
    const [, reply] = await Promise.all([
      server.send(["ASKING"]),
      server.send<Reply>(args, options),
    ]);
    return reply;
  }

  /** Closes the connections to all of them. */
  close(): void {
    for (const node of this.#nodes.values()) {
      node.then((server) => server.close(), () => {});
    }
    this.#nodes.clear();
  }

  #connect(named: Address): Promise<ServerConnection> {
    const name = JSON.stringify(named);
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const forget = (): void => {
      this.#nodes.delete(name);
    };
    const address = reachable(named, this.#settings);
    const made = ServerConnection.open(address, this.#settings, {
      signal: this.#signal,
      daemon: true,
      onLost: forget,
    });
    this.#nodes.set(name, made);
    made.catch(forget);
    return made;
  }
}

/** The node that an answer names: `ASK 3999 127.0.0.1:6381`. */
function askedNode({ subject: place = "" }: RedisError): Address {
  const at = place.lastIndexOf(":");
  const host = place.slice(0, at);
  return parseAddress(
    host.includes(":") ? `[${host}]${place.slice(at)}` : place,
    6379,
  );
}
