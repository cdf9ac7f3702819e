import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { BroadcastChannel } from "node:worker_threads";
import { type Bus, Event, type Message } from "../../src/bus/mod.ts";
import { encodeFrame } from "../../src/bus/frame.ts";
import type { WatchMemory } from "../../src/bus/link_memory.ts";
import { Ring, RingState } from "../../src/bus/ring.ts";
import { WatchingLink } from "../../src/bus/watch_link.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { until } from "../until.ts";
import { event, open } from "./buses.ts";
import { TestWorker } from "./test_worker.ts";
import { events } from "./worker_buses.ts";

function numberOf(message: Message | void): unknown {
  assert.ok(message instanceof Event);
  return message.args["n"];
}

Deno.test("Bus.watch shows what passes, and is no subscriber", async () => {
  await using bus = open();
  using watch = bus.watch();
  assert.equal(bus.subscribers, 0);
  const receipt = await bus.post([event(1), event(2)]);
  assert.deepEqual(await receipt.handled, []);
  assert.equal(numberOf((await watch.next()).value), 1);
  assert.equal(numberOf((await watch.next()).value), 2);
});

Deno.test("Bus.watch shows what other subscribers have failed with, and shows it once", async () => {
  await using bus = open();
  using watch = bus.watch();
  bus.registerHandler(Event, () => {
    throw new Error("no bulb");
  });
  const receipt = await bus.post(event(1));
  await receipt.handled;
  const again = await bus.post(event(1), { retries: [receipt.retry(0)] });
  await again.handled;
  await bus.post(event(2));
  assert.equal(numberOf((await watch.next()).value), 1);
  assert.equal(numberOf((await watch.next()).value), 2);
});

Deno.test("Bus.watch shows only events that meet its condition, with a type", async () => {
  await using bus = open();
  using watch = bus.watch<{ n: number }>({
    condition: { type: "custom.Number", n: { $gt: 1 } },
  });
  await bus.post([event(1), { type: "request", action: "light.on" }, event(2)]);
  const { value } = await watch.next();
  assert.ok(value);
  const n: number = value.args.n;
  assert.equal(n, 2);
});

Deno.test("Bus.watch skips what finds no room, and says so in its place", async () => {
  await using bus = open();
  const seen: string[] = [];
  using watch = bus.watch({
    limit: 4,
    onSkip: (count) => seen.push(`${count} skipped`),
  });
  const take = async (): Promise<void> => {
    seen.push(String(numberOf((await watch.next()).value)));
  };
  await bus.post([1, 2, 3, 4, 5, 6].map((n) => event(n)));
  await take();
  // Half of the window has to be free before there is room again.
  await bus.post(event(7));
  await take();
  await bus.post(event(8));
  await take();
  await take();
  await take();
  assert.deepEqual(seen, ["1", "2", "3", "4", "3 skipped", "8"]);
  assert.equal(watch.skipped, 3);
});

Deno.test("Bus.watch ends with its signal, its block, its loop and the bus", async () => {
  const bus = open();
  const end = new AbortController();
  const bySignal = bus.watch({ signal: end.signal });
  const waiting = bySignal.next();
  end.abort();
  assert.deepEqual(await waiting, { value: undefined, done: true });
  assert.ok((await bus.watch({ signal: end.signal }).next()).done);
  const left = bus.watch();
  await bus.post(event(1));
  for await (const message of left) {
    assert.equal(numberOf(message), 1);
    break;
  }
  assert.ok((await left.next()).done);
  const byBus = bus.watch().next();
  await bus.close();
  assert.ok((await byBus).done);
});

Deno.test("Bus.watch refuses what makes no sense", async () => {
  await using bus = open();
  assert.throws(() => bus.watch({ limit: 0 }), RangeError);
  assert.throws(() => bus.watch({ condition: [] as never }), TypeError);
  assert.throws(
    () => bus.watch({ limits: 5 } as Record<string, unknown>),
    /the nearest one is `limit`/,
  );
});

Deno.test("Bus.watch shows in every thread what any thread posts", async () => {
  await using bus = open({ plain: false });
  using elsewhere = await watching(bus);
  assert.equal(bus.subscribers, 0);
  await bus.post(events(3));
  await until(async () => (await elsewhere.seen()).shown.length === 3);
  assert.deepEqual((await elsewhere.seen()).shown, [0, 1, 2]);
  using watch = bus.watch();
  await bus.ready();
  await elsewhere.tell({ do: "post", count: 2, batch: 2, from: "there" });
  const { value } = await inTime(watch.next(), "what was posted there");
  assert.equal(numberOf(value), 0);
});

