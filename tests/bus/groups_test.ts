import assert from "node:assert/strict";
import { Bus, Event } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { until } from "../until.ts";
import { TestWorker } from "./test_worker.ts";
import { open } from "./worker_buses.ts";

/** Members of a group in workers, which share a gate: how many messages were begun, and whether they may end. */
class Members implements Disposable {
  readonly #gate = new Int32Array(new SharedArrayBuffer(8));
  readonly #bus: Bus;
  readonly #options: object;
  readonly #workers = new Map<string, TestWorker>();

  constructor(bus: Bus, options: object = {}) {
    this.#bus = bus;
    this.#options = { group: "work", ...options };
  }

  /** The number of messages that were begun. */
  get begun(): number {
    return Atomics.load(this.#gate, 0);
  }

  /** Lets a worker join. */
  async add(name: string, options: object = {}): Promise<TestWorker> {
    const worker = new TestWorker(name);
    this.#workers.set(name, worker);
    await worker.tell({
      do: "open",
      options: { name: this.#bus.name, ...this.#options, ...options },
    });
    await worker.tell({
      do: "work",
      gate: this.#gate.buffer as SharedArrayBuffer,
    });
    return worker;
  }

  /** Lets go on what waits, now and later. */
  release(): void {
    Atomics.store(this.#gate, 1, 1);
    Atomics.notify(this.#gate, 1);
  }

  /** The numbers of the messages that each has begun. */
  async work(): Promise<Record<string, unknown[]>> {
    const work: Record<string, unknown[]> = {};
    for (const [name, worker] of this.#workers) {
      work[name] = (await worker.seen()).work.map(([n]) => n);
    }
    return work;
  }

  /** Ends a worker at once, as a crash would. */
  kill(name: string): void {
    this.#workers.get(name)![Symbol.dispose]();
    this.#workers.delete(name);
  }

  [Symbol.dispose](): void {
    this.release();
    for (const worker of this.#workers.values()) worker[Symbol.dispose]();
  }
}

function work(...hows: string[]): Record<string, unknown>[] {
  return hows.map((how, n) => ({
    type: "event",
    args: { type: "custom.Work", n, how },
  }));
}

const WELL = Array<string>(20).fill("well");

Deno.test("Each message goes to one member of a group, and to all other subscribers and groups", async () => {
  await using bus = open();
  using members = new Members(bus);
  using others = new Members(bus, { group: "other work" });
  let here = 0;
  bus.registerHandler(Event, () => here++);
  await members.add("a");
  await members.add("b");
  await others.add("c");
  await bus.ready();
  assert.equal(bus.subscribers, 4);
  const receipt = await bus.post(work(...WELL));
  assert.deepEqual(await inTime(receipt.handled, "the end"), []);
  assert.equal(here, 20);
  const { a, b } = await members.work();
  assert.deepEqual([...a!, ...b!].toSorted(compare), WELL.map((_, n) => n));
  // Each of the two gets the next one as soon as it has room.
  assert.ok(a!.length > 0 && b!.length > 0, `${a} and ${b}`);
  assert.deepEqual(await others.work(), { c: WELL.map((_, n) => n) });
});

for (const how of ["wait", "compute", "block"]) {
  Deno.test(`A member that is busy (${how}) holds up nothing but what it is busy with`, async () => {
    await using bus = open();
    using members = new Members(bus);
    await members.add("a");
    await members.add("b");
    const receipt = await bus.post(work(how, ...WELL));
    await until(() => members.begun === 21);
    members.release();
    assert.deepEqual(await inTime(receipt.handled, "the end"), []);
    const lengths = Object.values(await members.work()).map((all) =>
      all.length
    );
    assert.deepEqual(lengths.toSorted(compare), [1, 20]);
  });
}

Deno.test("A member works on as many messages at a time as its concurrency says", async () => {
  await using bus = open();
  using members = new Members(bus);
  await members.add("a", { concurrency: 3 });
  await members.add("b");
  await using poster = new Bus({ name: bus.name, deviceId: "hall" });
  await poster.ready();
  // A second thread posts too: what a member has of both counts.
  using second = new TestWorker("second");
  await second.tell({ do: "open", options: { name: bus.name } });
  const receipt = await bus.post(work(...Array(6).fill("wait")));
  await until(() => members.begun === 4);
  await second.tell({ do: "post", from: "second", count: 0, batch: 1 });
  assert.equal(members.begun, 4);
  members.release();
  assert.deepEqual(await inTime(receipt.handled, "the end"), []);
  assert.equal(members.begun, 6);
});

Deno.test("A message whose member is lost at work goes to another member, and counts as delivered before", async () => {
  await using bus = open();
  using members = new Members(bus);
  await members.add("a");
  const receipt = await bus.post(work("wait", "well"));
  await until(() => members.begun === 1);
  const b = await members.add("b");
  await until(() => members.begun === 2);
  members.kill("a");
  await until(() => members.begun === 3);
  members.release();
  assert.deepEqual(await inTime(receipt.handled, "the end"), []);
  assert.deepEqual((await b.seen()).work, [[1, 0], [0, 1]]);
});

Deno.test("A message that two members were lost with is dropped, and the retry goes to a third one", async () => {
  await using bus = open();
  let here = 0;
  bus.registerHandler(Event, () => here++);
  using members = new Members(bus);
  await members.add("a");
  const receipt = await bus.post(work("wait"));
  for (const [next, begun] of [["b", 1], ["c", 2]] as const) {
    await until(() => members.begun === begun);
    await members.add(next);
    members.kill(next === "b" ? "a" : "b");
  }
  const failures = await inTime(receipt.handled, "the end");
  assert.deepEqual(
    failures.map(({ reason, subscriber, subscription }) => [
      reason,
      subscriber,
      subscription,
    ]),
    [["dropped", "b", "group:work"]],
  );
  members.release();
  const again = await bus.post(work("well"), { retries: [receipt.retry(0)] });
  assert.deepEqual(await inTime(again.handled, "the retry"), []);
  assert.deepEqual(await members.work(), { c: [0] });
  assert.equal(here, 1, "who has handled it does not get it again");
});

Deno.test("A member that fails is the group's failure, and any member may get it again", async () => {
  await using bus = open();
  let here = 0;
  bus.registerHandler(Event, () => here++);
  using members = new Members(bus, { label: "member" });
  const a = await members.add("a");
  const receipt = await bus.post(work("well", "fail"));
  const failures = await inTime(receipt.handled, "the end");
  assert.deepEqual(
    failures.map(({ index, reason, error, subscriber }) => [
      index,
      reason,
      error.message,
      subscriber,
    ]),
    [[1, "failed", "no light bulb", "member"]],
  );
  await members.add("b");
  await a.tell({ do: "close" });
  const again = await bus.post(work("well"), { retries: [receipt.retry(1)] });
  assert.deepEqual(await inTime(again.handled, "the retry"), []);
  assert.deepEqual(await members.work(), { a: [0, 1], b: [0] });
  assert.equal(here, 2);
});

Deno.test("A member that leaves in order gives what it is busy with to another one", async () => {
  await using bus = open();
  using members = new Members(bus);
  const a = await members.add("a");
  const receipt = await bus.post(work("wait", "well"));
  await until(() => members.begun === 1);
  await members.add("b");
  await until(() => members.begun === 2);
  members.release();
  await a.tell({ do: "close" });
  assert.deepEqual(await inTime(receipt.handled, "the end"), []);
});

Deno.test("A group whose last member leaves in order is no subscriber any more, and what it had is left", async () => {
  await using bus = open();
  let here = 0;
  bus.registerHandler(Event, () => here++);
  using members = new Members(bus);
  const a = await members.add("a");
  const receipt = await bus.post(work("wait", "well"));
  await until(() => members.begun === 1);
  await a.tell({ do: "close" });
  const failures = await inTime(receipt.handled, "the end");
  assert.deepEqual(
    failures.map(({ index, reason }) => [index, reason]).toSorted(),
    [[0, "left"], [1, "left"]],
  );
  const next = await bus.post(work("well"));
  assert.deepEqual(await inTime(next.handled, "the next"), []);
  // Whoever comes gets what was left.
  members.release();
  const b = await members.add("b");
  const again = await bus.post(work("well", "well"), {
    retries: [receipt.retry(0), receipt.retry(1)],
  });
  assert.deepEqual(await inTime(again.handled, "the retry"), []);
  assert.deepEqual((await b.seen()).work, [[0, 0], [1, 0]]);
  assert.equal(here, 3);
});

Deno.test("A group whose last member is lost waits for the next one, with all that was posted", async () => {
  await using bus = open();
  using members = new Members(bus);
  await members.add("a");
  const receipt = await bus.post(work("wait", "well"));
  await until(() => members.begun === 1);
  members.kill("a");
  await until(() => bus.subscribers === 0);
  const next = await bus.post(work("well"));
  members.release();
  const b = await members.add("b");
  assert.deepEqual(await inTime(receipt.handled, "the end"), []);
  assert.deepEqual(await inTime(next.handled, "the next"), []);
  assert.deepEqual((await b.seen()).work, [[0, 1], [1, 0], [0, 0]]);
});

Deno.test("A group that nobody joins again has dropped what it had, again and again, and never handled it", async () => {
  await using bus = open({ stallTimeout: 1 });
  using members = new Members(bus);
  await members.add("a");
  const receipt = await bus.post(work("block", "well"));
  await until(() => members.begun === 1);
  members.kill("a");
  const failures = await inTime(receipt.handled, "the end");
  assert.deepEqual(
    failures.map(({ index, reason }) => [index, reason]),
    [[0, "dropped"], [1, "dropped"]],
  );
  const retries = [receipt.retry(0), receipt.retry(1)];
  const again = await bus.post(work("well", "well"), { retries });
  const failed = await inTime(again.handled, "the retry");
  assert.deepEqual(failed.map(({ reason }) => reason), ["dropped", "dropped"]);
  const next = await bus.post(work("well"));
  assert.deepEqual(await inTime(next.handled, "the next"), []);
  members.release();
  const b = await members.add("b");
  const last = await bus.post(work("well", "well"), { retries });
  assert.deepEqual(await inTime(last.handled, "the last"), []);
  assert.deepEqual((await b.seen()).work, [[0, 0], [1, 0]]);
});

Deno.test("A member that stands still is dropped: another one gets its message, and it comes back", async () => {
  await using bus = open({ stallTimeout: 1 });
  using members = new Members(bus);
  await members.add("a");
  const receipt = await bus.post(work("block"));
  await until(() => members.begun === 1);
  await members.add("b");
  await until(() => members.begun === 2);
  members.release();
  assert.deepEqual(await inTime(receipt.handled, "the end"), []);
  await until(() => bus.subscribers === 2);
});

Deno.test("A member may post and wait, also when the group has no other member", async () => {
  await using bus = open();
  using members = new Members(bus);
  await members.add("a");
  const receipt = await bus.post(work("post", "post"));
  assert.deepEqual(await inTime(receipt.handled, "the end"), []);
  await until(() => members.begun === 4);
  // What it posts itself comes between what others post, or behind it.
  const { a } = await members.work();
  assert.deepEqual(new Set(a), new Set([0, 1, "after 0", "after 1"]));
});

Deno.test("Bus.post waits for a group that falls behind, and closing it waits until all is taken", async () => {
  const bus = open();
  using members = new Members(bus);
  await members.add("a");
  let isPosted = false;
  const posted = bus.post(work("wait", ...Array(2000).fill("well")));
  posted.then(() => isPosted = true);
  await until(() => members.begun === 1);
  await bus.ready();
  assert.equal(isPosted, false);
  const closed = bus.close();
  members.release();
  const receipt = await inTime(posted, "the post");
  await inTime(closed, "the end of the bus");
  const failures = await inTime(receipt.handled, "the end");
  // What it was busy with at the end is not heard of.
  assert.ok(failures.every(({ reason }) => reason === "left"));
  await until(() => members.begun === 2001);
});

Deno.test("What a plain listener posts goes to one member of each group", async () => {
  await using bus = open({ plain: true });
  using members = new Members(bus);
  await members.add("a");
  await members.add("b");
  const channel = new BroadcastChannel(bus.name);
  for (const event of work("well", "well", "well")) channel.postMessage(event);
  await until(() => members.begun === 3);
  await bus.post(work("well"));
  await bus.flush();
  channel.close();
  assert.equal(members.begun, 4);
});

Deno.test("Members of a group may be in the thread that posts, take messages by loops, and join on a bus that may end", async () => {
  const options = { deviceId: "hall", plain: false, daemon: true };
  await using bus = open(options);
  const seen: unknown[][] = [[], []];
  const buses = seen.map((numbers, i) => {
    const member = new Bus({ name: bus.name, ...options, group: "loops" });
    if (i === 0) {
      member.on({ type: "custom.Work" }, ({ args }) => numbers.push(args.n));
    } else {
      (async () => {
        for await (const message of member) {
          numbers.push((message as Event).args.n);
        }
      })();
    }
    return member;
  });
  for (const member of buses) await inTime(member.ready(), "a member");
  await bus.ready();
  const receipt = await bus.post(work(...WELL.slice(0, 4)));
  await until(() => seen.flat().length === 4);
  // The loop is through with a message when it asks for the next one.
  await inTime(receipt.handled, "the end");
  assert.deepEqual(seen.flat().toSorted(), [0, 1, 2, 3]);
  assert.ok(seen.every((numbers) => numbers.length > 0));
  for (const member of buses) await member.close();
});

Deno.test("Bus refuses a group without a name, and concurrency without a group", () => {
  assert.throws(() => new Bus({ group: "" }), {
    name: "TypeError",
    message: /`group` has to be a name of 1 to 64 bytes/,
  });
  assert.throws(() => new Bus({ group: "ä".repeat(33) }), TypeError);
  assert.throws(() => new Bus({ group: "work", concurrency: 0 }), RangeError);
  assert.throws(() => new Bus({ concurrency: 2 }), {
    name: "TypeError",
    message: /`concurrency` is for members of a group/,
  });
});

function compare(a: unknown, b: unknown): number {
  return Number(a) - Number(b);
}
