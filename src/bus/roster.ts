/** "bus4" in ASCII, so that other memory is not taken for a roster. */
const MAGIC = 0x62757334;

/** Threads that can be on one bus at the same time. */
const PLACES = 512;

// Words of the header.
const VERSION = 1;
const USED = 2;
const NAME = 4;
const ECHOES = 8;
/** Words before the hashes of the echoes. */
const HEADER = 16;

/** Hashes that are kept: several times the 256 frames that Deno keeps for a thread. */
const KEPT = 4096;

/** Words of a place. */
const PLACE = 128;
const GENERATION = 0;
const EPOCH = 1;
const IS_LOCKED = 2;
const VIEW = 3;
const ACTIONS = 4;
const CONCURRENCY = 5;
const ID = 6;
const ID_BYTES = 36;
const GROUP_BYTES = 64;
const NAMES = 64;
const LABEL_BYTES = 4 * (NAMES - ID) - ID_BYTES - GROUP_BYTES - 2;
/** The bytes that the names of a thread may have, with spaces between them. */
const NAMES_BYTES = 4 * (PLACE - NAMES) - 1;

const BYTES = 4 * HEADER + 8 * KEPT + 4 * PLACE * PLACES;

// What stands for a generation while nobody is there.
const FREE = 0;
const CLAIMED = -1;

const NO_GROUP: GroupSeat = { group: "", concurrency: 0 };

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Stands for subscribers that have no name. */
export const UNNAMED = "-";

/** A seat of a group: one of several that share the messages. */
export interface GroupSeat {
  /** The group's name. */
  readonly group: string;
  /** The number of messages that this one has in hand at most. */
  readonly concurrency: number;
}

/** A group's name has to fit into its place on the roster. */
export function isGroupName(name: string): boolean {
  return name !== "" && encoder.encode(name).length <= GROUP_BYTES;
}

/** A thread that has a bus of the same name, or a member of a group in it. */
export interface Member extends GroupSeat {
  /** Tells it from all others. */
  readonly id: string;
  /** Names it for people. */
  readonly label: string;
  /** Changes whenever it begins to subscribe; 0 while it does not. */
  readonly epoch: number;
  /**
   * Who subscribes there: `=` and a name for each named subscriber, {@linkcode UNNAMED}
   * for all others together.
   */
  readonly names: readonly string[];
  /** Changes whenever it begins to watch; 0 while it does not. */
  readonly view: number;
  /** Changes whenever it begins to offer actions; 0 while it does not. */
  readonly actions: number;
  /**
   * True if it holds a lock, which is free as soon as it does not exist any
   * more.
   */
  readonly isLocked: boolean;
  /** Its place on the roster. */
  readonly place: number;
  /** Tells it from who had the place before. */
  readonly generation: number;
}

/** Refuses names for which a thread has no room, see {@linkcode Member.names}. */
export function checkNames(bus: string, names: readonly string[]): void {
  if ([...new Set(names)].join(" ").length <= NAMES_BYTES) return;
  throw new RangeError(
    `Cannot open the bus "${bus}": the names of the subscribers of one thread have more than ${NAMES_BYTES} letters together, use shorter ones`,
  );
}

/** Tells whether memory that came from elsewhere is a roster. */
export function isRosterMemory(memory: unknown): memory is SharedArrayBuffer {
  return memory instanceof SharedArrayBuffer && memory.byteLength === BYTES &&
    new Int32Array(memory, 0, 1)[0] === MAGIC;
}

/**
 * Who is on a bus, in memory that all its threads share.
 *
 * ```text
 * word 0    "bus4"
 *      1    version     counted up with every change, and for every number that is
 *                       given out; who waits for a change sleeps on it
 *      2    used        places that were ever taken
 *      4    name        two random words, which tell this roster from others
 *      8    echoes      frames on the plain channel, see `Echoes`
 *     16    hashes      4096 f64
 *           places      512 of 128 words:
 *                       generation (0: nobody, -1: not written yet), epoch, locked,
 *                       view, actions, concurrency, id (36 bytes), length of the group
 *                       (1 byte), group (64 bytes), length of the label (1 byte), label;
 *                       from word 64 on: length of the names (1 byte), names
 * ```
 */
export class Roster {
  /** The memory, to be handed to other threads. */
  readonly buffer: SharedArrayBuffer;
  /** Tells this roster from others. */
  readonly name: string;
  /** A word that is another number after everything that is written here. */
  readonly version: Int32Array;
  readonly #words: Int32Array;
  readonly #bytes: Uint8Array;

