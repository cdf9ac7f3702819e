import { BroadcastChannel } from "node:worker_threads";
import type { Logger } from "../logger.ts";
import type { Message, WireMessage } from "../message/mod.ts";
import { wireOf } from "../message/message.ts";
import { sleep } from "../waiting.ts";
import type { Postable } from "./frame.ts";

/** A number of messages, each a frame on the channel, and of bytes in them. */
interface Allowance {
  frames: number;
  bytes: number;
}

/** The bytes that may go out are for so many threads that hear them; where there are more, a byte counts more. */
const THREADS = 4;

/**
 * The most that may come in a second without being a flood: as many frames as a
 * listener is taken to keep up with, and no more bytes than cost each thread that
 * has a channel open a tenth of its time: a byte costs some 45 ns there, and a
 * tenth of that where it is sent.
 */
const RATE: Allowance = { frames: 20_000, bytes: 2 * 2 ** 20 };

/**
 * The most that may come at once: a quarter of the 256 frames that Deno keeps
 * for the whole process before it drops the oldest.
 */
const BURST: Allowance = { frames: 64, bytes: 2 ** 18 };

/** The most that can be owed for what did not go out: a second makes up for it. */
const DEBT: Allowance = {
  frames: BURST.frames - RATE.frames,
  bytes: BURST.bytes - RATE.bytes,
};

/**
 * The most that goes out in a second of a flood, and the largest message of it.
 * Listeners miss some in any case then, and every frame is time that the bus lacks:
 * the publisher copies it, and each thread on the bus is woken by it, reads it and
 * throws it away.
 */
const FLOOD_RATE: Allowance = { frames: 100, bytes: 2 ** 18 };

/** The most that goes out at once in a flood: what a tenth of a second brings. */
const FLOOD_BURST: Allowance = { frames: 10, bytes: 2 ** 15 };

/**
 * A message of at most so many bytes waits only for a frame in a flood, so that no
 * image holds back a switch. A second's bytes suffice for all its frames of this size.
 */
const SMALL = 2 ** 11;

/**
 * The channel for listeners that know nothing of the bus: messages go out on a
 * BroadcastChannel as plain objects, and what the listeners post comes in.
 *
 * Who listens cannot be known: Deno tells neither who has a channel open nor
 * which threads there are. So messages go out in any case, and what that may
 * cost is limited, in frames and in bytes.
 */
export class PlainChannel {
  /** The number of messages that went out. */
  sent = 0;
  /** The number of messages that did not, because there were too many at once. */
  skipped = 0;
  readonly #name: string;
  readonly #logger: Logger;
  readonly #channel: BroadcastChannel;
  #echoes: Echoes | undefined;
  /** The room that is left before it is a flood; all that comes takes from it, sent or not. */
  readonly #usual = { ...BURST };
  /** The room for what goes out in a flood. */
  readonly #sample = { ...FLOOD_BURST };
  /** The one of the two that tells what goes out. */
  #free = this.#usual;
  #filled = performance.now();
  #hasLooked = false;
  /** The weight of a byte, which grows where it goes to many threads. */
  #weight = 1;
  /** The bytes of what went out last. */
  #size = 0;
  #taken: WireMessage[] = [];

  /**
   * @param daemon Whether the process may end all the same.
   * @param onMessage Called with what others than buses have posted.
   */
  constructor(
    name: string,
    daemon: boolean,
    logger: Logger,
    onMessage: (data: unknown) => void,
  ) {
    this.#name = name;
    this.#logger = logger;
    this.#channel = new BroadcastChannel(name);
    if (daemon) this.#channel.unref();
    this.#channel.onmessage = (event) => {
      const { data } = event as MessageEvent<unknown>;
      // Before that, it may be a frame of a bus that is not known yet.
      if (this.#echoes?.take(data) === false) onMessage(data);
    };
  }

  /** Uses the memory that all buses of the name share to know each other's frames. */
  share(echoes: Echoes): void {
    this.#echoes = echoes;
  }

  /** Takes notice of how many threads hear what goes out, since each of them pays for it. */
  set threads(count: number) {
    this.#weight = Math.max(1, count / THREADS);
  }

