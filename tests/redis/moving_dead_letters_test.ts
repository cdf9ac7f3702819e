import assert from "node:assert/strict";
import { DeadLetterBox } from "../../src/redis/dead_letter_box.ts";
import {
  Connection,
  DeadLetters,
  Inbox,
  queueStatus,
  type RedisError,
} from "../../src/redis/mod.ts";
import { calls } from "../calls.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { Program } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { nextBatch } from "./next_batch.ts";
import { mostOf, watchScripts } from "./watch_scripts.ts";
import {
  buryEverySecond,
  buryMany,
  DEAD,
  encoder,
  idsOf,
  letter,
  messages,
  numbers,
  open,
  queued,
} from "./dead_letters.ts";

Deno.test("DeadLetters may be requeued and purged while they are listed", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 350);
  await using dead = open(server);
  const seen: string[] = [];
  for await (const { id, index } of dead.list()) {
    seen.push(id);
    if (Number(id) % 3 === 0) assert.equal(await dead.purge({ id }), 1);
    if (Number(id) % 3 === 1) assert.equal(await dead.requeue({ id }), 1);
    assert.ok(index <= Number(id));
  }
  assert.deepEqual(seen, numbers(0, 350));
  assert.equal(await dead.count(), 116);
  assert.equal(await server.run("LLEN", "queue"), 117);
});

Deno.test("DeadLetters misses none of those that stay, whatever happens to the list", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 1000);
  await using dead = open(server);
  const seen: string[] = [];
  for await (const { id } of dead.list()) {
    seen.push(id);
    assert.ok(seen.length <= 1001, "it begins again and again");
    const number = Number(id);
    // The oldest make room, as the limit makes them.
    if (number === 150) await server.run("LTRIM", DEAD, "30", "-1");
    // Somebody removes what was read last.
    if (number === 299) await dead.purge({ id: numbers(250, 300) });
    // New ones come.
    if (number === 400) await server.run("RPUSH", DEAD, letter("new"));
  }
  assert.deepEqual(seen.filter((id) => id !== "new"), numbers(0, 1000));
  assert.equal(new Set(seen).size, seen.length);
});

Deno.test("DeadLetters does what was asked with each of those that are there several times, as after a restore", async () => {
  const rows = [
    ["purge", "all", 6000, 0],
    ["requeue", "all", 6000, 0],
    ["purge", { reason: "failed" }, 3000, 3000],
    ["requeue", { reason: "failed" }, 3000, 3000],
    // Each time that an id is named means one of them.
    ["purge", { id: numbers(0, 500) }, 500, 5500],
    ["requeue", { id: ["700", "700", "900", "700", "700"] }, 4, 5996],
    ["purge", { index: [1, 2001] }, 2, 5998],
  ] as const;
  for (const [verb, which, count, left] of rows) {
    await using server = await TestServer.start();
    await using dead = open(server);
    await buryEverySecond(server, 0, 2000);
    const letters = await server.run<string[]>("LRANGE", DEAD, "0", "-1");
    for (let copy = 0; copy < 2; copy++) {
      await server.run("RPUSH", DEAD, ...letters);
    }
    const row = `${verb} ${JSON.stringify(which).slice(0, 40)}`;
    assert.equal((await idsOf(dead)).length, 6000, row);
    assert.equal(await dead[verb](which), count, row);
    assert.equal(await dead.count(), left, row);
    const requeued = await server.run<number>("LLEN", "queue");
    assert.equal(requeued, verb === "requeue" ? count : 0, row);
    assert.equal((await idsOf(dead, { id: "1999" })).length, left > 0 ? 3 : 0);
  }
});

Deno.test("DeadLetters removes as many at once where all of them are the same", async () => {
  await using server = await TestServer.start();
  await using dead = open(server);
  const same = letter("same", { time: 0 });
  await server.run("RPUSH", DEAD, ...Array.from({ length: 1000 }, () => same));
  const scripts = await watchScripts(server, async () => {
    assert.equal(await dead.requeue("all"), 1000);
  });
  assert.ok(scripts.length < 50, `${scripts.length} scripts ran`);
  assert.deepEqual(
    await queued(server),
    messages(Array.from({ length: 1000 }, () => "same")),
  );
});

