import { backoff, sleep, whenAborted } from "../waiting.ts";
import {
  channelTurn,
  type Control,
  ControlChannel,
} from "./control_channel.ts";
import { BusError } from "./errors.ts";
import type { LinkMemory, WatchMemory } from "./link_memory.ts";
import { type GroupSeat, type Member, Roster, UNNAMED } from "./roster.ts";

/** The pauses before a greeting is repeated, in seconds: they grow. */
const GREETINGS = { first: 0.02, longest: 1 };

/** So many times more of those who are there answer when a greeting is repeated. */
const LOUDER = 4;

const IS_WORKER = "DedicatedWorkerGlobalScope" in globalThis;

/**
 * The part of the Web Locks API that is used here: Deno does not ship its types
 * yet.
 */
interface Locks {
  /** Holds a lock for as long as the callback's promise is pending. */
  request(
    name: string,
    options: { signal: AbortSignal },
    callback: () => Promise<void>,
  ): Promise<void>;
  /** Tells who holds which lock in this process. */
  query(): Promise<{ held?: readonly { name?: string }[] }>;
}

/** Says how a {@linkcode Membership} works, and whom it tells. */
interface MembershipOptions {
  /** The bus's name. */
  readonly name: string;
  /** Names this thread for people. */
  readonly label: string;
  /** True if the process may end all the same. */
  readonly daemon: boolean;
  /** The time in seconds to wait for an answer before going on without. */
  readonly stallTimeout: number;
  /**
   * The membership of the same thread on whose roster this one takes a seat of a
   * group, beside it; left out for the thread's own.
   */
  readonly host?: Membership | undefined;
  readonly seat?: GroupSeat | undefined;
  /** Called when this thread is on the roster, or on another one. */
  onEntered(): void;
  /** Called with somebody who is new, or has begun or ceased to subscribe or to watch. */
  onMember(member: Member): void;
  /** Called with somebody who has left, or does not exist any more. */
  onGone(id: string): void;
  /** Called when nobody has answered for too long. */
  onSilence(): void;
  /** Called when this thread cannot be on the bus. */
  onRefused(error: BusError): void;
  /** Called when a publisher offers a link. */
  onOffer(from: string, memory: LinkMemory): void;
  /** Called when a publisher offers a link for who watches. */
  onView(from: string, memory: WatchMemory): void;
}

/**
 * Who is on a bus. All its threads share a {@linkcode Roster} in memory, so
 * that each knows at once what another one writes there, and nobody has to do
 * anything while nothing changes. How a thread comes by that memory:
 *
 * ```text
 * it holds the lock "{name}#{its id}"  from before it can be seen until it has left
 * it asks for the lock "{name}#keeper" who has it is the keeper; the others wait in line
 * it says hello, again and again       the keeper answers with the memory; when a
 *                                      greeting is repeated, others do too
 * it is the keeper, and nobody answers nobody else is there: it makes the memory
 * ```
 *
 * The keeper waits for the lock of everybody on the roster: who is terminated or
 * crashes loses it at once, and is struck off. When it is the keeper itself, the
 * next in line is granted that lock, and takes over.
 *
 * A lock keeps the process alive. The main thread of a process that shall end
 * all the same (`daemon`) holds none and waits for none; if it is lost, so is
 * everybody. It is not seen while it is too busy to answer: a worker that has
 * made a roster of its own meanwhile then moves, with all who are on it.
 */
export class Membership {
  /** Tells this thread from all others. */
  readonly id: string = crypto.randomUUID();
  readonly #options: MembershipOptions;
  readonly #channel: ControlChannel;
  readonly #locks: Locks;
  readonly #isLocked: boolean;
  readonly #closing = new AbortController();
  readonly #requests = new Set<Promise<void>>();
  readonly #guests = new Set<Membership>();
  readonly #watched = new Set<string>();
  readonly #givenUp = new Map<string, number>();
  readonly #welcomed = new AbortController();
  readonly #ready: Promise<void>;
  #roster: Roster | undefined;
  #self: Member | undefined;
  #refusal = "there are as many threads on it as can be";
  #isKeeper = false;
  #isAnchored = false;
  #members = new Map<number, Member>();
  #version = -1;
  #stamp: string | undefined;
  #names: readonly string[] = [];
  #told = "";
  #watches = false;
  #offers = false;

