import { sleep } from "../waiting.ts";
import { DroppedError, LeftError } from "./errors.ts";
import {
  type Chunk,
  cutOptions,
  encodeFrame,
  type FrameOptions,
  type Wire,
} from "./frame.ts";
import type { PublisherLink } from "./publisher_link.ts";
import { type Failure, Receipt, Retry } from "./receipt.ts";

/** Messages that may wait for a member before whoever posts has to wait. */
const WINDOW = 1024;

/** So often a message whose member was lost goes to another one at once. */
const SECOND_CHANCES = 1;

/** Connects a group with the links of its publisher. */
interface GroupOptions {
  /** The group's name. */
  readonly name: string;
  /** The number of the subscription that its first member has begun with. */
  readonly since: number;
  /** The time in seconds that it waits for another member when the last one was lost. */
  readonly patience: number;
  /** Numbers the frames of all links. */
  nextFrame(): number;
}

/** A message that one member of the group has to handle. */
interface GroupTask {
  readonly message: Wire;
  readonly options: FrameOptions;
  /** Its place in the post. */
  readonly index: number;
  readonly receipt: Receipt;
  /** The number of times that it was given to a member before. */
  given: number;
  /** The number of members that were lost at work on it. */
  lost: number;
}

/**
 * A group as one publisher sees it: several subscribers that share the messages.
 * A message waits here until a member has room, and goes to the one that has the
 * fewest in hand, in a frame of its own.
 *
 * ```text
 * a member is there    it gets messages
 * the last one left    what waits is left; the group is no subscriber any more
 * the last one is lost the group waits `patience` for another one, and so does
 *                      what is posted; then what waits is dropped
 * ```
 */
export class Group {
  readonly #options: GroupOptions;
  /** Names it in failures, and so in retries. */
  readonly #subscription: string;
  /** The messages that each member has in hand; who got one last comes last. */
  readonly #members = new Map<PublisherLink, number>();
  readonly #waiting: GroupTask[] = [];
  #room = Promise.withResolvers<void>();
  #waits: AbortController | undefined;
  #isLost = false;

  /** @param options Its name, and what it does for the links. */
  constructor(options: GroupOptions) {
    this.#options = options;
    this.#subscription = `group:${encodeURIComponent(options.name)}`;
  }

  /** Tells whether it has messages to take, or to say of them that they are dropped. */
  get isWanting(): boolean {
    return this.#isThere || this.#isLost;
  }

  /** Lets a member take part. */
  add(link: PublisherLink): void {
    this.#members.set(link, 0);
    this.#waits?.abort();
    this.#waits = undefined;
    this.#isLost = false;
    this.#assign();
  }

