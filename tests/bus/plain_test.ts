import assert from "node:assert/strict";
import { Bus, type BusOptions, Event } from "../../src/bus/mod.ts";
import type { Logger } from "../../src/logger.ts";
import { inTime } from "../in_time.ts";
import { until } from "../until.ts";
import { TestWorker } from "./test_worker.ts";

let names = 0;

function open(options: BusOptions = {}): Bus {
  return new Bus({
    name: `test/plain/${names++}`,
    deviceId: "hall",
    ...options,
  });
}

function event(n: number): Record<string, unknown> {
  return { type: "event", args: { type: "custom.Number", from: "main", n } };
}

/** A worker with a plain listener, which knows nothing of a bus. */
class PlainWorker implements Disposable {
  readonly #worker: Worker;

  private constructor(name: string) {
    const source = `
      let count = 0, disorder = 0, last = -1;
      const channel = new BroadcastChannel(${JSON.stringify(name)});
      channel.onmessage = ({ data }) => {
        if (data.args.n <= last) disorder++;
        count++;
        last = data.args.n;
      };
      onmessage = ({ data }) => {
        if (data === "report") postMessage({ count, disorder, last });
        else if (data instanceof SharedArrayBuffer) {
          postMessage("held");
          Atomics.wait(new Int32Array(data), 0, 0);
        } else channel.postMessage(data);
      };
      postMessage("ready");`;
    this.#worker = new Worker(
      `data:text/javascript,${encodeURIComponent(source)}`,
      {
        type: "module",
      },
    );
  }

  static async open(name: string): Promise<PlainWorker> {
    const worker = new PlainWorker(name);
    await worker.#reply();
    return worker;
  }

  post(data: unknown): void {
    this.#worker.postMessage(data);
  }

  /** Lets it stand still until it is released. */
  async hold(): Promise<() => void> {
    const gate = new Int32Array(new SharedArrayBuffer(4));
    this.#worker.postMessage(gate.buffer);
    await this.#reply();
    return () => {
      Atomics.store(gate, 0, 1);
      Atomics.notify(gate, 0);
    };
  }

  async seen(): Promise<{ count: number; disorder: number; last: number }> {
    this.#worker.postMessage("report");
    return await this.#reply() as {
      count: number;
      disorder: number;
      last: number;
    };
  }

  #reply(): Promise<unknown> {
    return new Promise((resolve) => {
      this.#worker.onmessage = ({ data }) => resolve(data);
    });
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

Deno.test("Bus gives plain listeners every message as the object on the wire", async () => {
  await using bus = open();
  const channel = new BroadcastChannel(bus.name);
  const received = new Promise((resolve) => {
    channel.onmessage = ({ data }) => resolve(data);
  });
  const message = Event.build({ ...event(1), _logging_level: 20 }, {
    deviceId: "hall",
  });
  await bus.post(message);
  const data = await received;
  assert.deepEqual(data, message.toJSON());
  assert.deepEqual(Object.getPrototypeOf(data), Object.prototype);
  channel.close();
});

Deno.test("Bus is paced so that a plain listener in a worker misses nothing, when it is alone", async () => {
  await using bus = open();
  using worker = await PlainWorker.open(bus.name);
  const round = 5000, batch = 500;
  let seen = { count: 0, disorder: 0, last: -1 };
  let sent = 0, missed = 0;
  // On a busy machine the worker may stand still for longer than Deno keeps
  // frames; unpaced, every round loses most of them.
  for (let rounds = 0; rounds < 20; rounds++) {
    const { count } = seen;
    const begin = performance.now();
    for (const end = sent + round; sent < end; sent += batch) {
      await bus.post(Array.from({ length: batch }, (_, i) => event(sent + i)));
    }
    // No faster than listeners are taken to keep up with.
    assert.ok(performance.now() - begin > (round - 64) / 20);
    await until(async () => (seen = await worker.seen()).last === sent - 1);
    missed = round - (seen.count - count);
    if (missed === 0) break;
  }
  assert.equal(missed, 0);
  assert.equal(seen.disorder, 0);
  assert.equal(bus.stats().plainSent, sent);
});

Deno.test("A plain listener that stands still misses messages, and nobody is told", async () => {
  await using bus = open();
  using worker = await PlainWorker.open(bus.name);
  const release = await worker.hold();
  await bus.post(Array.from({ length: 2000 }, (_, n) => event(n)));
  release();
  await bus.post(event(2000));
  await until(async () => (await worker.seen()).last === 2000);
  const { count } = await worker.seen();
  // The 256 frames that Deno keeps, and the one that came after.
  assert.ok(count <= 257, String(count));
  assert.equal(bus.stats().plainSent, 2001);
});

for (const isAlone of [true, false]) {
  Deno.test(
    `Bus reaches ${
      isAlone ? "lone plain listeners" : "plain listeners beside a handler"
    } also with what is posted right before it is closed`,
    async () => {
      const bus = open();
      if (!isAlone) bus.registerHandler(Event, () => {});
      using worker = await PlainWorker.open(bus.name);
      await bus.post([event(0), event(1)]);
      await bus.close();
      // A report may overtake what is on the channel.
      await until(async () => (await worker.seen()).count === 2);
    },
  );
}