Deno.test("DeadLetters leaves none of those that are there several times, whoever moves the list", async () => {
  await using server = await TestServer.start();
  await buryEverySecond(server, 0, 2000);
  const letters = await server.run<string[]>("LRANGE", DEAD, "0", "-1");
  await server.run("RPUSH", DEAD, ...letters);
  await using dead = open(server);
  await using other = open(server);
  const counts = await Promise.all([
    dead.purge({ reason: "failed" }),
    other.requeue({ id: [...numbers(300, 900), ...numbers(300, 900)] }),
    (async () => {
      for (let round = 0; round < 150; round++) {
        await server.run("LTRIM", DEAD, "1", "-1");
        await server.run("RPUSH", DEAD, letter(`new ${round}`));
      }
    })(),
  ]);
  assert.ok(counts[1] <= 1200, counts.join());
  const left = await Array.fromAsync(dead.list());
  const old = left.filter(({ id }) => !id.startsWith("new"));
  assert.deepEqual(
    old.filter(({ id, reason }) =>
      reason === "failed" || Number(id) >= 300 && Number(id) < 900
    ).map(({ id }) => id),
    [],
  );
});

Deno.test("DeadLetters ends although what it requeues comes back at once", async () => {
  await using server = await TestServer.start();
  await using inbox = await Inbox.open(server.args, { queue: "queue" });
  const reading = (async () => {
    for (let batch; (batch = await inbox.next());) {
      await batch.settle([...batch.payloads.keys()].map((index) => ({
        index,
        reason: "malformed",
        error: new Error("no"),
      })));
    }
  })();
  await buryMany(server, 500);
  await using dead = open(server);
  assert.equal(await inTime(dead.requeue("all"), "the end"), 500);
  await inbox.stop();
  await reading;
  const left = await server.run<number>("LLEN", "queue");
  assert.equal(await dead.count() + left, 500);
});

Deno.test("DeadLetters that two people requeue at once are moved once", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 3000);
  await using one = open(server);
  await using two = open(server);
  const counts = await Promise.all([
    one.requeue("all"),
    two.requeue({ reason: "failed" }),
    one.requeue({ index: [5, 6, 7] }),
    two.requeue({ id: numbers(100, 200) }),
  ]);
  assert.equal(counts.reduce((sum, count) => sum + count), 3000);
  const all = await queued(server);
  assert.equal(all.length, 3000);
  assert.deepEqual(new Set(all), new Set(messages(numbers(0, 3000))));
});

Deno.test("DeadLetters neither loses nor doubles any when connections break", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 5000);
  await using dead = open(server);
  let isOver = false;
  let kills = 0;
  const killing = (async () => {
    for (let moved = 1; !isOver; moved += 200) {
      await until(async () =>
        isOver || await server.run<number>("LLEN", "queue") >= moved
      );
      kills += await server.run<number>(
        "CLIENT",
        "KILL",
        "TYPE",
        "normal",
        "SKIPME",
        "yes",
      );
    }
  })();
  const count = await dead.requeue("all").finally(() => isOver = true);
  await killing;
  assert.ok(kills > 2, `${kills} connections were closed`);
  assert.equal(count, 5000);
  assert.deepEqual(await queued(server), messages(numbers(0, 5000)));
  assert.equal(await dead.count(), 0);
});

Deno.test("DeadLetters are chosen while others bury, purge, and make room", async () => {
  await using server = await TestServer.start();
  await buryEverySecond(server, 0, 3000);
  await using dead = open(server);
  await using other = open(server);
  const progress: [count: number, part: number][] = [];
  let isOver = false;
  const disturbing = (async () => {
    for (let round = 0; !isOver; round++) {
      await buryEverySecond(server, 3000 + round * 2, 2);
      // The oldest make room: a message, and one that has failed.
      if (round < 100) await server.run("LTRIM", DEAD, "1", "-1");
    }
  })();
  await Promise.all([
    dead.purge({ reason: "failed" }, {
      onProgress: (count, part) => progress.push([count, part]),
    }),
    other.requeue({ reason: "failed", id: numbers(1000, 2500) }),
  ]).finally(() => isOver = true);
  await disturbing;
  const left = (await idsOf(dead)).map(Number).filter((id) => id < 3000);
  assert.deepEqual(left, left.toSorted((a, b) => a - b));
  assert.deepEqual(left.filter((id) => id % 2 === 0), []);
  const first = left[0]!;
  assert.ok(first < 250, `${first} is the first that is left`);
  assert.deepEqual(
    left.map(String),
    numbers(first, 3000).filter((id) => Number(id) % 2 === 1),
  );
  assert.deepEqual(progress, progress.toSorted(([a], [b]) => a - b));
  assert.ok(progress.every(([, part]) => part >= 0 && part <= 1));
});

