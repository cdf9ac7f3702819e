import { connect } from "node:net";
import type { Logger } from "../logger.ts";
import { type RedisArgs, RedisError } from "../redis/mod.ts";
import { parseRedisArgs } from "../redis/settings.ts";
import { sleep, whenAborted } from "../waiting.ts";
import type { ServiceInfo } from "../zeroconf/mod.ts";
import type { KnownPeers } from "./identity.ts";
import {
  type PeerAccess,
  peerAccess,
  type PeerOptions,
} from "./peer_access.ts";
import { type Proof, proofOf } from "./peer_proof.ts";

/**
 * The ways to a peer: by each address of each service that may be meant.
 * Anybody may advertise the name or the address that another one has, and hosts
 * advertise also addresses that others do not reach.
 *
 * @module
 */

/** A way to a peer, and what has to be proved at its end. */
export interface PeerWay {
  readonly peer: ServiceInfo;
  /** Reaches its Redis by one of its addresses. */
  readonly access: PeerAccess;
  readonly proof: Proof;
}

interface Search {
  /** Those that may be meant, the likeliest first. */
  readonly peers: readonly ServiceInfo[];
  /** Reaches our own Redis. */
  readonly redisArgs: RedisArgs;
  /** Tells what is known of a peer beforehand. */
  known(peer: ServiceInfo): PeerOptions;
  /** The keys that are remembered; none where there is nowhere to remember them. */
  readonly knownPeers: KnownPeers | undefined;
  readonly logger: Logger;
  /** Tells by which address a peer was reached before. */
  reached?(peer: ServiceInfo): string | undefined;
}

/** A way that was not tried yet. */
type Candidate = Pick<PeerWay, "peer" | "access">;

/**
 * The time that the next way waits for the one before it to answer, in seconds.
 */
const HEAD_START = 0.25;

/**
 * Goes one way after the other, in the order in which they answer, until one
 * leads to the peer.
 *
 * @param use What is to be done there, once; where it rejects because nothing
 * proves that it is the peer, or nobody can be reached, the next way is tried.
 * @throws {RedisError} No way leads there; why the first one does not. Or
 * something was sent, and went wrong after that.
 */
export async function firstWay(
  search: Search,
  use: (way: PeerWay) => Promise<void>,
): Promise<void> {
  let failure: RedisError | undefined;
  const candidates: Candidate[] = [];
  for (const peer of search.peers) {
    try {
      candidates.push(...waysTo(peer, search));
    } catch (error) {
      if (!(error instanceof RedisError)) throw error;
      failure ??= error;
    }
  }
  for await (const { peer, access } of inOrder(candidates, search)) {
    let proof: Proof | undefined;
    try {
      const { knownPeers, logger } = search;
      const known = search.known(peer);
      proof = await proofOf({ peer, access, known, knownPeers, logger });
      return await use({ peer, access, proof });
    } catch (error) {
      // Of several attempts, one at the most may have sent anything.
      if (!(error instanceof RedisError) || error.mayHaveRun) throw error;
      // Where nothing has to be proved, whoever answers is it.
      const isProof = access.isProved || proof?.greet !== undefined;
      if (error.reply !== undefined && !isProof) throw error;
      failure ??= error;
    }
  }
  throw failure;
}

/** Lists the ways to one peer. At an address that others have too, there may be somebody else. */
function waysTo(peer: ServiceInfo, search: Search): Candidate[] {
  const access = peerAccess(peer, search.redisArgs, search.known(peer));
  const addresses = peer.addresses.filter((each) => !/^fe[89ab]/i.test(each));
  if (access.isTold || !addresses.includes(access.args.host!)) {
    return [{ peer, access }];
  }
  return addresses.map((host) => ({
    peer,
    access: { ...access, args: { ...access.args, host } },
  }));
}

/**
 * Gives the way that was taken before, and then the others as they answer. One
 * that does not answer is left out. If none answers, the first one is given: trying
 * it tells why.
 */
async function* inOrder(
  ways: readonly Candidate[],
  { reached }: Search,
): AsyncGenerator<Candidate> {
  const former = ways.find(({ peer, access }) =>
    access.args.host !== undefined && reached?.(peer) === access.args.host
  );
  if (former !== undefined) yield former;
  const others = ways.filter((way) => way !== former);
  if (ways.length < 2) return yield* others;
  const end = new AbortController();
  const attempts = new Map(others.map((way, index) => {
    const delay = index * HEAD_START;
    const attempt = answers(way, delay, end.signal)
      .then((isThere) => ({ way, isThere }));
    return [way, attempt];
  }));
  let isNone = former === undefined;
  try {
    while (attempts.size > 0) {
      const { way, isThere } = await Promise.race(attempts.values());
      attempts.delete(way);
      if (!isThere) continue;
      isNone = false;
      yield way;
    }
  } finally {
    end.abort();
  }
  if (isNone) yield ways[0]!;
}

/** Tells whether anybody answers at the end of a way; nothing is said there. */
async function answers(
  { access: { args } }: Candidate,
  delay: number,
  signal: AbortSignal,
): Promise<boolean> {
  const { connectTimeout } = parseRedisArgs(args);
  if (await sleep(delay, { signal })) return false;
  // Without a host it is a place that we were told, and no guess.
  if (args.host === undefined) return true;
  const late = AbortSignal.any([
    signal,
    AbortSignal.timeout(connectTimeout * 1_000),
  ]);
  const { promise, resolve } = Promise.withResolvers<boolean>();
  const socket = connect({ host: args.host, port: args.port ?? 6379 });
  const fail = (): void => resolve(false);
  using _end = whenAborted(late, fail);
  socket.once("connect", () => resolve(true));
  socket.once("error", fail);
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}
