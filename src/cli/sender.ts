import {
  Connection,
  createLogger,
  discover,
  HubBus,
  type MessageInput,
  RedisBackend,
  type RedisBackendOptions,
  RedisError,
  type ScheduleOptions,
  type ServiceInfo,
} from "../../mod.ts";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { map, optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import { isKnownDevice, knownPeersIn } from "../backend/identity.ts";
import { type PeerOptions, peerOptions } from "../backend/peer_access.ts";
import { noPeer, peersNamed } from "../backend/peer_browser.ts";
import { firstWay } from "../backend/peer_ways.ts";
import { isScheduled } from "../redis/delayed.ts";
import { keepAwake, unlessAborted, whenAborted } from "../waiting.ts";
import type { Needs } from "./explain_refusal.ts";
import { isInterruption, UsageError } from "./program.ts";
import {
  hubOptions,
  type RedisOptions,
  redisOptions,
  resolveOptions,
} from "./redis_options.ts";
import { filled } from "./values.ts";

/**
 * Opens a backend on the Redis of a peer, where the responses of the peer are.
 *
 * @param name The peer's device id, or the name of its service.
 * @param options Our own; its `peers` say who we are on the peer's Redis.
 * @param wait The time that finding and connecting may take, in seconds.
 * @throws {DOMException} A `NotFoundError` if there is no such peer.
 * @throws {RedisError} The peer may not be shown what it was given.
 */
async function openAtPeer(
  name: string,
  options: RedisBackendOptions,
  trust: Trust,
  signal: AbortSignal,
  wait: number,
): Promise<{ backend: RedisBackend; target: string }> {
  const { peers = {}, identity, redisArgs: own = {} } = options;
  const limit = AbortSignal.timeout(wait * 1000);
  const knownPeers = knownPeersIn(identity);
  const isDevice = await isKnownDevice(name, peers, knownPeers);
  const logger = createLogger("cli");
  let opened: { backend: RedisBackend; target: string } | undefined;
  await firstWay({
    peers: await findPeers(name, isDevice, signal, Math.min(wait, SEARCH)),
    redisArgs: own,
    known: ({ deviceId }) => ({ ...peerOptions(peers, deviceId), ...trust }),
    knownPeers,
    logger,
  }, async ({ peer: { deviceId, queue }, access, proof: { greet, pin } }) => {
    const redisArgs = await pin?.() ?? access.args;
    if (greet !== undefined) {
      await using _proved = await Connection.connect(redisArgs, {
        signal: AbortSignal.any([signal, limit]),
        greet,
      });
    }
    const backend = new RedisBackend({ ...options, redisArgs, queue });
    opened = { backend, target: deviceId };
  });
  return opened!;
}

/** Tells what the command line says of a peer. */
type Trust = Pick<PeerOptions, "trust">;

function trustOf(isUnproved: boolean): Trust {
  return isUnproved ? { trust: "unproved" } : {};
}

/** The longest time that a peer is looked for, in seconds. */
const SEARCH = 2;

async function findPeers(
  name: string,
  isDevice: boolean,
  signal: AbortSignal,
  timeout: number,
): Promise<ServiceInfo[]> {
  // Others may say that they are it: all are heard before one is believed.
  const services = await discover({ signal, timeout });
  const peers = peersNamed(services, name, isDevice);
  if (peers.length > 0) return peers;
  signal.throwIfAborted();
  throw noPeer(name, timeout, services);
}

/** The one place that a command sends to: a peer, a hub's bus, or our own queue. */
export interface Destination {
  /** A peer on the local network, in place of our own queue. */
  readonly to: string | undefined;
  /** Send to it although nothing proves that it is the peer. */
  readonly unproved: boolean;
  /** The bus of a running Platypush, in place of a queue. */
  readonly bus: boolean;
  /** Our own queue. */
  readonly redis: RedisOptions;
}

/** Says what sending does in our own Redis, where it goes there. */
export function needsOf(
  { to, bus, redis }: Destination,
  schedule: ScheduleOptions,
  wait?: number,
): Needs | undefined {
  if (to !== undefined || bus) return undefined;
  const isAsking = wait !== undefined;
  return {
    redis,
    deeds: [
      isScheduled(schedule) ? "schedule" : "send",
      ...isAsking ? ["ask"] as const : [],
    ],
  };
}

/** Refuses two places in one, and what is allowed of a peer where none is meant. */
function checked(destination: Destination): Destination {
  const { to, unproved, bus } = destination;
  if (unproved && to === undefined) {
    throw new UsageError(
      "--unproved is for a peer, and none is named; give --to, too, or leave it out",
    );
  }
  if (bus && to !== undefined) {
    throw new UsageError(
      "--bus and --to are two places; leave out the one that is not meant",
    );
  }
  return destination;
}

/** The options that every command that sends takes. */
export function destinationOptions(): Parser<"sync", Destination, unknown> {
  const options = object({
    to: optional(
      option(
        "--to",
        filled("PEER", "a peer's device id or service name", "kitchen"),
        {
          description:
            message`A peer on the local network, found by its device id or its service's name, in place of our own queue`,
        },
      ),
    ),
    unproved: option("--unproved", {
      description:
        message`With --to, send although nothing proves that it is the peer`,
    }),
    bus: option("--bus", {
      description:
        message`The main bus of the Platypush that runs on that Redis, in place of our own queue; its device is the target`,
    }),
    redis: redisOptions(),
  });
  return map(options, checked);
}

/** Whom a message is for. */
export function targetOption(): Parser<"sync", string | undefined, unknown> {
  return optional(option("--target", filled("ID", "a device's id", "kitchen"), {
    description:
      message`The device that is to get it. Default: the one of --to, else our own`,
  }));
}

/**
 * Does something with the bus of a running Platypush.
 *
 * @param flags Where its Redis is, and who we are.
 * @throws {DOMException} An `AbortError` if a signal came first.
 */
export async function withHub<T>(
  flags: RedisOptions,
  signal: AbortSignal,
  act: (bus: HubBus, deviceId: string) => Promise<T>,
): Promise<T> {
  const options = hubOptions(await resolveOptions(flags));
  // A server that is not there would keep the program alive for ever.
  using _awake = keepAwake();
  const opening = HubBus.open({ ...options, daemon: true });
  await using bus = await unlessAborted(opening, signal);
  return await act(bus, options.deviceId);
}

/** Sends messages to our own queue or to a peer's; dispose of it. */
export class Sender implements AsyncDisposable {
  readonly #backend: RedisBackend;
  readonly #to: string | undefined;
  readonly #trust: Trust;
  readonly #signal: AbortSignal;

  private constructor(
    backend: RedisBackend,
    to: string | undefined,
    trust: Trust,
    signal: AbortSignal,
  ) {
    this.#backend = backend;
    this.#to = to;
    this.#trust = trust;
    this.#signal = signal;
    whenAborted(signal, () => backend.stop());
  }

  /**
   * Opens one.
   *
   * @throws {ConfigError} The settings make no sense.
   */
  static async open(
    destination: Destination,
    signal: AbortSignal,
  ): Promise<Sender> {
    const { to, bus, redis, unproved } = destination;
    if (bus) {
      throw new UsageError(
        "--bus takes events and requests; send event --bus, or send request --bus",
      );
    }
    const backend = new RedisBackend(await resolveOptions(redis));
    return new Sender(backend, to, trustOf(unproved), signal);
  }

  /** Our own device. */
  get deviceId(): string {
    return this.#backend.deviceId;
  }

  /**
   * Sends messages, all or none; where one has no target, that is the peer, or
   * our own device.
   *
   * @param schedule When they are due, and what keeps them out; for our own queue.
   * @returns Whether they were sent; `false` where they are duplicates.
   * @throws {RedisError} The server could not be reached or refused.
   * @throws {Error} A signal came before the server had confirmed them.
   */
  async send(
    messages: readonly MessageInput[],
    schedule: ScheduleOptions = {},
  ): Promise<boolean> {
    const sending: Promise<boolean> = this.#to === undefined
      ? this.#backend.sendMessage(messages, schedule)
      : this.#backend.sendTo(this.#to, messages, this.#trust).then(() => true);
    return await tellInterruption(
      sending,
      this.#signal,
      (error) =>
        error instanceof RedisError && error.mayHaveRun
          ? "while it was sent; the server may or may not have received it"
          : "before everything was sent",
    );
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#backend.stop();
  }
}

/**
 * Opens a backend that sends requests and gets the responses; dispose of it.
 *
 * @param signal Ends the search for a peer.
 * @param wait The time that finding a peer may take, in seconds.
 * @returns The backend, whom it asks, and the seconds that are left.
 * @throws {DOMException} A `NotFoundError` if there is no such peer.
 */
export async function openRequester(
  destination: Destination,
  signal: AbortSignal,
  wait: number,
): Promise<{ backend: RedisBackend; target: string; left: number }> {
  const { to, redis, unproved } = destination;
  const options = await resolveOptions(redis);
  if (to !== undefined) {
    const start = performance.now();
    const trust = trustOf(unproved);
    const peer = await openAtPeer(to, options, trust, signal, wait);
    const left = wait - (performance.now() - start) / 1000;
    return { ...peer, left: Math.max(left, 0.001) };
  }
  const backend = new RedisBackend(options);
  return { backend, target: backend.deviceId, left: wait };
}

/** Says that a signal has ended a wait, and what became of the request. */
export function beforeResponse(error: RedisError | DOMException): string {
  const note = error instanceof RedisError ? error.note : undefined;
  return `before the response came${note === undefined ? "" : `. ${note}`}`;
}

/**
 * Tells what was not done because of a signal: to stop there is no success.
 *
 * @param when Says when it came, as in `Interrupted ${when}`.
 */
export async function tellInterruption<T>(
  work: Promise<T>,
  signal: AbortSignal,
  when: (error: RedisError | DOMException) => string,
): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw isInterruption(error, signal)
      ? new Error(`Interrupted ${when(error)}`, { cause: error })
      : error;
  }
}