Deno.test("DeadLetters asks the server for as much of each, however many there are", async () => {
  await using server = await TestServer.start();
  await using dead = open(server);
  const asked: number[] = [];
  for (const count of [1000, 10_000]) {
    await buryEverySecond(server, 0, count);
    await server.run("CONFIG", "RESETSTAT");
    assert.equal(await dead.purge({ reason: "failed" }), count / 2);
    const stats = await server.run<string>("INFO", "commandstats");
    assert.doesNotMatch(stats, /cmdstat_lpos/);
    asked.push(
      [...stats.matchAll(/cmdstat_(?:l\w+|eval\w*):calls=(\d+)/g)]
        .reduce((sum, [, calls]) => sum + Number(calls), 0) / count,
    );
    await server.run("DEL", DEAD);
  }
  assert.ok(asked[1]! < asked[0]! * 1.1, asked.join(" "));
});

Deno.test("DeadLetters notes once in a script for how long the histories are kept", async () => {
  await using server = await TestServer.start();
  await using dead = open(server);
  // They get their ids and times with them.
  const letters = numbers(0, 200).map((id) => letter(id, { received: 1 }));
  await server.run("RPUSH", DEAD, ...letters);
  const scripts = await watchScripts(server, async () => {
    assert.equal(await dead.requeue("all"), 200);
  });
  assert.equal(await server.run("HLEN", "{queue}:deliveries"), 200);
  assert.equal(mostOf("EXPIRE", scripts), 1);
});

Deno.test("DeadLetters finds its place in a list that moves without going through it", async () => {
  await using server = await TestServer.start();
  await using dead = open(server);
  await buryEverySecond(server, 0, 5000);
  await server.run("CONFIG", "RESETSTAT");
  const seen: string[] = [];
  for await (const { id } of dead.list()) {
    seen.push(id);
    if (seen.length % 100 !== 0) continue;
    // Of what was read, the oldest is gone now, and the last page.
    await server.run("LPOP", DEAD);
    if (seen.length !== 3000) continue;
    for (let index = 0; index < 100; index++) {
      await server.run("LSET", DEAD, "2800", "gone");
      await server.run("LREM", DEAD, "1", "gone");
    }
  }
  assert.deepEqual(seen.toSorted(), numbers(0, 5000).toSorted());
  const { lpos, lrange: looks } = await calls(server);
  assert.equal(lpos, undefined);
  assert.ok(looks! < 800, `${looks} looks at the list`);
});

Deno.test("DeadLetters loses and doubles none when the server is killed on the way", async () => {
  await using server = await TestServer.startLasting();
  await buryEverySecond(server, 0, 10_000);
  await using dead = new DeadLetters(server.args, {
    queue: "queue",
    logger: new LineLogger(),
    connectionTimeout: 60,
  });
  let reached = Promise.withResolvers<void>();
  let goal = 1000;
  const requeued = dead.requeue({ reason: "failed" }, {
    onProgress: (count) => count >= goal && reached.resolve(),
  });
  for (; goal < 4000; goal += 1000) {
    await reached.promise;
    reached = Promise.withResolvers();
    await server.restart();
  }
  assert.equal(await requeued, 5000);
  const isEven = (id: string): boolean => Number(id) % 2 === 0;
  const all = numbers(0, 10_000);
  assert.deepEqual(await queued(server), messages(all.filter(isEven)));
  assert.deepEqual(
    await idsOf(dead),
    all.filter((id) => !isEven(id)),
  );
});

Deno.test("DeadLetters keeps what the queue does not take", async () => {
  await using server = await TestServer.start({
    config: ["user reader on >secret ~* +@all -rpush"],
  });
  await buryMany(server, 3);
  await using dead = open(server);
  await server.run("SET", "queue", "no list");
  await assert.rejects(dead.requeue("all"), (error: RedisError) => {
    assert.match(
      error.message,
      /^Cannot requeue the dead letters of "queue" at \S+: /,
    );
    assert.equal(error.subject, "queue");
    return error.code === "wrong-type";
  });
  await server.run("DEL", "queue");
  await server.run("CONFIG", "SET", "maxmemory", "1");
  await assert.rejects(
    dead.requeue("all"),
    (error: RedisError) => error.code === "memory",
  );
  await server.run("CONFIG", "SET", "maxmemory", "0");
  await using other = new DeadLetters(
    { ...server.args, username: "reader", password: "secret" },
    { queue: "queue" },
  );
  await assert.rejects(
    other.requeue("all"),
    (error: RedisError) => error.code === "permission",
  );
  assert.deepEqual(await idsOf(dead), numbers(0, 3));
  assert.equal(await server.run("EXISTS", "queue"), 0);
});