  /**
   * Takes notice that a member has left.
   *
   * @param isLost Whether it was lost, not in order.
   */
  remove(link: PublisherLink, isLost: boolean): void {
    if (!this.#members.delete(link) || this.#members.size > 0) return;
    if (isLost) this.#awaitMember();
    else this.#giveUp();
  }

  /**
   * Takes messages, each for one member.
   *
   * @param roster Names the bus, for retries.
   * @returns A promise of room, when too many wait.
   */
  send(
    { first, wire = [], options }: Chunk,
    roster: string | undefined,
    receipt: Receipt,
  ): Promise<void> | undefined {
    const { since } = this.#options;
    // Who gets a message again, the group knows.
    const { retries, ...others } = options;
    for (const [i, message] of wire.entries()) {
      const text = retries?.[i];
      const retry = typeof text === "string"
        ? Retry.read(text, roster)
        : undefined;
      if (retry?.concerns(since, "", this.#subscription) === false) continue;
      const task: GroupTask = {
        message,
        options: cutOptions(others, i, i + 1),
        index: first + i,
        receipt,
        given: 0,
        lost: 0,
      };
      receipt.begin();
      if (this.#isThere) this.#waiting.push(task);
      // It has failed here before, and must not be taken for handled.
      else if (this.#isLost && retry !== undefined) this.#drop(task);
      else receipt.finish();
    }
    this.#assign();
    return this.#waiting.length > WINDOW ? this.#room.promise : undefined;
  }

  /** Resolves when no message waits here; those from Redis wait there as well. */
  async drain(): Promise<void> {
    const safe = this.#waiting.filter(({ options }) => options.identities);
    for (const task of safe) {
      this.#waiting.splice(this.#waiting.indexOf(task), 1);
      this.#leave(task);
    }
    while (this.#waiting.length > 0) await this.#room.promise;
  }

  /** Takes no more, and waits for nobody. */
  end(): void {
    this.#waits?.abort();
    this.#waits = undefined;
    this.#giveUp();
  }

  /** Tells whether there is a member, or there may be one soon. */
  get #isThere(): boolean {
    return this.#members.size > 0 || this.#waits !== undefined;
  }

  /** Gives away what waits, as long as a member has room. */
  #assign(): void {
    const before = this.#waiting.length;
    while (this.#waiting.length > 0) {
      const link = this.#freest();
      if (link === undefined) break;
      this.#give(this.#waiting.shift()!, link);
    }
    if (this.#waiting.length < before) this.#makeRoom();
  }

  #makeRoom(): void {
    if (this.#waiting.length > WINDOW) return;
    this.#room.resolve();
    this.#room = Promise.withResolvers();
  }

  /** Finds the member that has the fewest messages in hand, if any has room. */
  #freest(): PublisherLink | undefined {
    let freest: PublisherLink | undefined;
    let fewest = Infinity;
    for (const [link, inHand] of this.#members) {
      if (inHand >= link.member.concurrency || inHand >= fewest) continue;
      freest = link;
      fewest = inHand;
    }
    return freest;
  }

  #give(task: GroupTask, link: PublisherLink): void {
    const inHand = this.#members.get(link)!;
    this.#members.delete(link);
    this.#members.set(link, inHand + 1);
    const { message, options } = task;
    const [redelivered = 0] = options.redelivered ?? [];
    const number = this.#options.nextFrame();
    const frame = encodeFrame(number, [message], {
      ...options,
      ...(task.given > 0 && { redelivered: [redelivered + task.given] }),
    });
    task.given++;
    const own = new Receipt();
    link.send(number, frame, { receipt: own, first: 0, count: 1 });
    own.finish();
    own.handled.then((failures) => this.#settle(task, link, failures));
  }

  /** Takes what has become of a message with a member. */
  #settle(
    task: GroupTask,
    link: PublisherLink,
    failures: readonly Failure[],
  ): void {
    const inHand = this.#members.get(link);
    if (inHand !== undefined) this.#members.set(link, inHand - 1);
    const failed = failures.filter(({ reason }) => reason !== "left");
    const isDropped = failed.length > 0 &&
      failed.every(({ reason }) => reason === "dropped");
    const goesOn = failures.length > 0 && failed.length === 0 ||
      isDropped && task.lost++ < SECOND_CHANCES;
    if (goesOn && this.#isThere) this.#waiting.unshift(task);
    else this.#finish(task, failures);
    this.#assign();
  }

  #finish({ index, receipt }: GroupTask, failures: readonly Failure[]): void {
    for (const failure of failures) {
      receipt.fail({
        ...failure,
        index,
        // What is wrong with the message itself is nobody's failure.
        ...(failure.subscriber !== undefined && {
          subscription: this.#subscription,
        }),
      });
    }
    receipt.finish();
  }

  /** Waits for another member, and drops what waits when none comes. */
  async #awaitMember(): Promise<void> {
    this.#waits = new AbortController();
    const { signal } = this.#waits;
    if (await sleep(this.#options.patience, { signal, daemon: true })) return;
    this.#waits = undefined;
    this.#isLost = true;
    for (const task of this.#waiting.splice(0)) this.#drop(task);
    this.#makeRoom();
  }

  /** Gives back what waits. */
  #giveUp(): void {
    for (const task of this.#waiting.splice(0)) this.#leave(task);
    this.#makeRoom();
  }

  #drop(task: GroupTask): void {
    const error = new DroppedError(
      `The group "${this.#options.name}" has lost its last member, and there is no other one yet`,
    );
    this.#end(task, "dropped", error);
  }

  #leave(task: GroupTask): void {
    const error = new LeftError(
      `No member of the group "${this.#options.name}" has taken the message`,
    );
    this.#end(task, "left", error);
  }

  #end(task: GroupTask, reason: "dropped" | "left", error: Error): void {
    const { index } = task;
    const { name: subscriber } = this.#options;
    this.#finish(task, [{ index, reason, error, subscriber }]);
  }
}