Deno.test("Bus.watch goes on in a thread that subscribes as well, and after that", async () => {
  await using bus = open({ plain: false });
  using elsewhere = await watching(bus);
  const shown = async (count: number): Promise<void> =>
    await until(async () => (await elsewhere.seen()).shown.length === count);
  await bus.post(events(1));
  await shown(1);
  await elsewhere.tell({ do: "listen" });
  await until(() => bus.subscribers === 1);
  await bus.post(events(2));
  await shown(3);
  await elsewhere.tell({ do: "unlisten" });
  await until(() => bus.subscribers === 0);
  await bus.post(events(3));
  await shown(6);
  assert.deepEqual((await elsewhere.seen()).shown, [0, 0, 1, 0, 1, 2]);
});

Deno.test("Bus.watch in a thread that stands still misses messages, is told, and keeps nobody waiting", async () => {
  await using bus = open({ plain: false });
  using elsewhere = await watching(bus);
  const release = await elsewhere.hold();
  const total = 100_000;
  const all = events(500);
  for (let n = 0; n < total; n += 500) await bus.post(all);
  release();
  await until(async () => {
    const { shown, skipped } = await elsewhere.seen();
    return shown.length + skipped === total;
  });
  const { skipped } = await elsewhere.seen();
  assert.ok(skipped > total / 2, `${skipped} were skipped`);
});

Deno.test("Bus.watch in a thread that stands still shows messages whose bytes are used again meanwhile", async () => {
  await using bus = open({ plain: false });
  bus.registerHandler(Event, () => {});
  using elsewhere = await watching(bus);
  await bus.post(event(0));
  await until(async () => (await elsewhere.seen()).shown.length === 1);
  const release = await elsewhere.hold();
  const args = { type: "custom.Image", n: 1, image: "x".repeat(2 ** 19) };
  // The bytes from Redis are a Buffer.
  const bytes = Buffer.from(JSON.stringify({ type: "event", args }));
  const receipt = await bus.post(bytes);
  assert.deepEqual(await receipt.handled, []);
  bytes.buffer.transfer(0);
  release();
  await until(async () => (await elsewhere.seen()).shown.length === 2);
  assert.deepEqual((await elsewhere.seen()).shown, [0, 1]);
});

Deno.test("Bus.watch of a thread that is terminated is of no concern to anybody", async () => {
  await using bus = open({ plain: false });
  {
    using elsewhere = await watching(bus);
    await bus.post(events(1));
    await until(async () => (await elsewhere.seen()).shown.length === 1);
  }
  const receipt = await bus.post(events(5000));
  assert.deepEqual(await receipt.handled, []);
  using another = await watching(bus);
  await bus.post(events(1));
  await until(async () => (await another.seen()).shown.length === 1);
});

async function watching(bus: Bus): Promise<TestWorker> {
  const worker = new TestWorker("watcher");
  await worker.tell({ do: "open", options: { name: bus.name } });
  await worker.tell({ do: "watch" });
  return worker;
}

Deno.test("Who watches leaves a link that brings what is no frame, and says so", async () => {
  const ring = new Ring(64, 1);
  ring.reset();
  // A record says its length, which is more than that.
  ring.write(Uint8Array.of(1, 0, 0, 0));
  const link = new WatchingLink({ use: 1, data: ring.buffer });
  const over = Promise.withResolvers<Error | undefined>();
  assert.ok(link.attach(() => Promise.resolve(), over.resolve));
  const error = await inTime(over.promise, "the link is over");
  assert.match(error!.message, /^A link has brought what is no frame: /);
  assert.equal(ring.state, RingState.Left);
});