Deno.test("DeadLetters tells how many were moved before an error", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 3);
  await server.run("SET", "{other}:dead", "no list");
  await using dead = new DeadLetters(server.args, {
    queue: ["queue", "other"],
  });
  await assert.rejects(dead.requeue("all"), (error: RedisError) => {
    assert.match(
      error.message,
      /^Cannot requeue the dead letters of "other" at \S+: .*\. It was done for 3 of them before$/,
    );
    return error.code === "wrong-type";
  });
  assert.deepEqual(await queued(server), messages(numbers(0, 3)));
});

Deno.test("DeadLetters that were requeued have their deliveries before them", async () => {
  await using server = await TestServer.start();
  await server.run("RPUSH", "queue", "one");
  const options = { queue: "queue", maxDeliveries: 2, retryPause: 0.001 };
  await using inbox = await Inbox.open(server.args, options);
  const failure = { index: 0, reason: "failed", error: new Error() } as const;
  await (await nextBatch(inbox))!.settle([failure]);
  const again = await nextBatch(inbox);
  assert.deepEqual(again!.deliveries, [1]);
  await again!.settle([failure]);
  await using dead = open(server);
  const [found] = await Array.fromAsync(dead.list());
  assert.equal(found!.deliveries, 2);
  assert.equal(await dead.requeue({ id: found!.id }), 1);
  const fresh = await nextBatch(inbox);
  assert.deepEqual(fresh!.deliveries, [0]);
  await fresh!.settle([failure]);
  const retried = await nextBatch(inbox);
  await retried!.settle();
  assert.equal(await dead.count(), 0);
});

Deno.test("DeadLetters takes some out of the middle without a deep search, however many there are", async () => {
  const count = 14_000;
  for (const verb of ["purge", "requeue"] as const) {
    await using server = await TestServer.start();
    await using dead = open(server);
    for (let start = 0; start < count; start += 1000) {
      const ids = numbers(start, start + 1000);
      await server.run(
        "RPUSH",
        DEAD,
        ...ids.map((id) =>
          letter(id, { reason: isMiddle(id) ? "foreign" : "failed" })
        ),
      );
    }
    const scripts = await watchScripts(server, async () => {
      assert.equal(await dead[verb]({ reason: "foreign" }), 200);
    });
    const removing = scripts.filter((script) => script.has("LREM"));
    assert.ok(removing.length > 0);
    for (const script of removing) {
      for (const [, index] of script.get("LSET") ?? []) {
        assert.ok(Number(index) < 5000, `LSET looks for the index ${index}`);
      }
    }
    for (const script of scripts) {
      assert.ok((script.get("LMOVE") ?? []).length <= 200);
      assert.ok((script.get("LRANGE") ?? []).length <= 8);
    }
    assert.equal(await server.run("EXISTS", FRONT), 0);
    assert.deepEqual(
      await idsOf(dead),
      numbers(0, count).filter((id) => !isMiddle(id)),
    );
  }
});

Deno.test("DeadLetters that were left in two by somebody who died are one list", async () => {
  await using server = await TestServer.start();
  await buryEverySecond(server, 0, 1000);
  for (let at = 0; at < 350; at++) {
    await server.run("LMOVE", DEAD, FRONT, "LEFT", "RIGHT");
  }
  await using dead = open(server);
  assert.equal(await dead.count(), 1000);
  const status = await queueStatus(server.args, { queue: "queue" });
  assert.equal(status.deadLetters.count, 1000);
  assert.deepEqual(await idsOf(dead), numbers(0, 1000));
  assert.equal(await dead.requeue({ id: ["348", "349", "350", "352"] }), 4);
  assert.deepEqual(
    await queued(server),
    messages(["348", "349", "350", "352"]),
  );
  assert.equal(await server.run("EXISTS", FRONT), 0);
  assert.equal(await dead.purge({ reason: "failed" }), 497);
  assert.deepEqual(
    await idsOf(dead),
    numbers(0, 1000).filter((id) => Number(id) % 2 === 1 && id !== "349"),
  );
});