  /**
   * Tells whether one more message may go out. Where none may, a flood has begun.
   *
   * @param source What the message comes of, as in {@linkcode take}.
   */
  admit(source: Postable): boolean {
    const usual = this.#usual;
    const sample = this.#sample;
    if (this.#free === usual && hasRoom(usual)) return true;
    this.#look();
    if (this.#free === usual && hasRoom(usual)) return true;
    this.#free = sample;
    // An object is measured only where its size tells, and only so far; else the last
    // one stands for it, but not for all of its size, or few after an image would look
    // like a flood.
    const isMeasured = sample.frames >= 1 || source instanceof Uint8Array;
    const size = isMeasured
      ? sizeOf(source, sample.bytes > 0 ? FLOOD_RATE.bytes : FLOOD_BURST.bytes)
      : Math.min(this.#size, FLOOD_BURST.bytes);
    const cost = size * this.#weight;
    const fits = size <= SMALL || sample.bytes > 0 && cost <= FLOOD_RATE.bytes;
    if (sample.frames >= 1 && fits) return true;
    usual.frames = Math.max(usual.frames - 1, DEBT.frames);
    usual.bytes = Math.max(
      usual.bytes - cost,
      Math.min(usual.bytes, DEBT.bytes),
    );
    if (this.skipped++ === 0) {
      this.#logger.debug(
        `More messages than plain listeners are taken to keep up with: those on the BroadcastChannel ` +
          `"${this.#name}", if there are any, miss some from now on; subscribe with a Bus to get all`,
      );
    }
    return false;
  }

  /**
   * Takes a message, as it is now, to {@linkcode post} it, if there is room.
   *
   * @param source What it comes of: bytes of which it has just been built, or a
   * message that its author may have put anything into.
   */
  take(message: Message, source: Postable): void {
    const { frames, bytes } = this.#usual;
    const isFlood = this.#free === this.#sample || frames < 1 || bytes <= 0;
    if (isFlood && !this.admit(source)) return;
    const isBuilt = source instanceof Uint8Array;
    const wire = isBuilt ? wireOf(message) : message.toJSON();
    this.#size = isBuilt ? source.length : roughSize(wire);
    const cost = this.#size * this.#weight;
    // What came free before is none of what this one uses.
    if (this.#size > SMALL) this.#look();
    this.#usual.frames--;
    this.#usual.bytes -= cost;
    if (this.#free === this.#sample) {
      this.#sample.frames--;
      this.#sample.bytes -= cost;
    }
    this.#taken.push(wire);
  }

  /** Resolves when a frame may go out, however large, since nobody else is kept waiting. */
  async pace(): Promise<void> {
    const usual = this.#free = this.#usual;
    usual.frames = Math.max(usual.frames, 0);
    usual.bytes = Math.max(usual.bytes, 1);
    while (usual.frames < 1) {
      this.#refill();
      if (usual.frames >= 1) return;
      // Timers are too coarse for single frames.
      await sleep((BURST.frames - usual.frames) / RATE.frames);
    }
  }

  /** Looks at the clock, once between two posts, since that is slow. */
  #look(): void {
    if (this.#hasLooked) return;
    this.#hasLooked = true;
    this.#refill();
  }

  /**
   * Adds what has become free since the last look at the clock. The flood is over
   * when as much may come as ever.
   */
  #refill(): void {
    const now = performance.now();
    const seconds = (now - this.#filled) / 1000;
    this.#filled = now;
    refill(this.#sample, FLOOD_RATE, FLOOD_BURST, seconds);
    if (refill(this.#usual, RATE, BURST, seconds)) this.#free = this.#usual;
  }

  /** Posts what it has taken. */
  post(): void {
    this.#hasLooked = false;
    if (this.#taken.length === 0) return;
    const taken = this.#taken;
    this.#taken = [];
    for (const wire of taken) {
      this.#echoes?.add(wire);
      postTo(this.#channel, wire);
      this.sent++;
    }
  }

  /** Closes the channel. */
  close(): void {
    this.#channel.close();
  }
}

function hasRoom({ frames, bytes }: Allowance): boolean {
  return frames >= 1 && bytes > 0;
}

/** The bytes of what may be sent; of what has many parts, hardly more than so many are counted. */
function sizeOf(source: Postable, most: number): number {
  return source instanceof Uint8Array
    ? source.length
    : roughSize(wireOf(source), most);
}

/**
 * Adds what comes free in a time.
 *
 * @returns True if no more can be free.
 */
function refill(
  free: Allowance,
  rate: Allowance,
  most: Allowance,
  seconds: number,
): boolean {
  for (const unit of ["frames", "bytes"] as const) {
    free[unit] = Math.min(free[unit] + seconds * rate[unit], most[unit]);
  }
  return free.frames === most.frames && free.bytes === most.bytes;
}

/**
 * Posts to a channel.
 *
 * Deno ends the one receiver of a thread a while after the last channel was
 * closed, and a channel that was opened meanwhile has none: it hears nothing, and
 * posting fails. Whatever channel is opened then begins anew for all.
 */
export function postTo(channel: BroadcastChannel, data: unknown): void {
  try {
    channel.postMessage(data);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    new BroadcastChannel(channel.name).close();
    channel.postMessage(data);
  }
}

/**
 * Estimates the bytes of a value on a channel, for much less than it costs to copy it.
 *
 * @param most Where so many are exceeded, no further part is looked at.
 */
function roughSize(value: unknown, most = Infinity): number {
  if (typeof value === "string") return value.length;
  if (typeof value !== "object" || value === null) return 8;
  // To go through the keys of these takes much longer.
  if (ArrayBuffer.isView(value)) return value.byteLength;
  let size = 8;
  if (Array.isArray(value)) {
    for (let at = 0; at < value.length && size <= most; at++) {
      size += roughSize(value[at], most - size);
    }
    return size;
  }
  for (const key in value) {
    size += key.length;
    size += roughSize((value as Record<string, unknown>)[key], most - size);
    if (size > most) break;
  }
  return size;
}

/**
 * Tells the frames that buses have posted on a plain channel from everybody
 * else's, which look the same. A bus notes each frame, by a hash of its kind and
 * id, in memory that it shares with the others, before it posts it.
 *
 * ```text
 * count    u32   frames noted since the beginning, modulo 2³²
 * hashes   f64   of frame 0, 1, 2, ..., beginning again at the end of the memory
 * ```
 */
export class Echoes {
  readonly #count: Int32Array;
  readonly #hashes: Float64Array;
  /** By place: the number of the frame that was taken or posted here. */
  readonly #taken: Int32Array;
  #seen: number;

  constructor({ count, hashes }: { count: Int32Array; hashes: Float64Array }) {
    this.#count = count;
    this.#hashes = hashes;
    this.#taken = new Int32Array(hashes.length).fill(-1);
    this.#seen = Math.max(0, Atomics.load(count, 0) - hashes.length);
  }

  /** Notes a message that is about to be posted. */
  add(message: unknown): void {
    const number = Atomics.add(this.#count, 0, 1);
    const place = (number >>> 0) % this.#hashes.length;
    this.#hashes[place] = hash(message);
    // Nobody hears a frame of its own.
    this.#taken[place] = number;
  }

  /**
   * Tells whether a frame is one that another bus has noted, and that was not
   * taken before.
   */
  take(message: unknown): boolean {
    const count = Atomics.load(this.#count, 0);
    const kept = this.#hashes.length;
    if (((count - this.#seen) | 0) > kept) this.#seen = (count - kept) | 0;
    const wanted = hash(message);
    for (let number = this.#seen; number !== count; number = (number + 1) | 0) {
      const place = (number >>> 0) % kept;
      if (this.#taken[place] === number) {
        if (number === this.#seen) this.#seen = (number + 1) | 0;
        continue;
      }
      if (this.#hashes[place] !== wanted) continue;
      this.#taken[place] = number;
      return true;
    }
    return false;
  }
}

/** Makes a hash of 53 bits of a message's kind and id. */
function hash(message: unknown): number {
  if (typeof message !== "object" || message === null) return NaN;
  const { type, id } = message as Record<string, unknown>;
  const text = `${type} ${id}`;
  let low = 0x811c9dc5;
  let high = 0x9e3779b9;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    low = Math.imul(low ^ code, 0x01000193);
    high = Math.imul(high + code, 0x85ebca6b) ^ (high >>> 13);
  }
  return (high & 0x1fffff) * 2 ** 32 + (low >>> 0);
}
