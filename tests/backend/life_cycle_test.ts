import assert from "node:assert/strict";
import { Backend, type BackendOptions, Event } from "../../mod.ts";
import { LineLogger } from "../line_logger.ts";

class Looping extends Backend {
  readonly calls: number[] = [];
  readonly steps: string[] = [];
  work: () => unknown = () => {};

  override loop(): unknown {
    this.calls.push(performance.now());
    this.steps.push("loop");
    return this.work();
  }

  protected override enter(): void {
    this.steps.push("enter");
  }

  protected override leave(): void {
    this.steps.push("leave");
  }

  override onStop(): void {
    this.steps.push("onStop");
  }
}

function looping(options: BackendOptions = {}): {
  backend: Looping;
  logger: LineLogger;
} {
  const logger = new LineLogger();
  return { backend: new Looping({ logger, ...options }), logger };
}

Deno.test("Backend calls loop() again and again, pollSeconds apart", async () => {
  const { backend } = looping({ pollSeconds: 0.05 });
  const third = Promise.withResolvers<void>();
  backend.work = () => backend.calls.length === 3 && third.resolve();
  await backend.start();
  await third.promise;
  await backend.stop();
  const [first, second, last] = backend.calls;
  assert.ok(second! - first! >= 45 && last! - second! >= 45);
  assert.equal(backend.calls.length, 3);
  assert.deepEqual(backend.steps, [
    "enter",
    "loop",
    "loop",
    "loop",
    "onStop",
    "leave",
  ]);
});

Deno.test("Backend logs an error in loop() and enters again after a pause", async () => {
  const { backend, logger } = looping({ pollSeconds: 0.02 });
  const again = Promise.withResolvers<void>();
  backend.work = () => {
    if (backend.calls.length === 1) throw new Error("no bulb");
    again.resolve();
  };
  await backend.start();
  await again.promise;
  await backend.stop();
  assert.deepEqual(backend.steps.slice(0, 4), [
    "enter",
    "loop",
    "leave",
    "enter",
  ]);
  assert.ok(logger.lines.includes("error: Looping: loop() failed: no bulb."));
});

Deno.test("Backend tries to enter until it works, and can be stopped meanwhile", async () => {
  const { backend, logger } = looping({ pollSeconds: 0.01 });
  let entered = 0;
  Object.assign(backend, {
    enter: () => {
      if (++entered > 1) throw new Error("locked");
    },
  });
  backend.work = () => Promise.reject(new Error("no bulb"));
  await backend.start();
  await logger.line(/enter\(\) failed: locked/);
  await backend.stop();
  assert.equal(backend.calls.length, 1);
  assert.equal(backend.isAlive(), false);
});

Deno.test("Backend starts once", async () => {
  const { backend } = looping();
  await backend.start();
  await assert.rejects(
    backend.start(),
    /Cannot start the backend: it has already been started/,
  );
  await backend.stop();
  await assert.rejects(backend.start(), /it has been stopped; make a new one/);
});

Deno.test("Backend does not start after it was stopped", async () => {
  const { backend } = looping();
  await backend.stop();
  await assert.rejects(backend.start(), /it has been stopped/);
  await assert.rejects(backend.join(), /it has not been started/);
});

Deno.test("Backend rejects the start when it cannot enter", async () => {
  const { backend } = looping();
  Object.assign(backend, {
    enter: () => Promise.reject(new Error("locked")),
  });
  await assert.rejects(backend.start(), /locked/);
  assert.equal(backend.isAlive(), false);
  assert.equal(await backend.join(), true);
  await backend.stop();
});

Deno.test("Backend rejects the start when it is stopped meanwhile", async () => {
  const { backend } = looping();
  const entering = Promise.withResolvers<void>();
  Object.assign(backend, { enter: () => entering.promise });
  const starting = backend.start();
  const stopping = backend.stop();
  entering.resolve();
  await assert.rejects(starting, { name: "AbortError" });
  await stopping;
  assert.equal(backend.calls.length, 0);
});

Deno.test("Backend runs what a class defines as run()", async () => {
  class Running extends Backend {
    ended = false;
    override async run(): Promise<void> {
      await this.waitStop();
      this.ended = true;
    }
  }
  const backend = new Running();
  await backend.start();
  assert.equal(backend.isAlive(), true);
  assert.equal(await backend.join(0.02), false);
  await backend.stop();
  assert.equal(backend.ended, true);
  assert.equal(await backend.join(), true);
});

Deno.test("Backend without run() and loop() finishes at once", async () => {
  const backend = new Backend();
  await backend.start();
  assert.equal(await backend.join(1), true);
  assert.equal(backend.isAlive(), false);
  await backend.stop();
});

