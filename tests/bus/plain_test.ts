import assert from "node:assert/strict";
import { Bus, type BusOptions, Event } from "../../src/bus/mod.ts";
import type { Logger } from "../../src/logger.ts";
import { LineLogger } from "../line_logger.ts";
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

/** A clock that stands still until it is told to go on. */
class StillClock implements Disposable {
  readonly #now = performance.now;
  #seconds = performance.now() / 1000;

  constructor() {
    performance.now = () => this.#seconds * 1000;
  }

  advance(seconds: number): void {
    this.#seconds += seconds;
  }

  [Symbol.dispose](): void {
    performance.now = this.#now;
  }
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

const text = "x".repeat(2 ** 16);
const large = {
  type: "event",
  args: { type: "custom.Image", n: 0, text },
};

/** Posts as many in a second, one at a time, and tells how many plain listeners have missed. */
async function missedOf(
  bus: Bus,
  clock: StillClock,
  seconds: number,
  rate: number,
  message: Record<string, unknown>,
): Promise<number> {
  const { plainSkipped } = bus.stats();
  for (let n = 0; n < seconds * rate; n++) {
    clock.advance(1 / rate);
    await bus.post(message);
  }
  return bus.stats().plainSkipped - plainSkipped;
}

Deno.test("Bus sends plain listeners 100 messages a second of a flood, when others subscribe", async () => {
  using clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  const flood = Array.from({ length: 500 }, (_, n) => event(n));
  await bus.post(flood);
  const { plainSent } = bus.stats();
  for (let n = 0; n < 200; n++) {
    clock.advance(0.01);
    await bus.post(flood);
  }
  const sent = bus.stats().plainSent - plainSent;
  assert.ok(Math.abs(sent - 200) <= 1, `${sent} sent in 2 s`);
});

Deno.test("Bus sends plain listeners few large messages of a flood, when others subscribe", async () => {
  using clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  const flood = Array.from({ length: 16 }, () => large);
  // However long it was quiet.
  clock.advance(10);
  await bus.post(flood);
  const { plainSent } = bus.stats();
  assert.ok(plainSent >= 4 && plainSent <= 6, `${plainSent} sent at once`);
  for (let n = 0; n < 20; n++) {
    clock.advance(0.1);
    await bus.post(flood);
  }
  const sent = bus.stats().plainSent - plainSent;
  assert.ok(sent >= 6 && sent <= 9, `${sent} sent in 2 s`);
});

Deno.test("Bus sends plain listeners nothing of a flood that is larger than a second's bytes", async () => {
  using clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  const args = { type: "custom.Image", image: text.repeat(16) };
  const image = { type: "event", args };
  const bytes = new TextEncoder().encode(JSON.stringify(image));
  await bus.post([image, image, bytes]);
  // What tells that it is a flood.
  assert.equal(bus.stats().plainSent, 1);
  assert.equal(await missedOf(bus, clock, 8, 20, image), 160);
  // That takes none of the room of what is smaller.
  await bus.post(Array.from({ length: 20 }, () => large));
  assert.equal(bus.stats().plainSent, 2);
});

Deno.test("Bus sends plain listeners less where many threads hear it", async () => {
  await using bus = open();
  bus.registerHandler(Event, () => {});
  using stack = new DisposableStack();
  for (let n = 0; n < 7; n++) {
    stack.use(await TestWorker.listening(`worker ${n}`, bus));
  }
  using clock = new StillClock();
  await missedOf(bus, clock, 1, 1, event(0));
  // Each of the first ones goes out where four threads hear it.
  await bus.post([large, large, large, large]);
  assert.equal(bus.stats().plainSkipped, 1);
  // 1 MiB a second in place of 2.
  const missed = await missedOf(bus, clock, 10, 20, large);
  assert.ok(missed >= 20, `${missed} missed`);
});

Deno.test("Bus sends plain listeners no less where one thread has many members of a group", async () => {
  await using stack = new AsyncDisposableStack();
  const bus = stack.use(open());
  bus.registerHandler(Event, () => {});
  for (let n = 0; n < 7; n++) {
    const member = stack.use(new Bus({ name: bus.name, group: "images" }));
    member.registerHandler(Event, () => {});
    await member.ready();
  }
  await until(() => bus.subscribers === 8);
  using clock = new StillClock();
  await missedOf(bus, clock, 1, 1, event(0));
  await bus.post([large, large, large, large]);
  assert.equal(bus.stats().plainSkipped, 0);
});

Deno.test("Bus sends plain listeners 2 MiB a second, however large messages are", async () => {
  using clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  const args = { type: "custom.Image", image: text.repeat(160) };
  const image = { type: "event", args };
  // One goes out at once; then 40 MiB in 20 s.
  const sent = 20 - await missedOf(bus, clock, 20, 1, image);
  assert.ok(sent >= 3 && sent <= 6, `${sent} sent`);
});

for (const where of ["this thread", "a worker"]) {
  Deno.test(`Bus gives plain listeners every message again when a flood is over, with a handler in ${where}`, async () => {
    await using bus = open();
    using _worker = where === "a worker"
      ? await TestWorker.listening("subscriber", bus)
      : undefined;
    if (where === "this thread") bus.registerHandler(Event, () => {});
    using clock = new StillClock();
    const flood = Array.from({ length: 500 }, (_, n) => event(n));
    for (let n = 0; n < 100; n++) {
      clock.advance(0.01);
      await bus.post(flood);
    }
    // A tenth of the allowance: the rest makes up for a second in 1.1.
    const meanwhile = await missedOf(bus, clock, 1.2, 2000, event(0));
    assert.ok(meanwhile > 0, "no flood");
    assert.equal(await missedOf(bus, clock, 1, 2000, event(0)), 0);
    // As many as ever go out at once.
    const { plainSent } = bus.stats();
    await bus.post(flood.slice(0, 60));
    assert.equal(bus.stats().plainSent - plainSent, 60);
  });
}

Deno.test("Bus gives plain listeners every large message again when a flood is over", async () => {
  using clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  for (let n = 0; n < 100; n++) {
    clock.advance(0.01);
    await bus.post(large);
  }
  assert.ok(await missedOf(bus, clock, 2, 8, large) > 0, "no flood");
  assert.equal(await missedOf(bus, clock, 2, 8, large), 0);
});

Deno.test("Bus gives plain listeners all that comes after more than they are taken to keep up with at once", async () => {
  using clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  await bus.post(Array.from({ length: 1000 }, (_, n) => event(n)));
  // Much less than a second was too much.
  await missedOf(bus, clock, 0.2, 4000, event(0));
  assert.equal(await missedOf(bus, clock, 1, 4000, event(0)), 0);
});

Deno.test("Bus gives plain listeners what comes at a home's pace beside images", async () => {
  using clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  const args = { type: "custom.Image", image: text.repeat(32) };
  for (let n = 0; n < 5; n++) {
    clock.advance(1);
    for (let n = 0; n < 4; n++) await bus.post({ type: "event", args });
    const { plainSkipped } = bus.stats();
    await bus.post(Array.from({ length: 8 }, (_, n) => event(n)));
    await missedOf(bus, clock, 1, 50, event(0));
    assert.equal(bus.stats().plainSkipped, plainSkipped);
  }
});

Deno.test("Bus looks only at the beginning of what plain listeners miss", async () => {
  using _clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  let looked = 0;
  const part = {
    get n() {
      return looked++;
    },
  };
  const list = Array.from({ length: 50_000 }, () => part);
  const event = new Event({ args: { type: "custom.List", list } });
  // One fills what may come at once, and one what may come in a flood.
  await bus.post([event, large]);
  assert.equal(bus.stats().plainSent, 2);
  looked = 0;
  await bus.post([event, event, event]);
  assert.equal(bus.stats().plainSkipped, 3);
  assert.ok(looked < 3 * 5000, `${looked} parts were looked at`);
});

Deno.test("Bus takes small messages for no flood because images came before them", async () => {
  using clock = new StillClock();
  await using bus = open();
  bus.registerHandler(Event, () => {});
  const args = { type: "custom.Image", image: text.repeat(5) };
  await bus.post([1, 2, 3].map(() => ({ type: "event", args })));
  // Less than a second's came, and half of it makes up for that.
  await missedOf(bus, clock, 0.5, 10, event(0));
  assert.equal(await missedOf(bus, clock, 1, 10, event(0)), 0);
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
  const logger = new LineLogger();
  await using bus = open({ logger });
  await bus.ready();
  const seen = Promise.withResolvers<unknown>();
  bus.registerHandler(Event, ({ args }) => seen.resolve(args.n));
  const channel = new BroadcastChannel(bus.name);
  for (const rubbish of ["rubbish", 1, null, { type: "nonsense" }]) {
    channel.postMessage(rubbish);
  }
  channel.postMessage(event(7));
  assert.equal(await seen.promise, 7);
  channel.close();
  assert.equal(logger.lines.length, 1, logger.lines.join("\n"));
  await bus.close();
  // A page that floods the channel does not flood the log.
  assert.deepEqual(
    logger.lines.map((line) =>
      line.replace(/: (?!What).*?(?=; so were|\.$)/, ": …")
    ),
    [
      "warn: What a plain listener has posted is no message: ….",
      "warn: What a plain listener has posted is no message: …; so were 2 before it.",
    ],
  );
});
