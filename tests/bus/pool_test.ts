import assert from "node:assert/strict";
import { type Bus, pool, type PoolOptions } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { runProgram } from "../programs.ts";
import { until } from "../until.ts";
import { open } from "./worker_buses.ts";

/** The address of a module beside this one, with the name of a bus for it. */
function address(file: string, bus?: Bus): URL {
  const url = new URL(file, import.meta.url);
  if (bus !== undefined) url.searchParams.set("bus", bus.name);
  return url;
}

function options(logger: LineLogger): PoolOptions {
  return { size: 2, name: "test", logger };
}

function work(how: string): Record<string, unknown> {
  return { type: "event", args: { type: "custom.Work", how } };
}

Deno.test("pool starts workers, and what they are busy with at its end is left", async () => {
  const logger = new LineLogger();
  await using bus = open();
  const workers = pool(address("pool_worker.ts", bus), options(logger));
  await inTime(workers.ready(), "the pool");
  assert.equal(bus.subscribers, 2);
  const names: unknown[] = [];
  bus.on({ type: "custom.Begun" }, ({ args }) => names.push(args.name));
  const receipt = await bus.post([work("well"), work("wait"), work("wait")]);
  await until(() => names.length === 2);
  assert.deepEqual(names.toSorted(), ["test 1", "test 2"]);
  await inTime(workers.close(), "the end");
  const failures = await inTime(receipt.handled, "the messages");
  assert.deepEqual(
    failures.map(({ index, reason }) => [index, reason]).toSorted(),
    [[1, "left"], [2, "left"]],
  );
  assert.equal(workers.restarts, 0);
  assert.deepEqual(logger.lines, []);
  await assert.rejects(workers.ready(), /The pool was closed/);
});

for (
  const [how, reason] of [
    ["throw", "TypeError: no light bulb, at file://.*pool_worker.ts.*"],
    ["close", "it has closed itself"],
  ]
) {
  Deno.test(`pool starts a worker again that has ended (${how}), and its message goes to another one`, async () => {
    const logger = new LineLogger();
    await using bus = open();
    await using workers = pool(
      address("pool_worker.ts", bus),
      options(logger),
    );
    await inTime(workers.ready(), "the pool");
    const receipt = await bus.post([work(how!)]);
    assert.deepEqual(await inTime(receipt.handled, "the message"), []);
    await until(() => workers.restarts === 1);
    await until(() => bus.subscribers === 2);
    assert.match(
      logger.lines.join("\n"),
      new RegExp(
        `^error: The worker "test [12]" has ended: ${reason}; it ` +
          String.raw`starts again in 0\.\d s\.$`,
      ),
    );
  });
}

Deno.test("pool says less often what happens again and again", async () => {
  const logger = new LineLogger();
  await using workers = pool(
    'data:application/javascript,throw new Error("at once")',
    { ...options(logger), size: 4 },
  );
  await until(() => workers.restarts >= 12);
  const lines = logger.lines.filter((line) => line.includes("has ended"));
  assert.ok(lines.length >= 1 && lines.length <= 6, lines.join("\n"));
});

Deno.test("pool starts a module again that has thrown no Error, but a text", async () => {
  const logger = new LineLogger();
  await using workers = pool(
    'data:application/javascript,throw "Module not found"',
    { ...options(logger), size: 1 },
  );
  await until(() => workers.restarts >= 1);
  assert.match(logger.lines[0]!, /has ended: "Module not found"; it starts/);
});

for (const file of ["nowhere.ts", "nowhere_worker.ts"]) {
  Deno.test(`pool tells at once of a module that cannot be loaded: ${file}`, async () => {
    const logger = new LineLogger();
    const url = file === "nowhere.ts"
      ? address(file)
      : `data:application/javascript,import "${address("nowhere.ts")}"`;
    await using workers = pool(url, options(logger));
    await assert.rejects(
      inTime(workers.ready(), "its error"),
      // A run that checks types does not say more.
      /Cannot start the workers of .*nowhere\.ts.*: (Module not found "file:.*nowhere\.ts"|Type checking failed).*import\.meta\.resolve/,
    );
    assert.equal(workers.restarts, 0);
    assert.equal(logger.lines.length, 1);
  });
}

Deno.test("pool tells in one sentence of an address that no module can have", async () => {
  await using workers = pool("node:fs", options(new LineLogger()));
  await assert.rejects(
    inTime(workers.ready(), "its error"),
    /: Unsupported scheme "node" for module "node:fs"\. Mend the module/,
  );
});

Deno.test("pool tells at once of a name that a module does not export", async () => {
  const logger = new LineLogger();
  const module = import.meta.resolve("./worker_buses.ts");
  await using workers = pool(
    `data:application/javascript,import { nothing } from "${module}"`,
    options(logger),
  );
  await assert.rejects(
    inTime(workers.ready(), "its error"),
    /Cannot start the workers of .*does not provide an export named 'nothing'/,
  );
  assert.equal(workers.restarts, 0);
  assert.equal(logger.lines.length, 1);
});

