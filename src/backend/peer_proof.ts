import { isRecord } from "../message/json_value.ts";
import {
  Connection,
  type ConnectOptions,
  type RedisArgs,
  RedisError,
} from "../redis/mod.ts";
import type { Logger } from "../logger.ts";
import type { ServiceInfo } from "../zeroconf/mod.ts";
import {
  type Identity,
  isSigned,
  type KnownPeers,
  type Statement,
} from "./identity.ts";
import type { PeerAccess, PeerOptions } from "./peer_access.ts";
import { isPinned, pinCertificate } from "./pin_certificate.ts";
import { propertyOf } from "../zeroconf/txt.ts";

/**
 * Questions to a peer who it is, and the answers, through the peer's Redis; the
 * protocol is told in `docs/peers.md`.
 *
 * @module
 */

/** The seconds that a peer has for its answer. */
export const PROOF_TIMEOUT = 5;
/** The seconds that an answer waits for whoever has asked. */
const ANSWER_EXPIRY = 10;
/** The most questions that wait for their answers: signing takes time. */
const MAX_WAITING = 100;

const decoder = new TextDecoder();

/** Gives {@linkcode proofOf} what is known. */
interface ProofOptions {
  readonly peer: ServiceInfo;
  readonly access: PeerAccess;
  readonly known: PeerOptions;
  /** The keys that are remembered; none where there is nowhere to remember them. */
  readonly knownPeers: KnownPeers | undefined;
  readonly logger: Logger;
}

/** Connects to a peer that has something to prove. */
export interface Proof {
  /** Asks the peer on each new connection; `undefined` where it need not be asked. */
  readonly greet?: NonNullable<ConnectOptions["greet"]>;
  /** Gives the arguments of a new connection, which accepts one certificate alone. */
  readonly pin?: () => Promise<RedisArgs>;
}

/**
 * Decides what a peer has to prove before anything is sent to it. Mostly that
 * is the key that it is known by, or the one that it advertises, which is
 * remembered then (trust on first use). It is nothing where we know already, or
 * were told not to ask.
 *
 * @returns What asks it.
 * @throws {RedisError} It has another key than before, or none and no trust.
 */
export async function proofOf(
  { peer, access, known, knownPeers, logger }: ProofOptions,
): Promise<Proof> {
  const { deviceId, properties } = peer;
  const advertised = propertyOf(properties, "key") ?? null;
  const { host = "", port = 0 } = access.args;
  const place = { deviceId, host, port };
  const attempted = `send to "${deviceId}"`;
  const expected = known.key ??
    (access.isProved ? undefined : await knownPeers?.keyOf(deviceId));
  const proof = (fingerprint: string, accepted = nothing): Proof =>
    access.isProved || knownPeers === undefined || !isPinned(access.args)
      ? { greet: proofBy(place, fingerprint, accepted) }
      : pinnedProof({ place, fingerprint, accepted, access, knownPeers });
  if (expected !== undefined) {
    if (advertised === expected) return proof(expected);
    throw new RedisError({
      attempted,
      reason: `it advertises ${
        advertised === null ? "no key" : `the key ${advertised}`
      }, but is known by the key ${expected}: ${
        advertised?.toLowerCase() === expected.toLowerCase()
          ? "these differ in upper and lower case, which counts"
          : "either its key is a new one, or somebody else claims its name"
      }`,
      advice: `if it is a new one, ${
        known.key === undefined
          ? `remove the line of "${deviceId}" from ${knownPeers!.path}`
          : "change its `key` in the option `peers`"
      }`,
    }, "auth");
  }
  if (access.isProved) return {};
  if (advertised !== null && knownPeers !== undefined) {
    return proof(advertised, async () => {
      if (await knownPeers.keyOf(deviceId) !== undefined) return;
      await knownPeers.remember(deviceId, advertised);
      logger.info(
        `From now on, "${deviceId}" is who has the key ${advertised}.`,
      );
    });
  }
  if (known.trust === "unproved") return {};
  throw new RedisError({
    attempted,
    reason:
      `nothing proves that it is "${deviceId}" who advertises that name, and not somebody else on the network`,
    advice: advertised === null
      ? 'say in the option `peers` where its Redis is, or allow it with `trust: "unproved"`'
      : `give its key in the option \`peers\` (\`key: "${advertised}"\`), or a folder that remembers it in \`identity\``,
  }, "auth");
}

const nothing = (): Promise<void> => Promise.resolve();

interface PinnedProof {
  readonly place: Omit<Statement, "nonce">;
  readonly fingerprint: string;
  readonly accepted: () => Promise<void>;
  readonly access: PeerAccess;
  readonly knownPeers: KnownPeers;
}

/** The proof by a key, on a connection with the certificate that is remembered beside it. */
function pinnedProof(
  { place, fingerprint, accepted, access, knownPeers }: PinnedProof,
): Proof {
  const { deviceId } = place;
  let certificate: string | undefined;
  const pin = async (): Promise<RedisArgs> => {
    const pinned = await pinCertificate(deviceId, access.args, knownPeers);
    certificate = pinned.fingerprint;
    return pinned.args;
  };
  const prove = proofBy(place, fingerprint, async () => {
    await accepted();
    if (certificate === undefined) return;
    if (await knownPeers.certificateOf(deviceId) !== undefined) return;
    await knownPeers.rememberCertificate(deviceId, certificate);
  });
  return {
    pin,
    greet: async (send) => {
      // Somebody else may be there since, with another one of the same CA.
      await pin();
      await prove(send);
    },
  };
}