Deno.test("Bus skips plain listeners rather than wait for them, when others subscribe", async () => {
  const notes: string[] = [];
  const quiet = () => {};
  const logger: Logger = {
    info: quiet,
    warn: quiet,
    error: quiet,
    debug: (t) => notes.push(t),
  };
  await using bus = open({ logger });
  let seen = 0;
  bus.registerHandler(Event, () => {
    seen++;
  });
  for (let round = 0; round < 2; round++) {
    await bus.post(Array.from({ length: 5000 }, (_, n) => event(n)));
  }
  await bus.flush();
  const { posted, plainSent, plainSkipped } = bus.stats();
  assert.equal(seen, 10_000);
  assert.equal(posted, 10_000);
  assert.equal(plainSent + plainSkipped, 10_000);
  assert.ok(plainSkipped > 0 && plainSent >= 64, `${plainSent} sent`);
  assert.equal(notes.length, 1);
});

Deno.test("Bus sends plain listeners few large messages, when others subscribe", async () => {
  await using bus = open();
  let seen = 0;
  bus.registerHandler(Event, () => {
    seen++;
  });
  const text = "x".repeat(2 ** 16);
  const large = Array.from({ length: 500 }, (_, n) => ({
    type: "event",
    args: { type: "custom.Number", n, text },
  }));
  const begin = performance.now();
  for (let round = 0; round < 4; round++) await bus.post(large);
  await bus.flush();
  const seconds = (performance.now() - begin) / 1000;
  assert.equal(seen, 2000);
  const { plainSent } = bus.stats();
  // A burst of 256 KiB, and what has become free until the flood began.
  assert.ok(plainSent <= 5 + 2 * seconds * 16, `${plainSent} sent`);
  assert.ok(plainSent >= 4, `${plainSent} sent`);
});

Deno.test("Bus gives plain listeners every message again when a flood is over", async () => {
  await using bus = open({});
  bus.registerHandler(Event, () => {});
  const flood = Array.from({ length: 5000 }, (_, n) => event(n));
  while (bus.stats().plainSkipped === 0) await bus.post(flood);
  const { plainSkipped } = bus.stats();
  // The allowance is one of messages in a time, so time has to pass. These are
  // fewer than go out in a flood: the allowance grows, and the flood is over.
  for (let n = 0; n < 40; n++) {
    await bus.post(event(n));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  assert.ok(bus.stats().plainSkipped - plainSkipped <= 1);
  // As many as go out at once, and again after a time for 20 more in a flood.
  const before = bus.stats().plainSent;
  await bus.post(flood.slice(0, 60));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await bus.post(flood.slice(0, 60));
  assert.equal(bus.stats().plainSent - before, 120);
});

Deno.test("Bus with plain: false sends nothing to plain listeners", async () => {
  await using bus = open({ plain: false });
  await using other = new Bus({ name: bus.name });
  const channel = new BroadcastChannel(bus.name);
  const seen: unknown[] = [];
  const last = new Promise<void>((resolve) => {
    channel.onmessage = ({ data }) => {
      seen.push(data.args.n);
      resolve();
    };
  });
  await bus.post(event(1));
  await other.post(event(2));
  await last;
  assert.deepEqual(seen, [2]);
  channel.close();
});

Deno.test("Bus takes what plain listeners post, once in every thread", async () => {
  await using bus = open();
  using subscriber = await TestWorker.listening("subscriber", bus);
  using plain = await PlainWorker.open(bus.name);
  const all = Promise.withResolvers<void>();
  const seen: unknown[] = [];
  bus.registerHandler(Event, ({ args: { n }, target, origin }) => {
    seen.push([n, target, origin]);
    if (seen.length === 3) all.resolve();
  });
  await bus.ready();
  for (const n of [0, 1, 2]) plain.post(event(n));
  await inTime(all.promise, "all messages");
  assert.deepEqual(seen, [0, 1, 2].map((n) => [n, "hall", "hall"]));
  await until(async () => (await subscriber.seen()).counts["main"]! >= 3);
  assert.deepEqual((await subscriber.seen()).counts, { main: 3 });
});

Deno.test("Bus delivers a message that a plain listener posts back a second time", async () => {
  await using bus = open();
  using subscriber = await TestWorker.listening("subscriber", bus);
  const channel = new BroadcastChannel(bus.name);
  channel.onmessage = ({ data }) => channel.postMessage(data);
  await bus.post(event(0));
  await until(async () => (await subscriber.seen()).counts["main"]! >= 2);
  assert.deepEqual((await subscriber.seen()).counts, { main: 2 });
  channel.close();
});

Deno.test("Bus warns when a plain listener posts no message, and goes on", async () => {
  const warned = Promise.withResolvers<string>();
  const quiet = () => {};
  const logger: Logger = {
    debug: quiet,
    info: quiet,
    error: quiet,
    warn: warned.resolve,
  };
  await using bus = open({ logger });
  await bus.ready();
  const seen = Promise.withResolvers<unknown>();
  bus.registerHandler(Event, ({ args }) => seen.resolve(args.n));
  const channel = new BroadcastChannel(bus.name);
  for (const rubbish of ["rubbish", 1, null, { type: "nonsense" }]) {
    channel.postMessage(rubbish);
  }
  channel.postMessage(event(7));
  assert.match(await warned.promise, /plain listener has posted no message/);
  assert.equal(await seen.promise, 7);
  channel.close();
});