Deno.test("Dead letters that a killed purge has parted are seen by everybody, and keep to the limits", async () => {
  await using server = await TestServer.start();
  await buryEverySecond(server, 0, 24_000);
  await using purge = new Program([
    "cli.ts",
    ..."dead purge --reason failed --queue queue --url".split(" "),
    server.url,
  ]);
  await until(async () => await server.run<number>("LLEN", FRONT) > 0);
  await purge.end("SIGKILL");
  // What it has sent before may come later than its end.
  await until(async () =>
    !String(await server.run("CLIENT", "LIST")).includes("cmd=evalsha")
  );
  const inFront = await server.run<number>("LLEN", FRONT);
  assert.ok(inFront > 0, "it was killed on the way");
  const total = inFront + await server.run<number>("LLEN", DEAD);
  await using dead = open(server);
  assert.equal(await dead.count(), total);
  const ids = await idsOf(dead);
  assert.deepEqual(
    ids.filter((id) => Number(id) % 2 === 1),
    numbers(0, 24_000).filter((id) => Number(id) % 2 === 1),
  );
  assert.deepEqual(ids, ids.toSorted((a, b) => Number(a) - Number(b)));

  await using inbox = await Inbox.open(server.args, {
    queue: "queue",
    maxDeadLetters: total - 9,
    logger: new LineLogger(),
  });
  await server.run("RPUSH", "queue", "new");
  const batch = await nextBatch(inbox);
  await batch!.settle([
    { index: 0, reason: "malformed", error: new Error("no") },
  ]);
  assert.equal(inbox.stats().deadLettersLost, 10);
  const left = await Array.fromAsync(dead.list());
  assert.deepEqual(left.slice(0, -1).map(({ id }) => id), ids.slice(10));
  assert.deepEqual(left.at(-1)!.payload, encoder.encode("new"));
});

Deno.test("Two people choose among many dead letters at once, from both ends", async () => {
  await using server = await TestServer.start();
  await buryEverySecond(server, 0, 14_000);
  await using one = open(server);
  await using other = open(server);
  const [purged, requeued] = await inTime(
    Promise.all([
      one.purge({ reason: "malformed" }),
      other.requeue({ reason: "failed" }),
    ]),
    "both have chosen",
  );
  assert.deepEqual([purged, requeued], [7000, 7000]);
  assert.equal(await one.count(), 0);
  const isEven = (id: string): boolean => Number(id) % 2 === 0;
  assert.deepEqual(
    await queued(server),
    messages(numbers(0, 14_000).filter(isEven)),
  );
});

Deno.test("A consumer makes one list of dead letters that nobody chooses among any more", async () => {
  await using server = await TestServer.start();
  await buryMany(server, 1000);
  for (let at = 0; at < 300; at++) {
    await server.run("LMOVE", DEAD, FRONT, "LEFT", "RIGHT");
  }
  await using connection = await Connection.connect(server.args, {
    logger: new LineLogger(),
  });
  const box = new DeadLetterBox({
    queue: "queue",
    maxDeadLetters: 10_000,
    maxDeadLetterBytes: 2 ** 24,
    deadLetterAge: 3600,
    logger: new LineLogger(),
    stats: { deadLettersLost: 0 },
  });
  const { now } = performance;
  try {
    await box.look(connection);
    assert.equal(await server.run("LLEN", FRONT), 300);
    performance.now = () => now.call(performance) + 601_000;
    await box.look(connection);
  } finally {
    performance.now = now;
  }
  assert.equal(await server.run("EXISTS", FRONT), 0);
  await using dead = open(server);
  assert.deepEqual(await idsOf(dead), numbers(0, 1000));
});

Deno.test("Equal dead letters go back with what each was, which is written once for all", async () => {
  await using server = await TestServer.start();
  const payload = encoder.encode("the same");
  const ids = numbers(0, 500);
  const letters = ids.map((id) => letter(id, { payload, received: 1.5 }));
  await server.run("RPUSH", DEAD, ...letters);
  await using dead = open(server);
  const requeuing = await watchScripts(server, async () => {
    assert.equal(await dead.requeue("all"), 500);
  });
  const seen: string[] = [];
  const taking = await watchScripts(server, async () => {
    await using inbox = await Inbox.open(server.args, {
      queue: "queue",
      logger: new LineLogger(),
    });
    while (seen.length < 500) {
      const batch = await nextBatch(inbox);
      for (const index of batch!.payloads.keys()) {
        const { id, timestamp } = batch!.identities.known[index]!;
        assert.equal(timestamp, 1.5);
        seen.push(id);
      }
      await batch!.settle();
    }
  });
  assert.deepEqual(seen.toSorted(), ids.toSorted());
  for (const script of [...requeuing, ...taking]) {
    const written = (script.get("HSET") ?? [])
      .filter(([key]) => key === "{queue}:deliveries");
    assert.ok(written.length <= 1, `It was written ${written.length} times`);
  }
});

const FRONT = "{queue}:dead:front";

function isMiddle(id: string): boolean {
  return Number(id) >= 6900 && Number(id) < 7100;
}
