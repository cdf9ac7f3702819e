import { BroadcastChannel } from "node:worker_threads";
import type { LinkMemory } from "./link_reader.ts";
import { postTo } from "./post_to.ts";
import { Presence } from "./presence.ts";
import { nextTurn } from "./turn.ts";

/** An isolate that has a bus of the same name. */
export interface Member {
  /** Tells it from all others. */
  readonly id: string;
  /** Names it for people. */
  readonly label: string;
  /** Whether it wants messages. */
  readonly subscribes: boolean;
  /** Whether it holds no lock, so that its process may end all the same. */
  readonly daemon: boolean;
}

/** What a publisher offers to a subscriber. */
export interface Offer extends LinkMemory {
  /** The publisher. */
  readonly from: string;
}

/** What the membership tells its hub. */
export interface MembershipEvents {
  /** Somebody is new, or has begun or ceased to subscribe. */
  onMember(member: Member): void;
  /** Somebody has left, or does not exist any more. */
  onGone(id: string, crashed: boolean): void;
  /** Somebody has not answered a greeting for too long. */
  onSilence(): void;
  /** Somebody tells which frames on the plain channel are its own. */
  onMarks(id: string, marks: SharedArrayBuffer): void;
  /** A publisher offers a link. */
  onOffer(offer: Offer): void;
}

type Greeting = { from: string; version: number } & Omit<Member, "id">;
type Introduction = Greeting & { marks: SharedArrayBuffer };
type Control =
  | ({ kind: "hello" } & Introduction)
  | ({ kind: "welcome"; to: string } & Introduction)
  | ({ kind: "beat" } & Greeting)
  | ({ kind: "offer"; to: string } & Offer)
  | { kind: "leave"; from: string };

/**
 * How long an answer may take before the question is repeated, in milliseconds;
 * each time it is twice as long, up to the second number.
 */
const PATIENCE = [20, 1000] as const;

/**
 * Who is on a bus. The isolates of a process greet each other on a
 * BroadcastChannel, where any frame can be lost; so every step can be repeated,
 * and is until it is answered. Who is too busy to answer, and who has crashed,
 * {@linkcode Presence} tells.
 *
 * ```text
 * state of a member   what happens                       new state, and what is done
 * ─────────────────   ────────────────────────────────   ──────────────────────────────────────
 * unknown             its hello or welcome               known: welcome it, if it was a hello
 * known               it subscribes, and we publish      offered: make a link, offer it
 * offered             a beat passes                      offered: offer the same link again
 * offered             it has taken the ring (RingState)  linked
 * offered, linked     it does not subscribe any more     known: the link is over
 * offered, linked     no sign of life: stallTimeout      known: drop the link, tell why
 * any                 its leave, or its lock is free     unknown
 * ```
 */
export class Membership {
  /** This isolate. */
  readonly id: string = crypto.randomUUID();
  readonly #label: string;
  readonly #daemon: boolean;
  readonly #stallTimeout: number;
  readonly #marks: SharedArrayBuffer;
  readonly #events: MembershipEvents;
  readonly #presence: Presence;
  readonly #channel: BroadcastChannel;
  readonly #members = new Map<string, Member>();
  readonly #welcomes = new Map<string, number>();
  readonly #silent = new Map<string, number>();
  readonly #crashed = new Set<string>();
  /** The others who hold a lock. */
  #present: ReadonlySet<string> = new Set();
  #subscribes = false;
  #version = 0;
  #wake: () => void = () => {};
  #ready: Promise<void>;
  #closed = false;

  /**
   * @param name The bus's name.
   * @param label Names this isolate for people.
   * @param daemon Whether this isolate's process may end all the same.
   * @param stallTimeout How long to wait for an answer, and for a sign of life
   * of who holds no lock, in seconds.
   * @param marks Which frames on the plain channel are this isolate's.
   * @param events Whom to tell.
   */
  constructor(
    name: string,
    label: string,
    daemon: boolean,
    stallTimeout: number,
    marks: SharedArrayBuffer,
    events: MembershipEvents,
  ) {
    this.#label = label;
    this.#daemon = daemon;
    this.#stallTimeout = stallTimeout;
    this.#marks = marks;
    this.#events = events;
    this.#presence = new Presence(name, this.id, daemon);
    this.#channel = new BroadcastChannel(`${name}#control`);
    this.#channel.onmessage = (event) =>
      this.#receive((event as MessageEvent<Control>).data);
    if (daemon) this.#channel.unref();
    this.#ready = this.#greet();
  }

  /** The others who are on the bus, as far as they are known. */
  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  /** Whether this isolate wants messages. */
  get subscribes(): boolean {
    return this.#subscribes;
  }