Deno.test("Backend logs an error in run(), whatever it is", async () => {
  let thrown: unknown;
  class Failing extends Backend {
    override run(): Promise<void> {
      return Promise.reject(thrown);
    }
  }
  const revoked = Proxy.revocable({}, {});
  revoked.revoke();
  const cases: [unknown, string][] = [
    [new Error("no power"), "no power"],
    ["no bulb", "no bulb"],
    [{ message: "no bulb", code: 5 }, "no bulb"],
    [{ code: 5, token: "s3cret" }, "An object was thrown that is no Error"],
    [
      Object.create(null),
      "Something was thrown that cannot be shown as text",
    ],
    [Object.assign(new Error("dark"), { stack: Object.create(null) }), "dark"],
    [revoked.proxy, "Something was thrown that cannot be shown as text"],
  ];
  for (const [reason, text] of cases) {
    thrown = reason;
    const logger = new LineLogger();
    const backend = new Failing({ logger });
    await backend.start();
    assert.equal(await backend.join(10), true);
    assert.equal(logger.lines[0], `error: Failing: run() failed: ${text}.`);
    await backend.stop();
  }
});

Deno.test("Backend tells who waits for it that it is to stop", async () => {
  const { backend } = looping({ pollSeconds: 1000 });
  await backend.start();
  assert.equal(backend.shouldStop(), false);
  assert.equal(await backend.waitStop(0.01), false);
  const waiting = backend.waitStop();
  const stopping = backend.stop();
  assert.equal(await waiting, true);
  assert.equal(await backend.waitStop(1000), true);
  assert.equal(backend.shouldStop(), true);
  await stopping;
});

Deno.test("Backend leaves a loop() behind that does not return", async () => {
  const { backend, logger } = looping({ stopTimeout: 0 });
  const never = Promise.withResolvers<void>();
  backend.work = () => never.promise;
  await backend.start();
  await backend.stop();
  assert.match(logger.lines.at(-1)!, /warn: .* does its run\(\) or loop\(\)/);
  never.resolve();
  await backend.join();
});

for (const where of ["run", "loop"] as const) {
  Deno.test(`Backend that is joined from within ${where}() rejects, and stops at once from there`, async () => {
    const errors: unknown[] = [];
    const other = new Backend();
    await other.start();
    const joined: Promise<boolean>[] = [];
    const work = async (backend: Backend): Promise<void> => {
      await Promise.resolve();
      for (const timeout of [undefined, null, 0, 60]) {
        await backend.join(timeout).catch((error) => errors.push(error));
      }
      errors.push(await backend.wait_stop(0), await other.join());
      // Whoever takes the message is somebody else.
      backend.bus.registerHandler(Event, () => {
        joined.push(backend.join());
      });
      await backend.onMessage(new Event({ args: { type: "custom.Tick" } }));
      await backend.stop();
      errors.push(await backend.wait_stop(), await backend.wait_stop(0));
    };
    const backend = new Backend();
    backend[where] = () => work(backend);
    await backend.start();
    await backend.join();
    await backend.stop();
    await other.stop();
    assert.deepEqual(errors.splice(4), [false, true, true, true]);
    for (const error of errors) {
      assert.match(String(error), /^Error: Cannot join .* wait for itself$/);
    }
    assert.deepEqual(await Promise.all(joined), [true]);
  });
}

Deno.test("Backend stops once, whoever asks for it", async () => {
  const { backend } = looping();
  await backend.start();
  await Promise.all([backend.stop(), backend.stop()]);
  await backend.stop();
  assert.equal(backend.steps.filter((step) => step === "onStop").length, 1);
});

Deno.test("Backend stops although onStop() fails", async () => {
  const { backend, logger } = looping();
  backend.onStop = () => {
    throw new Error("stuck");
  };
  await backend.start();
  await backend.stop();
  assert.ok(logger.lines.includes("error: Looping: onStop() failed: stuck."));
});

Deno.test("Backend has the members of a thread", async () => {
  const { backend } = looping();
  assert.equal(backend.name, "Looping");
  backend.setName("clock");
  assert.equal(backend.getName(), "clock");
  assert.equal(new Backend({ name: "other" }).name, "other");
  assert.deepEqual([backend.ident, backend.nativeId], [undefined, undefined]);
  backend.setDaemon(true);
  assert.equal(backend.isDaemon(), true);
  backend.daemon = false;
  await backend.start();
  assert.throws(() => backend.daemon = true, /has already been started/);
  assert.equal(backend.nativeId, Deno.pid);
  const other = new Looping();
  await other.start();
  assert.notEqual(other.ident, backend.ident);
  await other.stop();
  await backend.stop();
});