  /** @param buffer The memory of a roster that is there; none makes a new one. */
  constructor(buffer?: SharedArrayBuffer) {
    this.buffer = buffer ?? new SharedArrayBuffer(BYTES);
    this.#words = new Int32Array(this.buffer);
    this.version = this.#words.subarray(VERSION, VERSION + 1);
    this.#bytes = new Uint8Array(this.buffer);
    if (buffer === undefined) {
      this.#words.set(crypto.getRandomValues(new Int32Array(2)), NAME);
      this.#words[0] = MAGIC;
    }
    this.name = [...this.#words.subarray(NAME, NAME + 2)]
      .map((word) => (word >>> 0).toString(36)).join("-");
  }

  /** The memory of the frames on the plain channel: their count, and their hashes. */
  get echoes(): { count: Int32Array; hashes: Float64Array } {
    return {
      count: this.#words.subarray(ECHOES, ECHOES + 1),
      hashes: new Float64Array(this.buffer, 4 * HEADER, KEPT),
    };
  }

  /** Gives out a number that nobody else gets, greater than all before. */
  nextSerial(): number {
    return Atomics.add(this.version, 0, 1) + 1;
  }

  /**
   * Takes a place.
   *
   * @param seat The group that it is a member of, if it is one.
   * @returns Who is there now; `undefined` when all places are taken.
   */
  enter(
    id: string,
    label: string,
    isLocked: boolean,
    seat: GroupSeat = NO_GROUP,
  ): Member | undefined {
    for (let place = 0; place < PLACES; place++) {
      const at = wordOf(place);
      const before = Atomics.compareExchange(
        this.#words,
        at + GENERATION,
        FREE,
        CLAIMED,
      );
      if (before !== FREE) continue;
      this.#words[at + EPOCH] = 0;
      this.#words[at + IS_LOCKED] = Number(isLocked);
      this.#words[at + VIEW] = 0;
      this.#words[at + ACTIONS] = 0;
      this.#words[at + CONCURRENCY] = Math.min(seat.concurrency, 2 ** 31 - 1);
      const byte = 4 * (at + ID);
      this.#bytes.set(encoder.encode(id), byte);
      this.#write(byte + ID_BYTES, seat.group, GROUP_BYTES);
      this.#write(byte + ID_BYTES + 1 + GROUP_BYTES, label, LABEL_BYTES);
      for (;;) {
        const used = Atomics.load(this.#words, USED);
        if (used > place) break;
        Atomics.compareExchange(this.#words, USED, used, place + 1);
      }
      const generation = this.nextSerial();
      Atomics.store(this.#words, at + GENERATION, generation);
      this.#change();
      return {
        id,
        label,
        epoch: 0,
        names: [],
        view: 0,
        actions: 0,
        ...seat,
        isLocked,
        place,
        generation,
      };
    }
    return undefined;
  }

  /**
   * Says whether who has a place subscribes.
   *
   * @param epoch A number that is new each time, or 0.
   * @param names Who does, see {@linkcode Member.names}.
   */
  subscribe({ place }: Member, epoch: number, names: readonly string[]): void {
    this.#write(4 * (wordOf(place) + NAMES), names.join(" "), NAMES_BYTES);
    // Whoever sees this number sees the names, too.
    Atomics.store(this.#words, wordOf(place) + EPOCH, epoch);
    this.#change();
  }

  /** Says whether who has a place watches: a number that is new each time, or 0. */
  watch({ place }: Member, view: number): void {
    Atomics.store(this.#words, wordOf(place) + VIEW, view);
    this.#change();
  }

  /** Says whether who has a place offers actions: a number that is new each time, or 0. */
  offer({ place }: Member, actions: number): void {
    Atomics.store(this.#words, wordOf(place) + ACTIONS, actions);
    this.#change();
  }

  /** Gives a place up, unless somebody else has it by now. */
  leave({ place, generation }: Member): void {
    const before = Atomics.compareExchange(
      this.#words,
      wordOf(place) + GENERATION,
      generation,
      FREE,
    );
    if (before === generation) this.#change();
  }

  /**
   * Reads who is there.
   *
   * @param known Who was there before, by place; who has not changed is not read again.
   */
  members(known: ReadonlyMap<number, Member>): Map<number, Member> {
    const members = new Map<number, Member>();
    const used = Atomics.load(this.#words, USED);
    for (let place = 0; place < used; place++) {
      const at = wordOf(place);
      const generation = Atomics.load(this.#words, at + GENERATION);
      if (generation <= FREE) continue;
      const epoch = Atomics.load(this.#words, at + EPOCH);
      const view = Atomics.load(this.#words, at + VIEW);
      const actions = Atomics.load(this.#words, at + ACTIONS);
      const before = known.get(place);
      if (before?.generation === generation) {
        const isSame = before.epoch === epoch && before.view === view &&
          before.actions === actions;
        const names = before.epoch === epoch
          ? before.names
          : this.#names(at, epoch);
        members.set(
          place,
          isSame ? before : { ...before, epoch, names, view, actions },
        );
        continue;
      }
      const byte = 4 * (at + ID);
      members.set(place, {
        id: decoder.decode(this.#bytes.slice(byte, byte + ID_BYTES)),
        label: this.#read(byte + ID_BYTES + 1 + GROUP_BYTES),
        group: this.#read(byte + ID_BYTES),
        concurrency: this.#words[at + CONCURRENCY]!,
        epoch,
        names: this.#names(at, epoch),
        view,
        actions,
        isLocked: this.#words[at + IS_LOCKED] === 1,
        place,
        generation,
      });
    }
    return members;
  }

  #names(at: number, epoch: number): readonly string[] {
    return epoch === 0 ? [] : this.#read(4 * (at + NAMES)).split(" ");
  }

  /** Writes a text, cut to so many bytes, behind a byte with its length. */
  #write(at: number, text: string, bytes: number): void {
    const target = new Uint8Array(bytes);
    this.#bytes[at] = encoder.encodeInto(text, target).written;
    this.#bytes.set(target, at + 1);
  }

  /** Reads such a text. */
  #read(at: number): string {
    return decoder.decode(
      this.#bytes.slice(at + 1, at + 1 + this.#bytes[at]!),
    );
  }

  #change(): void {
    Atomics.add(this.version, 0, 1);
    Atomics.notify(this.version, 0);
  }
}

function wordOf(place: number): number {
  return HEADER + 2 * KEPT + place * PLACE;
}
