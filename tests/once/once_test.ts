import assert from "node:assert/strict";
import { FileOnce, type Once, type OnceOptions, RedisOnce } from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { Program } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { sleep } from "../../src/waiting.ts";

/** A memory that can be opened several times, as processes do. */
interface Place extends AsyncDisposable {
  readonly name: string;
  open(options?: OnceOptions): Promise<Once & (Disposable | AsyncDisposable)>;
  /** What a program opens it with. */
  readonly argument: string;
}

const PLACES: readonly (() => Promise<Place>)[] = [
  async () => {
    const folder = await Deno.makeTempDir();
    const file = `${folder}/handled.sqlite`;
    return {
      name: "a file",
      argument: file,
      open: (options) => Promise.resolve(new FileOnce(file, options)),
      [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
    };
  },
  async () => {
    const server = await TestServer.start();
    return {
      name: "Redis",
      argument: JSON.stringify(server.args),
      open: (options) => RedisOnce.open(server.args, options),
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
];

/** Runs a test with each kind of memory. */
function test(
  name: string,
  run: (place: Place) => Promise<void>,
): void {
  Deno.test(name, async (t) => {
    for (const make of PLACES) {
      await using place = await make();
      await t.step(place.name, () => run(place));
    }
  });
}

test("Once does the work of an id once, for all who share the memory", async (place) => {
  await using one = await place.open();
  await using other = await place.open();
  const done: string[] = [];
  assert.equal(await one.run("a", () => done.push("one")), true);
  assert.equal(await one.run("a", () => done.push("again")), false);
  assert.equal(await other.run("a", () => done.push("other")), false);
  assert.equal(await other.run("b", () => done.push("b")), true);
  assert.deepEqual(done, ["one", "b"]);
});

test("Once lets others wait while the work goes on", async (place) => {
  // Shorter than the work: it has to be renewed.
  await using one = await place.open({ lease: 2 });
  await using other = await place.open({ lease: 2 });
  const { promise: end, resolve: finish } = Promise.withResolvers<void>();
  const began = Promise.withResolvers<void>();
  const first = one.run("a", () => {
    began.resolve();
    return end;
  });
  await began.promise;
  const late = setTimeout(finish, 6000);
  try {
    assert.equal(
      await other.run("a", () => assert.fail("it is being done")),
      false,
    );
  } finally {
    clearTimeout(late);
    finish();
  }
  assert.equal(await first, true);
});

test("Once does work again that has failed", async (place) => {
  await using once = await place.open({ lease: 600 });
  const fail = (): never => {
    throw new Error("no light bulb");
  };
  await assert.rejects(once.run("a", fail), { message: "no light bulb" });
  // Long before the lease is over.
  const again = once.run("a", () => {});
  assert.equal(await inTime(again, "the id given back"), true);
});

test("Once forgets what is older than its expiry", async (place) => {
  await using once = await place.open({ expiry: 0.05 });
  assert.equal(await once.run("a", () => {}), true);
  await until(() => once.run("a", () => {}));
});

test("Once ends the wait for others by a signal", async (place) => {
  await using once = await place.open();
  const began = Promise.withResolvers<void>();
  const end = Promise.withResolvers<void>();
  const first = once.run("a", () => {
    began.resolve();
    return end.promise;
  });
  await began.promise;
  const signal = AbortSignal.timeout(20);
  await assert.rejects(once.run("a", () => {}, { signal }), {
    name: "TimeoutError",
  });
  end.resolve();
  assert.equal(await first, true);
});

test("Once refuses an id by which nothing can be remembered", async (place) => {
  await using once = await place.open();
  for (const id of ["", undefined, 5]) {
    await assert.rejects(
      once.run(id as string, () => assert.fail("it has no id")),
      { name: "TypeError", message: /`message\.id`/ },
    );
  }
});

for (const when of ["in", "after"]) {
  test(`Once does again what a process was at that is killed ${when} it`, async (place) => {
    {
      await using program = new Program(
        ["tests/once/deadly_work.ts", place.argument, when],
      );
      assert.equal(
        await inTime(program.line(), "the work"),
        `${when} the work`,
      );
      await program.end("SIGKILL");
    }
    await using once = await place.open();
    // Not before its lease is over; then nobody can know whether it was done.
    const again = once.run("id", () => {});
    assert.equal(await inTime(again, "the end of its lease"), true);
    assert.equal(await once.run("id", () => {}), false);
  });
}

Deno.test("RedisOnce goes on where connections are killed", async () => {
  await using server = await TestServer.start();
  await using once = await RedisOnce.open(server.args);
  const IDS = 100;
  let count = 0;
  const killing = (async () => {
    for (let kills = 0; kills < 20; kills++) {
      await sleep(0.05);
      await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    }
  })();
  try {
    const runs = Array.from(
      { length: IDS },
      (_, i) =>
        once.run(`id ${i}`, async () => {
          await sleep(Math.random());
          count++;
        }),
    );
    const ran = await inTime(Promise.all(runs), "the work");
    assert.deepEqual(new Set(ran), new Set([true]));
  } finally {
    await killing;
  }
  assert.equal(count, IDS);
  for (let i = 0; i < IDS; i++) {
    assert.equal(await once.run(`id ${i}`, () => count++), false);
  }
});

Deno.test("FileOnce does work in the file exactly once, whenever it is killed", async () => {
  const folder = await Deno.makeTempDir();
  const file = `${folder}/handled.sqlite`;
  const END = 3000;
  try {
    for (let kills = 0; kills < 8; kills++) {
      await using program = new Program(
        ["tests/once/transactions.ts", file, String(END)],
      );
      await program.line();
      // Anywhere: each moment has to be right.
      await sleep(Math.random() * 0.06);
      await program.end("SIGKILL");
    }
    await using program = new Program(
      ["tests/once/transactions.ts", file, String(END)],
    );
    assert.match((await program.end()).stdout, /through/);
    using once = new FileOnce(file);
    const rows = once.database
      .prepare(
        "SELECT count(*) AS rows, count(DISTINCT number) AS numbers FROM counted",
      )
      .get()!;
    assert.deepEqual({ ...rows }, { rows: END, numbers: END });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("FileOnce changes nothing when the work in the file throws or takes time", () => {
  using once = new FileOnce(":memory:");
  once.database.exec("CREATE TABLE light (turned INTEGER)");
  const insert = (): void => once.database.exec("INSERT INTO light VALUES (1)");
  assert.throws(() =>
    once.transact("a", () => {
      insert();
      throw new Error("no light bulb");
    }), { message: "no light bulb" });
  assert.throws(() =>
    once.transact("a", () => {
      insert();
      return Promise.reject(new Error("late")) as unknown as void;
    }), { name: "TypeError", message: /returns a promise/ });
  const count = once.database.prepare("SELECT count(*) AS n FROM light");
  assert.equal(count.get()!.n, 0);
  assert.equal(once.transact("a", insert), true);
  assert.equal(once.transact("a", insert), false);
  assert.equal(count.get()!.n, 1);
});

Deno.test("FileOnce tells the error with which SQLite has rolled back by itself, as on a full disk", () => {
  using once = new FileOnce(":memory:");
  once.database.exec("CREATE TABLE lamps (name TEXT UNIQUE)");
  const work = (): void =>
    once.database.exec("INSERT OR ROLLBACK INTO lamps VALUES ('hall')");
  assert.equal(once.transact("1", work), true);
  assert.throws(() => once.transact("2", work), /UNIQUE constraint failed/);
  once.database.exec("DELETE FROM lamps");
  assert.equal(once.transact("2", work), true);
});

Deno.test("FileOnce does the work of somebody who died while the host's clock was ahead", async () => {
  const { now } = Date;
  using _clock = { [Symbol.dispose]: () => void (Date.now = now) };
  using once = new FileOnce(":memory:");
  Date.now = () => now() + 86_400_000;
  const dead = Promise.withResolvers<void>();
  const first = once.run("a", () => dead.promise);
  await once.run("b", () => {});
  Date.now = now;
  assert.equal(await inTime(once.run("a", () => {}), "it is done"), true);
  assert.equal(await once.run("b", () => {}), false);
  dead.resolve();
  await first;
});

for (
  const [way, jump] of [["back", -7_200_000], ["forward", 7_200_000]] as const
) {
  Deno.test(`FileOnce keeps work for who is at it when the host's clock is set ${way}`, async () => {
    const folder = await Deno.makeTempDir();
    const file = `${folder}/handled.sqlite`;
    const { now } = Date;
    using _clock = { [Symbol.dispose]: () => void (Date.now = now) };
    try {
      using one = new FileOnce(file, { lease: 3 });
      using other = new FileOnce(file, { lease: 3 });
      const done = Promise.withResolvers<void>();
      const first = one.run("a", () => done.promise);
      const isRenewed = other.database.prepare(
        "SELECT 1 FROM handled WHERE until BETWEEN ? AND ?",
      );
      Date.now = () => now() + jump;
      const set = Date.now() / 1000;
      await until(() => isRenewed.get(set, set + 600) !== undefined);
      const second = other.run("a", () => assert.fail("somebody is at it"));
      done.resolve();
      assert.equal(await first, true);
      assert.equal(await second, false);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

Deno.test("RedisOnce claims its work again when the claim has got lost", async () => {
  await using server = await TestServer.start();
  await using once = await RedisOnce.open(server.args, { lease: 3 });
  const done = Promise.withResolvers<void>();
  const first = once.run("a", () => done.promise);
  const has = (...command: string[]) => async (): Promise<boolean> =>
    await server.run(...command, "platypush/once:a") === 1;
  // As when the server's clock is set forward, or it has forgotten all at a start.
  await until(has("DEL"));
  await until(has("EXISTS"));
  done.resolve();
  assert.equal(await first, true);
  assert.equal(await once.run("a", () => {}), false);
});

Deno.test("FileOnce says why a file cannot be opened", async () => {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(
      file,
      "this is no database, but long enough ".repeat(40),
    );
    assert.throws(() => new FileOnce(file), /not a database/);
    assert.throws(() => new FileOnce(`${file}/handled.sqlite`), /open/);
    assert.throws(() => new FileOnce(""), TypeError);
  } finally {
    await Deno.remove(file);
  }
});