Deno.test("Who watches does not blame the link for what is thrown by whoever takes a frame", async () => {
  const ring = new Ring(64, 1);
  ring.reset();
  for (const piece of encodeFrame(0, [], {})) ring.write(piece);
  const link = new WatchingLink({ use: 1, data: ring.buffer });
  const thrown = Promise.withResolvers<unknown>();
  const over: unknown[] = [];
  const onRejection = (event: PromiseRejectionEvent): void => {
    event.preventDefault();
    thrown.resolve(event.reason);
  };
  globalThis.addEventListener("unhandledrejection", onRejection);
  try {
    const error = new Error("no page");
    const isThere = link.attach(
      () => Promise.reject(error),
      () => over.push("over"),
    );
    assert.ok(isThere);
    assert.equal(await inTime(thrown.promise, "the error"), error);
    assert.deepEqual([over, ring.state], [[], RingState.Attached]);
  } finally {
    globalThis.removeEventListener("unhandledrejection", onRejection);
  }
});

/** Collects the links for watching that are offered on a bus. */
class Offers implements Disposable {
  readonly #rings = new Map<number, Ring>();
  readonly #channel: BroadcastChannel;

  constructor(bus: Bus) {
    this.#channel = new BroadcastChannel(`${bus.name}#control`);
    this.#channel.onmessage = (event) => {
      const { kind, memory } = (event as MessageEvent).data as {
        kind: string;
        memory: WatchMemory;
      };
      if (kind !== "view") return;
      this.#rings.set(memory.use, new Ring(memory.data, memory.use));
    };
  }

  /** Waits for so many links; gives the last one. */
  async ring(count: number): Promise<Ring> {
    await until(() => this.#rings.size === count);
    return [...this.#rings.values()].at(-1)!;
  }

  [Symbol.dispose](): void {
    this.#channel.close();
  }
}

Deno.test("Bus.watch goes on after a link that has brought what is no frame", async () => {
  const logger = new LineLogger();
  await using bus = open({ plain: false, logger });
  using offers = new Offers(bus);
  using watch = bus.watch();
  await bus.ready();
  using elsewhere = new TestWorker("poster");
  await elsewhere.tell({ do: "open", options: { name: bus.name } });
  const post = { do: "post", count: 1, batch: 1 } as const;
  await elsewhere.tell({ ...post, from: "before" });
  const { value: before } = await inTime(watch.next(), "what was posted");
  assert.equal((before as Event).args.from, "before");
  const broken = await offers.ring(1);
  broken.write(Uint8Array.of(1, 0, 0, 0));
  await logger.line(/^error: A link has brought what is no frame: /);
  await offers.ring(2);
  await elsewhere.tell({ ...post, from: "after" });
  const { value: after } = await inTime(watch.next(), "what came after");
  assert.equal((after as Event).args.from, "after");
  assert.equal(logger.lines.length, 1);
});

Deno.test("Bus.watch goes on when onSkip throws, here or by a link, and says so", async () => {
  const logger = new LineLogger();
  await using bus = open({ plain: false, logger, label: "page" });
  const errors: string[] = [];
  bus.addEventListener("error", (event) => {
    errors.push((event as ErrorEvent).message);
  });
  using offers = new Offers(bus);
  using watch = bus.watch({
    limit: 1,
    onSkip: (count) => {
      throw new Error(`no page for ${count}`);
    },
  });
  await bus.post([event(1), event(2), event(3)]);
  assert.equal(numberOf((await watch.next()).value), 1);
  const next = watch.next();
  await bus.post(event(4));
  assert.equal(numberOf((await next).value), 4);
  assert.deepEqual(errors, ["no page for 2"]);

  using elsewhere = new TestWorker("poster");
  await elsewhere.tell({ do: "open", options: { name: bus.name } });
  const post = { do: "post", from: "there", count: 1, batch: 1 } as const;
  await elsewhere.tell(post);
  assert.equal(numberOf((await inTime(watch.next(), "one")).value), 0);
  const ring = await offers.ring(1);
  for (const piece of encodeFrame(0, [], { skipped: 5 })) ring.write(piece);
  await until(() => errors.length === 2);
  await elsewhere.tell(post);
  assert.equal(numberOf((await inTime(watch.next(), "another")).value), 0);
  assert.equal(ring.state, RingState.Attached);
  assert.deepEqual(errors, ["no page for 2", "no page for 5"]);
  assert.deepEqual(
    logger.lines.filter((line) => !line.startsWith("debug")).map((line) =>
      line.replace(/, at file:.*/, "")
    ),
    errors.map((error) => `error: \`onSkip\` in "page" has failed: ${error}`),
  );
});
