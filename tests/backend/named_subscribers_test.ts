import assert from "node:assert/strict";
import {
  Bus,
  diagnose,
  Event,
  pauseQueue,
  queueStatus,
  type RedisBackendOptions,
  resumeQueue,
} from "../../mod.ts";
import { calls } from "../calls.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { inTime } from "../in_time.ts";
import { Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { watchScripts } from "../redis/watch_scripts.ts";

const MISSED = `{${QUEUE}}:missed:lights`;

function message(n: number): string {
  return JSON.stringify({
    type: "event",
    target: "livingroom",
    args: { type: "custom.Count", n },
  });
}

/** Subscribes under a name, in this thread. */
function named(
  listener: Listener,
  subscriber: string,
  handler: (n: number) => unknown,
): Bus {
  const bus = new Bus({ name: listener.bus.name, subscriber, plain: false });
  bus.registerHandler(Event, ({ args }) => handler(Number(args.n)));
  return bus;
}

/** A backend with one subscriber that has no name, which notes what it gets. */
function open(
  server: TestServer,
  options: RedisBackendOptions = {},
): { listener: Listener; others: number[] } {
  const listener = new Listener(server, { retryPause: 0.01, ...options });
  const others: number[] = [];
  listener.bus.registerHandler(Event, ({ args }) => {
    others.push(Number(args.n));
  });
  return { listener, others };
}

/** A worker that subscribes as "lights". */
class NamedWorker implements Disposable {
  readonly seen: number[] = [];
  readonly #worker: Worker;
  readonly #ready = Promise.withResolvers<void>();

  constructor(bus: string) {
    this.#worker = new Worker(import.meta.resolve("./named_worker.ts"), {
      type: "module",
      name: JSON.stringify({ bus, subscriber: "lights" }),
    });
    this.#worker.onmessage = ({ data }) => {
      if (data === "ready") this.#ready.resolve();
      else this.seen.push(data[0]);
    };
  }

  async ready(): Promise<void> {
    await inTime(this.#ready.promise, "the worker is ready");
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

/** Starts with a subscriber "lights", which goes, and misses the first message. */
async function missFirst(
  server: TestServer,
  listener: Listener,
): Promise<void> {
  {
    await using _lights = named(listener, "lights", () => {});
    await listener.backend.start();
    await untilKnown(server);
  }
  await server.run("RPUSH", QUEUE, message(1));
  await until(async () => await server.run("LLEN", MISSED) === 1);
}

/** Waits until the server knows one named subscriber. */
async function untilKnown(server: TestServer): Promise<void> {
  await until(async () =>
    await server.run("HLEN", `{${QUEUE}}:subscribers`) === 1
  );
}

Deno.test("RedisBackend keeps for a named subscriber in a worker what it misses while it is away, and what it had at work, and gives others each message once", async () => {
  await using server = await TestServer.start();
  const { listener, others } = open(server);
  await using _ = listener;
  {
    using worker = new NamedWorker(listener.bus.name);
    await worker.ready();
    await listener.backend.start();
    await server.run("RPUSH", QUEUE, message(1), message(-2));
    await until(() => worker.seen.length === 2);
  }
  await server.run("RPUSH", QUEUE, message(3), message(4));
  await until(async () => await server.run("LLEN", MISSED) === 3);
  const { missed } = await queueStatus(server.args);
  assert.deepEqual(
    missed.map(({ subscriber, count }) => [subscriber, count]),
    [["lights", 3]],
  );
  assert.ok(missed[0]!.bytes! > 0);
  using worker = new NamedWorker(listener.bus.name);
  await until(() => worker.seen.length === 3);
  // What failed with it has paused: others passed it.
  assert.deepEqual(worker.seen.toSorted(), [-2, 3, 4]);
  assert.deepEqual(others, [1, -2, 3, 4]);
  assert.equal(await server.run("EXISTS", MISSED), 0);
});

Deno.test("RedisBackend lets a message that is too large to wait for a named subscriber push out no other", async () => {
  await using server = await TestServer.start();
  const { listener, others } = open(server, { maxMissedBytes: 10_000 });
  await using _ = listener;
  await missFirst(server, listener);
  const large = message(2).replace("{", `{${" ".repeat(20_000)}`);
  await server.run("RPUSH", QUEUE, large, message(3));
  await until(() => others.length === 3);
  await until(async () => await server.run("LLEN", MISSED) === 2);
  const seen: number[] = [];
  await using _lights = named(listener, "lights", (n) => seen.push(n));
  await until(() => seen.length === 2);
  assert.deepEqual(seen.toSorted(), [1, 3]);
});

Deno.test("RedisBackend gives a named subscriber what it had left in hand, also after it stopped, and nobody else", async () => {
  await using server = await TestServer.start();
  const first = open(server, { stopTimeout: 0.1 });
  const taken = Promise.withResolvers<void>();
  await using one = named(first.listener, "lights", () => {
    taken.resolve();
    return new Promise(() => {});
  });
  await first.listener.backend.start();
  await server.run("RPUSH", QUEUE, message(1));
  await inTime(taken.promise, "the message");
  await one.close();
  await until(async () => await server.run("LLEN", MISSED) === 1);
  const again = Promise.withResolvers<void>();
  await using other = named(first.listener, "lights", () => {
    again.resolve();
    return new Promise(() => {});
  });
  await inTime(again.promise, "the message");
  await first.listener[Symbol.asyncDispose]();
  await other.close();

  const second = open(server);
  await using _ = second.listener;
  await second.listener.backend.start();
  await until(async () => await server.run("LLEN", MISSED) === 1);
  const seen: number[] = [];
  await using _third = named(second.listener, "lights", (n) => seen.push(n));
  await until(() => seen.length === 1);
  await until(() => second.listener.backend.stats().inFlight === 0);
  assert.deepEqual([first.others, second.others], [[1], []]);
});

Deno.test("RedisBackend keeps what several named subscribers miss, and buries what fails with one of them", async () => {
  await using server = await TestServer.start();
  const { listener, others } = open(server, { maxDeliveries: 2 });
  await using _ = listener;
  const seen: Record<string, number[]> = { lights: [], radio: [] };
  for (const name of ["lights", "radio"]) {
    await named(listener, name, () => {}).close();
  }
  await using _radio = named(listener, "radio", (n) => {
    seen.radio!.push(n);
    if (n === 2) throw new Error("no reception");
  });
  {
    await using _lights = named(listener, "lights", () => {});
    await listener.backend.start();
    await until(async () =>
      await server.run("HLEN", `{${QUEUE}}:subscribers`) === 2
    );
  }
  await server.run("RPUSH", QUEUE, message(1), message(2), message(3));
  await until(() => listener.backend.stats().deadLettered === 1);
  await until(async () => await server.run("LLEN", MISSED) === 3);
  await using _lights = named(listener, "lights", (n) => {
    seen.lights!.push(n);
  });
  await until(() => seen.lights!.length === 3);
  assert.deepEqual(seen, { lights: [1, 2, 3], radio: [1, 2, 3, 2] });
  assert.deepEqual(others, [1, 2, 3]);
});

Deno.test("RedisBackend takes two buses of one name for one subscriber, which has handled a message when both have", async () => {
  await using server = await TestServer.start();
  const { listener, others } = open(server);
  await using _ = listener;
  const [one, two]: [number[], number[]] = [[], []];
  await using _one = named(listener, "lights", (n) => one.push(n));
  await using _two = named(listener, "lights", (n) => {
    if (two.push(n) === 1) throw new Error("no bulb");
  });
  await listener.backend.start();
  await server.run("RPUSH", QUEUE, message(1));
  await until(() => listener.backend.stats().delivered === 1);
  assert.deepEqual([one, two, others], [[1, 1], [1, 1], [1]]);
});

Deno.test("RedisBackend gives a named subscriber what a backend without it has taken", async () => {
  await using server = await TestServer.start();
  const { listener } = open(server, { heartbeatTimeout: 2 });
  await using _ = listener;
  const seen: number[] = [];
  await using _lights = named(listener, "lights", (n) => seen.push(n));
  await listener.backend.start();
  await untilKnown(server);
  const other = open(server, { heartbeatTimeout: 2 });
  await using _other = other.listener;
  await other.listener.backend.start();
  for (let n = 0; other.others.length === 0; n++) {
    const before = seen.length + other.others.length;
    await server.run("RPUSH", QUEUE, message(n));
    await until(() => seen.length + other.others.length > before);
  }
  const [missed] = other.others;
  await until(() => seen.includes(missed!));
});

Deno.test("RedisBackend lets the oldest of what a named subscriber has missed make room, and forgets who is away for too long, and says so", async () => {
  await using server = await TestServer.start();
  const { listener, others } = open(server, { maxMissed: 2, missedAge: 4 });
  await using _ = listener;
  {
    await using _lights = named(listener, "lights", () => {});
    await listener.backend.start();
    await untilKnown(server);
  }
  await server.run("RPUSH", QUEUE, message(1), message(2), message(3));
  await until(() => others.length === 3);
  await listener.logger.line(/^warn: 1 message that a named subscriber/);
  await listener.logger.line(/^warn: The subscriber "lights" .* is forgotten/);
  await until(async () =>
    await server.run("HLEN", `{${QUEUE}}:subscribers`) === 0
  );
  assert.equal(await server.run("EXISTS", MISSED), 0);
});

Deno.test("Bus refuses names of subscribers that are none, and more than a thread has room for", async () => {
  assert.throws(() => new Bus({ subscriber: "my lights" }), TypeError);
  assert.throws(() => new Bus({ subscriber: "a", group: "a" }), TypeError);
  const buses: Bus[] = [];
  try {
    assert.throws(() => {
      for (let n = 0; n < 5; n++) {
        const subscriber = `${n}`.repeat(64);
        buses.push(new Bus({ name: "test/names", subscriber }));
      }
    }, RangeError);
  } finally {
    for (const bus of buses) await bus.close();
  }
});

Deno.test("RedisBackend finds what a named subscriber has missed whom somebody has removed from the index", async () => {
  await using server = await TestServer.start();
  const now = String(Date.now() / 1000);
  const retry = btoa("- 0 =lights");
  await server.run(
    "RPUSH",
    MISSED,
    `${now} 1.0.0.0~${retry} ${message(1)}`,
  );
  const state = async (): Promise<unknown> =>
    (await queueStatus(server.args)).missed
      .map(({ subscriber, count, isIndexed }) => [
        subscriber,
        count,
        isIndexed,
      ]);
  assert.deepEqual(await state(), [["lights", 1, false]]);
  const findings = await Array.fromAsync(
    diagnose({ redisArgs: server.args, multicast: false }),
  );
  assert.ok(
    findings.some(({ message }) =>
      /^Somebody has removed subscribers .*:subscribers\.$/.test(message)
    ),
  );
  const { listener, others } = open(server);
  await using _ = listener;
  await listener.backend.start();
  await listener.logger.line(
    /^warn: Somebody has removed 1 subscriber of .*:subscribers, though messages wait/,
  );
  assert.deepEqual(await state(), [["lights", 1, true]]);
  const seen: number[] = [];
  await using _lights = named(listener, "lights", (n) => seen.push(n));
  await until(() => seen.length === 1);
  assert.deepEqual([seen, others], [[1], []]);
});

Deno.test("RedisBackend gives a named subscriber as it is what somebody has put aside by hand", async () => {
  await using server = await TestServer.start();
  const spaced = message(1).replaceAll(":", ": ");
  await server.run("RPUSH", MISSED, spaced, message(2));
  const { listener } = open(server);
  await using _ = listener;
  await listener.backend.start();
  const seen: number[] = [];
  await using _lights = named(listener, "lights", (n) => seen.push(n));
  await until(() => seen.length === 2);
  assert.deepEqual(seen, [1, 2]);
  assert.equal(listener.backend.stats().deadLettered, 0);
});

Deno.test("RedisBackend gives a named subscriber at once what it has missed in another process", async () => {
  await using server = await TestServer.start();
  // Nobody looks by the clock.
  const { listener } = open(server, { heartbeatTimeout: 3600 });
  await using _ = listener;
  const SUBSCRIBERS = `{${QUEUE}}:subscribers`;
  {
    await using _lights = named(listener, "lights", () => {});
    await listener.backend.start();
    await until(async () => await server.run("HLEN", SUBSCRIBERS) === 1);
  }
  await server.run("RPUSH", QUEUE, message(1));
  await until(async () => await server.run("LLEN", MISSED) === 1);
  await server.run("RENAME", MISSED, "elsewhere");
  await server.run("HSET", SUBSCRIBERS, "lights", "0");
  const seen: number[] = [];
  await using _lights = named(listener, "lights", (n) => seen.push(n));
  await until(async () =>
    await server.run("HGET", SUBSCRIBERS, "lights") !== "0"
  );
  assert.deepEqual(seen, []);
  // Now another process puts it aside.
  await server.run("RENAME", "elsewhere", MISSED);
  await until(() => seen.length === 1);
  assert.deepEqual(seen, [1]);
});

Deno.test("RedisBackend keeps what a named subscriber has missed although the clocks of those who put it aside differ by days", async () => {
  await using server = await TestServer.start();
  const now = Date.now;
  using _clock = { [Symbol.dispose]: () => void (Date.now = now) };
  const seen: number[] = [];
  {
    const { listener } = open(server);
    await using _ = listener;
    {
      await using _lights = named(listener, "lights", () => {});
      await listener.backend.start();
      await untilKnown(server);
    }
    for (const days of [-2, 2]) {
      Date.now = () => now() + days * 86_400_000;
      await server.run("RPUSH", QUEUE, message(days));
      await until(async () => await server.run("EXISTS", QUEUE) === 0);
      await until(async () => await server.run<number>("LLEN", MISSED) >= 1);
    }
    Date.now = now;
  }
  assert.equal(await server.run("LLEN", MISSED), 2);
  const { listener } = open(server);
  await using _ = listener;
  await using _lights = named(listener, "lights", (n) => seen.push(n));
  await listener.backend.start();
  await until(() => seen.length === 2);
  assert.deepEqual(seen, [-2, 2]);
});

for (const state of ["full", "stopping"] as const) {
  Deno.test(`RedisBackend leaves what a named subscriber has missed where it is while it is ${state}`, async () => {
    const COUNT = 50;
    await using server = await TestServer.start();
    await using listener = new Listener(server, {
      heartbeatTimeout: 3600,
      stopTimeout: 3600,
      ...(state === "full" && { batchSize: 1, maxInFlight: 1 }),
    });
    const { backend } = listener;
    const blocked = async (): Promise<boolean> =>
      /^blocked_clients:1\r?$/m.test(await server.run("INFO", "clients"));
    const seen: number[] = [];
    const hanging = Promise.withResolvers<void>();
    await using _lights = named(listener, "lights", (n) => {
      seen.push(n);
      return hanging.promise;
    });
    await backend.start();
    await server.run("RPUSH", QUEUE, message(0));
    await until(() => seen.length === 1);
    if (state === "stopping") await until(blocked);
    const stopping = state === "stopping" ? backend.stop() : undefined;
    await until(async () => !await blocked());
    {
      const { listener: other, others } = open(server);
      await using _ = other;
      await other.backend.start();
      for (let n = 1; n <= COUNT; n++) {
        await server.run("RPUSH", QUEUE, message(n));
        await until(() => others.length >= n);
      }
      await until(async () => await server.run("LLEN", MISSED) === COUNT);
      assert.equal(other.backend.stats().received, COUNT);
    }
    hanging.resolve();
    await stopping;
    if (state === "stopping") {
      assert.equal(await server.run("LLEN", MISSED), COUNT);
      return;
    }
    await until(() => seen.length > COUNT);
    assert.deepEqual(seen, Array.from({ length: COUNT + 1 }, (_, n) => n));
  });
}

/** Counts the commands that the server has run, also within scripts. */
async function commands(server: TestServer): Promise<number> {
  const { info: _, ...counts } = await calls(server);
  return Object.values(counts).reduce((sum, one) => sum + one);
}

Deno.test("RedisBackend leaves what a named subscriber has missed where it is while the queue is paused", async () => {
  await using server = await TestServer.start();
  const { listener } = open(server, { heartbeatTimeout: 3600 });
  await using _ = listener;
  await missFirst(server, listener);
  await pauseQueue(server.args, { queue: QUEUE });
  await server.run("HSET", `{${QUEUE}}:subscribers`, "lights", "0");
  const seen: number[] = [];
  await using _lights = named(listener, "lights", (n) => seen.push(n));
  await until(async () =>
    await server.run("HGET", `{${QUEUE}}:subscribers`, "lights") !== "0"
  );
  assert.equal(await server.run("LLEN", MISSED), 1);
  await resumeQueue(server.args, { queue: QUEUE });
  await until(() => seen.length === 1);
});

for (const isTold of [true, false]) {
  const how = isTold ? "" : ", also where the server may not tell";
  Deno.test(`RedisBackend puts messages aside for who is named while it is running${how}`, async () => {
    await using server = await TestServer.start();
    if (!isTold) {
      await server.run("ACL", "SETUSER", "default", "-client|tracking");
    }
    // Without news, others hear of a name with a heartbeat.
    const options = { heartbeatTimeout: isTold ? 3600 : HEARTBEAT };
    await using stack = new AsyncDisposableStack();
    const [one, two] = [open(server, options), open(server, options)];
    for (const { listener } of [one, two]) {
      stack.use(listener);
      await listener.backend.start();
    }
    const seen: number[] = [];
    stack.use(named(one.listener, "lights", (n) => seen.push(n)));
    let n = 0;
    await until(async () => {
      await server.run("RPUSH", QUEUE, message(n++));
      return two.others.some((n) => seen.includes(n));
    });
  });
}

Deno.test("RedisBackend gives named subscribers of several processes each message with few commands, and once", async () => {
  const COUNT = 20;
  await using server = await TestServer.start();
  await using stack = new AsyncDisposableStack();
  const seen: Record<string, number[]> = { lights: [], radio: [], heater: [] };
  // All have been there before, so that they are known from the start.
  const known = Object.keys(seen).flatMap((name) => [name, `${Date.now()}`]);
  await server.run("HSET", `{${QUEUE}}:subscribers`, ...known);
  for (const [name, numbers] of Object.entries(seen)) {
    // Nobody looks by the clock.
    const { listener } = open(server, { heartbeatTimeout: 3600 });
    stack.use(listener);
    stack.use(named(listener, name, (n) => numbers.push(n)));
    await listener.backend.start();
  }
  const all = () => Object.values(seen);
  const push = async (n: number) => {
    await server.run("RPUSH", QUEUE, message(n));
    await until(() => all().every((numbers) => numbers.includes(n)));
  };
  await push(0);
  const before = await commands(server);
  for (let n = 1; n <= COUNT; n++) await push(n);
  const count = await commands(server) - before;
  assert.ok(count < 100 * COUNT, `${count} commands for ${COUNT} messages`);
  const expected = Array.from({ length: COUNT + 1 }, (_, n) => n);
  for (const numbers of all()) {
    assert.deepEqual(numbers.toSorted((a, b) => a - b), expected);
  }
});

Deno.test("RedisBackend takes what a named subscriber has missed by one script, and one more when it is put aside", async () => {
  const COUNT = 20;
  await using server = await TestServer.start();
  await using stack = new AsyncDisposableStack();
  const seen: Record<string, number[]> = { lights: [], radio: [] };
  const known = Object.keys(seen).flatMap((name) => [name, `${Date.now()}`]);
  await server.run("HSET", `{${QUEUE}}:subscribers`, ...known);
  for (const [name, numbers] of Object.entries(seen)) {
    const { listener } = open(server, { heartbeatTimeout: 3600 });
    stack.use(listener);
    stack.use(named(listener, name, (n) => numbers.push(n)));
    await listener.backend.start();
  }
  const push = async (n: number) => {
    await server.run("RPUSH", QUEUE, message(n));
    await until(() =>
      Object.values(seen).every((numbers) => numbers.includes(n))
    );
  };
  await push(0);
  const scripts = await watchScripts(server, async () => {
    for (let n = 1; n <= COUNT; n++) await push(n);
    // What would be asked for in vain is asked for soon.
    await push(COUNT + 1);
  });
  const asked = scripts.filter((script) => script.has("LLEN"));
  assert.ok(
    asked.length <= 2 * (COUNT + 1) + 2,
    `${asked.length} scripts for ${COUNT + 1} messages`,
  );
});

Deno.test("RedisBackend asks for nothing because a named subscriber is away", async () => {
  await using server = await TestServer.start();
  // It beats each two seconds.
  const { listener } = open(server, { heartbeatTimeout: 5 });
  await using _ = listener;
  await missFirst(server, listener);
  const beatTwice = async () => {
    const { set = 0 } = await calls(server);
    await until(async () => (await calls(server)).set! >= set + 2);
    return await calls(server);
  };
  const { exists, hgetall } = await beatTwice();
  await server.run("RPUSH", QUEUE, message(2));
  await until(async () => await server.run("LLEN", MISSED) === 2);
  const after = await beatTwice();
  // One came with the message.
  assert.deepEqual([after.exists, after.hgetall], [exists! + 1, hgetall]);
});

Deno.test("RedisBackend moves a message to the list of one that it has put aside", async () => {
  const COUNT = 20;
  await using server = await TestServer.start();
  const { listener, others } = open(server, { heartbeatTimeout: 3600 });
  await using _ = listener;
  await missFirst(server, listener);
  const before = await calls(server);
  for (let n = 2; n <= COUNT; n++) {
    const whole = { id: `id${n}`, _timestamp: Date.now() / 1000 };
    const text = JSON.stringify({ ...whole, ...JSON.parse(message(n)) });
    await server.run("RPUSH", QUEUE, text);
    await until(async () => await server.run("LLEN", MISSED) === n);
  }
  assert.equal(others.length, COUNT);
  const announced = (await calls(server)).hset! - before.hset!;
  assert.ok(announced <= 2, `${announced} lists were announced`);
});

Deno.test("RedisBackend gives a named subscriber what others put aside where the server may not tell of it", async () => {
  await using server = await TestServer.start();
  await server.run("ACL", "SETUSER", "default", "-client|tracking");
  // No heartbeat brings the news.
  const { listener } = open(server, { heartbeatTimeout: 3600 });
  await using _ = listener;
  const seen: number[] = [];
  await using _lights = named(listener, "lights", (n) => seen.push(n));
  await listener.backend.start();
  await untilKnown(server);
  const now = String(Date.now() / 1000);
  const retry = btoa("- 0 =lights");
  await server.run("RPUSH", MISSED, `${now} 1.0.0.0~${retry} ${message(1)}`);
  await until(() => seen.length === 1);
});

Deno.test("RedisBackend puts a message aside for many named subscribers with few commands for each", async () => {
  const COUNT = 50;
  await using server = await TestServer.start();
  const names = Array.from({ length: COUNT }, (_, n) => `away${n}`);
  const known = names.flatMap((name) => [name, `${Date.now()}`]);
  await server.run("HSET", `{${QUEUE}}:subscribers`, ...known);
  const { listener } = open(server, { heartbeatTimeout: 3600 });
  await using _ = listener;
  await listener.backend.start();
  const scripts = await watchScripts(server, async () => {
    for (const n of [1, 2]) {
      await server.run("RPUSH", QUEUE, message(n));
      for (const name of names) {
        const list = `{${QUEUE}}:missed:${name}`;
        await until(async () => await server.run("LLEN", list) === n);
      }
    }
  });
  const [one, two] = scripts.filter((script) => script.has("RPUSH"))
    .map((script) => [...script.values()].flat().length);
  assert.ok(one! < 2 * COUNT + 20, `${one} commands`);
  assert.ok(two! < COUNT + 20, `${two} commands`);
  // Where the server tracks all lists, each command that reads makes it do so anew.
  const stats = String(await server.run("INFO", "stats"));
  const [, tracked] = /^tracking_total_keys:(\d+)/m.exec(stats)!;
  assert.ok(Number(tracked) < COUNT, `${tracked} keys`);
});