  /**
   * @param options How it works, and whom it tells.
   * @throws {BusError} When the runtime lacks something that it needs.
   */
  constructor(options: MembershipOptions) {
    this.#options = options;
    // A Deno that is too old would end the process at the first channel.
    this.#locks = findLocks();
    const { name, daemon } = options;
    // Deno waits for every worker until it is closed or terminated.
    this.#isLocked = !daemon || IS_WORKER;
    this.#channel = new ControlChannel(
      name,
      daemon,
      (control) => this.#receive(control),
      (to) => {
        if (to !== this.id || this.#self !== undefined) return;
        this.#refusal =
          "another version of this module is on it, which shares its memory in another way; import the same one in all threads";
        this.#welcomed.abort();
      },
    );
    const { host } = options;
    this.#ready = host === undefined ? this.#enter() : this.#follow(host);
    this.#ready.catch(options.onRefused);
  }

  /** The others who are on the bus. */
  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  /** The others, but for those who were given up: what is posted does not wait for them. */
  get #heeded(): readonly Member[] {
    return this.members
      .filter(({ id, epoch }) => this.#givenUp.get(id) !== epoch);
  }

  /** The number of others that subscribe, but for those who were given up. */
  get subscribers(): number {
    return this.#heeded.filter(({ epoch }) => epoch !== 0).length;
  }