  set subscribes(subscribes: boolean) {
    if (this.#closed || subscribes === this.#subscribes) return;
    this.#subscribes = subscribes;
    this.renew();
  }

  /** Says again that this isolate subscribes, after a publisher has dropped it. */
  renew(): void {
    this.#version++;
    // The greeting that this one is in place of.
    this.#wake();
    this.#ready = this.#greet();
  }

  /** Forgets a member, until it is heard of again. */
  forget(id: string): void {
    this.#members.delete(id);
    this.#silent.delete(id);
  }

  /** Resolves when everybody who is on the bus knows of us, and we of them. */
  ready(): Promise<void> {
    return this.#ready;
  }

  /** Offers a link to a member. */
  offer(to: string, memory: Omit<Offer, "from">): void {
    this.#post({ kind: "offer", from: this.id, to, ...memory });
  }

  /**
   * Repeats what may have been lost, and looks who is still there.
   *
   * @param elapsed Seconds since the last time.
   */
  async beat(elapsed: number): Promise<void> {
    for (const { id, daemon } of this.members) {
      const silent = (this.#silent.get(id) ?? 0) + elapsed;
      this.#silent.set(id, silent);
      if (daemon && silent > this.#stallTimeout) this.#remove(id, true);
    }
    this.#post({ kind: "beat", ...this.#self });
    await this.#lookAround();
  }

  /** Leaves the bus. */
  async close(): Promise<void> {
    this.#post({ kind: "leave", from: this.id });
    this.#closed = true;
    this.#wake();
    await Promise.all([this.#presence.end(), this.#ready, nextTurn()]);
    this.#channel.close();
  }

  /** Says hello until everybody has answered. */
  async #greet(): Promise<void> {
    const version = this.#version;
    if (!this.#daemon) await this.#presence.held;
    const start = performance.now();
    let [patience] = PATIENCE as readonly [number, number];
    let open = true;
    while (open && !this.#closed && this.#version === version) {
      if (performance.now() - start > this.#stallTimeout * 1000) {
        this.#events.onSilence();
        break;
      }
      this.#post({ kind: "hello", ...this.#self, marks: this.#marks });
      // Who holds no lock may be there too, so there is a pause in any case.
      await this.#pause(patience);
      patience = Math.min(patience * 2, PATIENCE[1]);
      await this.#lookAround();
      open = [...this.#present].some((id) =>
        (this.#welcomes.get(id) ?? -1) < version
      );
    }
    // A newer version has a greeting of its own.
    if (this.#version !== version && !this.#closed) await this.#ready;
  }

  /** Waits, or until the bus is closed or another greeting begins. */
  async #pause(milliseconds: number): Promise<void> {
    const pause = Promise.withResolvers<void>();
    const timer = setTimeout(pause.resolve, milliseconds);
    this.#wake = pause.resolve;
    await pause.promise;
    clearTimeout(timer);
  }

  get #self(): Greeting {
    return {
      from: this.id,
      version: this.#version,
      label: this.#label,
      subscribes: this.#subscribes,
      daemon: this.#daemon,
    };
  }

  #post(control: Control): void {
    if (this.#closed || !this.#presence.isKnown) return;
    postTo(this.#channel, control);
  }

  #receive(control: Control): void {
    if (this.#closed || this.#crashed.has(control.from)) return;
    switch (control.kind) {
      case "offer":
        if (control.to === this.id) this.#events.onOffer(control);
        break;
      case "leave":
        this.#remove(control.from, false);
        break;
      case "hello":
        this.#events.onMarks(control.from, control.marks);
        this.#meet(control);
        // The version says what is answered, not who we are.
        this.#post({
          kind: "welcome",
          ...this.#self,
          to: control.from,
          version: control.version,
          marks: this.#marks,
        });
        break;
      case "welcome":
        this.#events.onMarks(control.from, control.marks);
        this.#meet(control);
        if (control.to === this.id) {
          this.#welcomes.set(control.from, control.version);
        }
        break;
      case "beat":
        this.#meet(control);
        break;
    }
  }

  #meet({ from: id, label, subscribes, daemon }: Greeting): void {
    this.#silent.delete(id);
    const member = { id, label, subscribes, daemon };
    this.#members.set(id, member);
    this.#events.onMember(member);
  }

  #remove(id: string, crashed: boolean): void {
    this.#welcomes.delete(id);
    this.#silent.delete(id);
    if (this.#members.delete(id)) this.#events.onGone(id, crashed);
  }

  /** Compares who is known with who holds a lock. */
  async #lookAround(): Promise<void> {
    const known = this.members;
    const present = await this.#presence.others();
    if (this.#closed) return;
    this.#present = present;
    for (const { id, daemon } of known) {
      if (daemon || present.has(id)) continue;
      this.#crashed.add(id);
      this.#remove(id, true);
    }
  }
}