Deno.test("pool waits for a worker that opens its Bus late, and starts it again as any other", async () => {
  const logger = new LineLogger();
  await using bus = open();
  const url = address("pool_worker.ts", bus);
  url.searchParams.set("late", "hello");
  await using workers = pool(url, options(logger));
  await inTime(workers.ready(), "the pool");
  assert.equal(bus.subscribers, 2);
  const receipt = await bus.post([work("close")]);
  assert.deepEqual(await inTime(receipt.handled, "the message"), []);
  await until(() => workers.restarts === 1 && bus.subscribers === 2);
  assert.match(
    logger.lines.join("\n"),
    /^error: The worker "test [12]" has ended: it has closed itself; it starts.*$/,
  );
});

Deno.test("pool stops a worker that opens its Bus only then", async () => {
  await using bus = open();
  const url = address("pool_worker.ts", bus);
  url.searchParams.set("late", "stop");
  const workers = pool(url, { size: 1, stopTimeout: 1e6 });
  await inTime(workers.close(), "the end");
});

Deno.test("pool starts a worker again that closes itself before its first Bus, and stops at once", async () => {
  const logger = new LineLogger();
  await using bus = open();
  const url = address("pool_worker.ts", bus);
  url.searchParams.set("only", "test 1");
  url.searchParams.set("close", "");
  const workers = pool(url, { ...options(logger), stopTimeout: 1e6 });
  await inTime(until(() => workers.restarts >= 2), "another start");
  assert.match(
    logger.lines[0]!,
    /^error: The worker "test 2" has ended: it has closed itself; it starts/,
  );
  await inTime(workers.close(), "the end");
  assert.equal(bus.subscribers, 0);
});

Deno.test("pool says once how many workers open no Bus", async () => {
  const logger = new LineLogger();
  await using bus = open();
  const url = address("pool_worker.ts", bus);
  url.searchParams.set("only", "test 1");
  using minute = new Minute();
  await using _workers = pool(url, {
    ...options(logger),
    size: 3,
    stopTimeout: 0.1,
  });
  await until(async () => {
    // The pool waits for the end of one that has a Bus.
    const { pending } = await locks.query();
    return pending.some(({ name }) => name.startsWith("platypush/pool#"));
  });
  minute.end();
  await logger.line(
    /^warn: 2 of 3 workers have opened no Bus yet, 60 s after .*look at what file:/,
  );
  assert.equal(logger.lines.length, 1);
});

const { locks } = navigator as unknown as {
  locks: { query(): Promise<{ pending: { name: string }[] }> };
};

/** Lets the timers of a minute that are set meanwhile go off when a test says so. */
class Minute implements Disposable {
  readonly #setTimeout = globalThis.setTimeout;
  readonly #due: (() => void)[] = [];

  constructor() {
    globalThis.setTimeout = ((call: () => void, delay?: number) => {
      if (delay === 60_000) this.#due.push(call);
      return this.#setTimeout(call, delay);
    }) as typeof setTimeout;
  }

  end(): void {
    for (const call of this.#due.splice(0)) call();
  }

  [Symbol.dispose](): void {
    globalThis.setTimeout = this.#setTimeout;
  }
}

Deno.test("pool stops when its signal is aborted", async () => {
  await using bus = open();
  const stop = new AbortController();
  await using workers = pool(address("pool_worker.ts", bus), {
    size: 1,
    signal: stop.signal,
  });
  await inTime(workers.ready(), "the pool");
  stop.abort();
  await until(() => bus.subscribers === 0);
});

Deno.test("pool starts no worker when its signal is aborted already", async () => {
  const workers = pool("data:application/javascript,", {
    signal: AbortSignal.abort(),
    stopTimeout: 1e6, // One without a bus would be waited for.
  });
  await assert.rejects(workers.ready(), /The pool was closed/);
  await inTime(workers.close(), "the end");
});

Deno.test("pool refuses an address that is relative, and options that are none", () => {
  assert.throws(() => pool("./pool_worker.ts"), {
    name: "TypeError",
    message: /give import\.meta\.resolve\("\.\/pool_worker\.ts"\)/,
  });
  const url = address("pool_worker.ts");
  assert.throws(() => pool(url, { size: 0 }), RangeError);
  assert.throws(() => pool(url, { sise: 2 } as PoolOptions), {
    name: "TypeError",
    message: /`size`/,
  });
});

Deno.test("The workers of a pool may do no more than `permissions` says", async () => {
  const tell = async (permissions: unknown): Promise<string> => {
    const { stdout, stderr } = await runProgram(
      ["tests/bus/limited_pool.ts", JSON.stringify(permissions)],
      { permissions: ["-A", "--unstable-worker-options"] },
    );
    return stdout || stderr;
  };
  const some = { read: true, net: false, env: false };
  assert.equal(await tell("none"), '["prompt","prompt","prompt"]\n');
  assert.match(await tell(some), /^\["granted","(prompt|denied)"/);
  assert.equal(await tell("inherit"), '["granted","granted","granted"]\n');
});