  /** The number of threads that have a bus of the name, this one included. */
  get threads(): number {
    let count = this.#options.host === undefined ? 1 : 0;
    // Each member of a group stands beside its thread.
    for (const { group } of this.#members.values()) if (group === "") count++;
    return count;
  }

  /** The roster, as soon as this thread is on it. */
  get roster(): Roster | undefined {
    return this.#roster;
  }

  /** The number of frames on the control channel that no bus has sent. */
  get ignored(): number {
    return this.#channel.ignored;
  }

  /** True while somebody in this thread wants messages; publishers make a link to it then. */
  get subscribes(): boolean {
    return this.#names.length > 0;
  }

  /**
   * Says who wants messages in this thread.
   *
   * @param names See {@linkcode Member.names}; nobody does where there is none.
   */
  subscribe(names: readonly string[]): void {
    const isSame = names.join() === this.#names.join();
    if (this.#closing.signal.aborted || isSame) return;
    this.#names = names;
    this.renew();
  }

  /** Tells the names of the subscribers that have one, in all threads. */
  namesOnBus(): ReadonlySet<string> {
    this.update();
    return new Set(
      [...this.#names, ...this.#heeded.flatMap(({ names }) => names)]
        .filter((name) => name !== UNNAMED).map((name) => name.slice(1)),
    );
  }

  /** Tells, once, whether somebody who may have a name has come or gone. */
  takeNews(): boolean {
    const told = this.#heeded.map(({ epoch, names }) => `${names} ${epoch}`)
      .concat(this.#names).join();
    const isNews = told !== this.#told;
    this.#told = told;
    return isNews;
  }

  /** Who wants messages in this thread, see {@linkcode Member.names}. */
  get names(): readonly string[] {
    return this.#names;
  }

  /** True while somebody in this thread wants to see what passes. */
  get watches(): boolean {
    return this.#watches;
  }

  set watches(watches: boolean) {
    if (this.#closing.signal.aborted || watches === this.#watches) return;
    this.#watches = watches;
    this.renewView();
  }

  /** True while a `Bus` of this thread offers actions; backends ask it for them then. */
  get offers(): boolean {
    return this.#offers;
  }

  set offers(offers: boolean) {
    if (this.#closing.signal.aborted || offers === this.#offers) return;
    this.#offers = offers;
    this.#renewOffer();
  }

  /** Tells whether it is the first of those in its group that subscribe. */
  get isFirstOfGroup(): boolean {
    const { seat } = this.#options;
    const place = this.#self?.place ?? Infinity;
    return !this.members.some((member) =>
      member.group === seat?.group && member.epoch !== 0 && member.place < place
    );
  }

  /** Says again whether this thread subscribes, also after a publisher has given it up. */
  renew(): void {
    if (this.#self === undefined) return;
    const roster = this.#roster!;
    const epoch = this.subscribes ? roster.nextSerial() : 0;
    roster.subscribe(this.#self, epoch, this.#names);
  }

  /** Says again whether this thread watches, also after a link for that was lost. */
  renewView(): void {
    if (this.#self === undefined) return;
    const roster = this.#roster!;
    roster.watch(this.#self, this.#watches ? roster.nextSerial() : 0);
  }

  /** Counts a member no more, until it says again that it subscribes. */
  giveUp(id: string): void {
    const member = this.members.find((member) => member.id === id);
    if (member !== undefined) this.#givenUp.set(id, member.epoch);
  }

  /** Resolves when this thread is on the roster, or nobody has answered for too long. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Offers a link to a member. */
  offer(to: string, memory: LinkMemory): void {
    if (this.#closing.signal.aborted) return;
    this.#channel.post({ kind: "offer", from: this.id, to, memory });
  }

  /** Offers a link to a member that watches. */
  view(to: string, memory: WatchMemory): void {
    if (this.#closing.signal.aborted) return;
    this.#channel.post({ kind: "view", from: this.id, to, memory });
  }

  /**
   * Looks who has come, gone or changed, if anybody has.
   *
   * @returns Names the roster, as soon as this thread is on it, and the last number
   * that was given out before the look.
   */
  update(): string | undefined {
    const roster = this.#roster;
    if (roster === undefined) return undefined;
    const version = Atomics.load(roster.version, 0);
    if (version === this.#version) return this.#stamp;
    this.#version = version;
    this.#stamp = `${roster.name} ${version}`;
    const before = this.#members;
    const members = roster.members(before);
    members.delete(this.#self!.place);
    this.#members = members;
    const ids = new Set(members.values().map(({ id }) => id));
    for (const { id } of before.values()) {
      if (ids.has(id)) continue;
      this.#givenUp.delete(id);
      this.#options.onGone(id);
    }
    for (const [place, member] of members) {
      if (before.get(place) === member) continue;
      this.#watch(member);
      this.#options.onMember(member);
    }
    return this.#stamp;
  }

  /** Leaves the bus. */
  async close(): Promise<void> {
    const { host } = this.#options;
    if (host !== undefined) host.#guests.delete(this);
    this.#closing.abort();
    this.#welcomed.abort();
    if (this.#self !== undefined) this.#roster!.leave(this.#self);
    await Promise.all([...this.#requests, channelTurn()]);
    this.#channel.close();
  }

  /** Says hello until there is a roster to be on. */
  async #enter(): Promise<void> {
    const { stallTimeout, onSilence } = this.#options;
    if (this.#isLocked) await this.#takeLocks();
    // A lock that is free is granted by then, and the channel works.
    await channelTurn();
    this.#greet(0);
    const isAlone = IS_WORKER
      // The main thread may be there without a lock.
      ? false
      : this.#isLocked
      ? this.#isKeeper
      : !await this.#isAnybodyThere();
    if (isAlone) this.#found();
    const inTime = Promise.withResolvers<void>();
    this.#insist(performance.now() + stallTimeout * 1000, () => {
      onSilence();
      inTime.resolve();
    }).then(inTime.resolve, inTime.reject);
    await inTime.promise;
  }

  /** Takes a seat on the roster that another membership of this thread is on. */
  async #follow(host: Membership): Promise<void> {
    if (this.#isLocked) await this.#takeLock();
    await host.ready();
    if (this.#closing.signal.aborted) return;
    host.#guests.add(this);
    if (host.#roster === undefined) return;
    this.#adopt(host.#roster);
    if (this.#self === undefined) throw this.#refused();
  }

  #renewOffer(): void {
    if (this.#self === undefined) return;
    const roster = this.#roster!;
    roster.offer(this.#self, this.#offers ? roster.nextSerial() : 0);
  }

  #greet(attempt: number): void {
    if (this.#closing.signal.aborted) return;
    this.#channel.post({ kind: "hello", from: this.id, attempt });
  }

  /** Repeats the greeting until there is an answer, or nobody who could give one. */
  async #insist(deadline: number, onLate: () => void): Promise<void> {
    const { daemon } = this.#options;
    const signal = this.#welcomed.signal;
    for (let attempt = 0; !signal.aborted; attempt++) {
      if (attempt > 0) this.#greet(attempt);
      await sleep(backoff(attempt, GREETINGS), { signal, daemon });
      if (signal.aborted) break;
      const isAlone = this.#isKeeper ||
        (!this.#isLocked && !await this.#isAnybodyThere());
      if (isAlone && !signal.aborted) this.#found();
      else if (performance.now() > deadline) {
        deadline = Infinity;
        onLate();
      }
    }
    if (this.#closing.signal.aborted || this.#self !== undefined) return;
    throw this.#refused();
  }

  #refused(): BusError {
    return new BusError(
      `Cannot join the bus "${this.#options.name}": ${this.#refusal}`,
    );
  }

  /** Holds this thread's lock, and waits in line for the keeper's. */
  async #takeLocks(): Promise<void> {
    await this.#takeLock();
    this.#request(`${this.#options.name}#keeper`, () => {
      this.#isKeeper = true;
      for (const member of this.members) this.#watch(member);
      return this.#closed();
    });
  }

  async #takeLock(): Promise<void> {
    const { name } = this.#options;
    const held = Promise.withResolvers<void>();
    this.#request(`${name}#${this.id}`, () => {
      held.resolve();
      return this.#closed();
    }).then(held.resolve);
    await held.promise;
  }

  /** Waits for a lock, until the bus is closed. */
  #request(name: string, granted: () => Promise<void>): Promise<void> {
    const { signal } = this.#closing;
    const request = this.#locks.request(name, { signal }, granted)
      .catch(() => {})
      .then((): void => void this.#requests.delete(request));
    this.#requests.add(request);
    return request;
  }

  async #closed(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    using _end = whenAborted(this.#closing.signal, resolve);
    await promise;
  }

  async #isAnybodyThere(): Promise<boolean> {
    const { held = [] } = await this.#locks.query();
    const prefix = `${this.#options.name}#`;
    return held.some(({ name = "" }) => name.startsWith(prefix));
  }

  /** As the keeper, strikes a member off as soon as it does not exist any more. */
  #watch(member: Member): void {
    const { id, isLocked } = member;
    if (!this.#isKeeper || !isLocked || this.#watched.has(id)) return;
    this.#watched.add(id);
    this.#request(`${this.#options.name}#${id}`, () => {
      this.#watched.delete(id);
      this.#roster?.leave(member);
      return Promise.resolve();
    });
  }

  /** Makes the roster. */
  #found(): void {
    this.#isAnchored = !this.#isLocked;
    this.#adopt(new Roster());
  }

  /** Enters a roster, and leaves the one before. */
  #adopt(roster: Roster): void {
    const { label, seat, onEntered } = this.#options;
    if (this.#closing.signal.aborted) return;
    const self = roster.enter(this.id, label, this.#isLocked, seat);
    this.#welcomed.abort();
    if (self === undefined) return;
    if (this.#self !== undefined) this.#roster!.leave(this.#self);
    this.#roster = roster;
    this.#self = self;
    this.#version = -1;
    this.#members = new Map();
    onEntered();
    if (this.subscribes) this.renew();
    if (this.#watches) this.renewView();
    if (this.#offers) this.#renewOffer();
    this.#observe(roster);
    for (const guest of this.#guests) guest.#adopt(roster);
  }

  /** Notices what changes on the roster, for as long as this thread is on it. */
  async #observe(roster: Roster): Promise<void> {
    while (!this.#closing.signal.aborted && this.#roster === roster) {
      const version = Atomics.load(roster.version, 0);
      this.update();
      await Atomics.waitAsync(roster.version, 0, version).value;
    }
  }

  #receive(control: Control): void {
    if (this.#closing.signal.aborted) return;
    switch (control.kind) {
      case "hello":
        if (this.#options.host !== undefined) break;
        if (!this.#answers(control.attempt)) break;
        this.#channel.post({
          kind: "welcome",
          to: control.from,
          roster: this.#roster!.buffer,
          anchored: this.#isAnchored,
        });
        break;
      case "welcome": {
        if (this.#options.host !== undefined) break;
        const roster = new Roster(control.roster);
        const isFirst = this.#roster === undefined && control.to === this.id;
        const isBetter = this.#roster !== undefined && control.anchored &&
          !this.#isAnchored && roster.name !== this.#roster.name;
        if (isFirst || isBetter) this.#adopt(roster);
        break;
      }
      case "offer":
        if (control.to !== this.id) break;
        this.update();
        this.#options.onOffer(control.from, control.memory);
        break;
      case "view":
        if (control.to !== this.id) break;
        this.update();
        this.#options.onView(control.from, control.memory);
        break;
    }
  }

  /** Tells whether it is this thread's turn to answer a greeting. */
  #answers(attempt: number): boolean {
    if (this.#self === undefined) return false;
    return this.#isKeeper || !this.#isLocked ||
      (attempt > 0 && this.#self.place < LOUDER ** attempt);
  }
}

function findLocks(): Locks {
  const { locks } = navigator as { locks?: Locks };
  const canShare = "SharedArrayBuffer" in globalThis && "waitAsync" in Atomics;
  if (locks !== undefined && canShare) return locks;
  throw new BusError(
    "The bus needs Web Locks, SharedArrayBuffer and Atomics.waitAsync, of which this " +
      `runtime (${navigator.userAgent}) does not have all: use Deno 2.9 or newer`,
  );
}