/**
 * Makes what asks a peer, on each new connection to its Redis, who it is, before
 * anything else goes there.
 *
 * @param place The device, and the address that we connect to.
 * @param fingerprint That of the key that it has to have.
 * @param accepted Called once the peer has proved it.
 */
function proofBy(
  place: Omit<Statement, "nonce">,
  fingerprint: string,
  accepted: () => Promise<void>,
): NonNullable<ConnectOptions["greet"]> {
  return async (send) => {
    const nonce = crypto.getRandomValues(new Uint8Array(32)).toHex();
    const { deviceId, host, port } = place;
    const question = JSON.stringify({ nonce, host, port });
    await send(["PUBLISH", proofChannel(deviceId), question]);
    const end = performance.now() + PROOF_TIMEOUT * 1_000;
    // Whoever is on that Redis may answer too: what proves nothing is nothing.
    for (
      let left = PROOF_TIMEOUT;
      left > 0;
      left = (end - performance.now()) / 1e3
    ) {
      const waiting = ["BLPOP", answerKey(nonce), left.toFixed(3)];
      const reply = await send(waiting, { block: left });
      const [, proof] = Array.isArray(reply) ? reply : [];
      if (proof === undefined) break;
      if (await isSigned({ nonce, ...place }, String(proof), fingerprint)) {
        return await accepted();
      }
    }
    throw new RedisError({
      attempted: `send to "${deviceId}"`,
      reason:
        `nobody there has proved within ${PROOF_TIMEOUT} s to have the key ${fingerprint} of "${deviceId}"`,
      advice:
        "see whether its backend runs; if so, somebody else has advertised its name and key",
    }, "auth");
  };
}

interface ProverOptions {
  readonly identity: Identity;
  readonly deviceId: string;
  /** Says how we reach our own Redis, where the questions come. */
  readonly redisArgs: RedisArgs;
  readonly daemon: boolean;
  readonly logger: Logger;
  /** Tells whether peers reach our Redis there. */
  isOurs(host: string, port: number): boolean;
}

/**
 * Answers those who ask who we are. A question that came by an address that is
 * not ours is passed over: somebody in between has handed it on.
 */
export class Prover implements AsyncDisposable {
  readonly #options: ProverOptions;
  readonly #connection: Connection;
  #waiting = 0;

  private constructor(options: ProverOptions, connection: Connection) {
    this.#options = options;
    this.#connection = connection;
  }

  /** Begins to answer; a Redis that cannot be reached is tried again meanwhile. */
  static async open(
    options: ProverOptions,
    signal: AbortSignal,
  ): Promise<Prover> {
    const { redisArgs, daemon, logger, deviceId } = options;
    // By the second version of the protocol, who listens on it can do nothing else.
    const connection = await Connection.connect(
      { ...redisArgs, protocol: 3 },
      { daemon, logger, signal },
    );
    const prover = new Prover(options, connection);
    try {
      await connection.subscribe(
        proofChannel(deviceId),
        (question) => prover.#hear(question),
      );
    } catch (error) {
      await connection.close();
      throw error;
    }
    return prover;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#connection.close();
  }

  #hear(payload: Uint8Array): void {
    if (this.#waiting >= MAX_WAITING) return;
    this.#waiting++;
    this.#answer(decoder.decode(payload))
      .catch(({ message }) => {
        this.#options.logger.warn(
          `Cannot prove to a peer who we are: ${message}.`,
        );
      })
      .finally(() => this.#waiting--);
  }

  async #answer(text: string): Promise<void> {
    const { identity, deviceId, isOurs, logger } = this.#options;
    const question = readQuestion(text);
    if (question === undefined) return;
    const { nonce, host, port } = question;
    if (!isOurs(host, port)) {
      return logger.warn(
        `Somebody asked by the address ${host}:${port} who we are, which is not ours: who is there hands on what is meant for us.`,
      );
    }
    const key = answerKey(nonce);
    const proof = await identity.sign({ nonce, deviceId, host, port });
    await Promise.all([
      this.#connection.command(["RPUSH", key, proof]),
      this.#connection.command(["EXPIRE", key, String(ANSWER_EXPIRY)]),
    ]);
  }
}

function readQuestion(
  text: string,
): Omit<Statement, "deviceId"> | undefined {
  let parts: unknown;
  try {
    parts = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (!isRecord(parts)) return undefined;
  const { nonce, host, port } = parts;
  const isQuestion = typeof nonce === "string" &&
    /^[0-9a-f]{64}$/.test(nonce) && typeof host === "string" &&
    host.length < 256 && typeof port === "number";
  return isQuestion ? { nonce, host, port } : undefined;
}

function proofChannel(deviceId: string): string {
  return `platypush-redis/prove/${deviceId}`;
}

function answerKey(nonce: string): string {
  return `platypush-redis/proof/${nonce}`;
}
