import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import {
  type DeadLetter,
  DeadLetters,
  type Inbox,
  type InboxOptions,
  queueStatus,
  type RedisError,
} from "../../src/redis/mod.ts";
import { diagnose } from "../../src/doctor/mod.ts";
import { DeadLetterBox } from "../../src/redis/dead_letter_box.ts";
import { Recoverer } from "../../src/redis/recoverer.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { buryMany, DEAD, letter, open as openDead } from "./dead_letters.ts";
import { open } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";

const TEXT = "{queue}:dead:text";
const KIBIBYTE = 2 ** 10;
/** More than is taken of a message, also of one that comes while it is waited for. */
const TOO_LARGE = 7 * 2 ** 20;
const error = new Error("cannot handle it");

/** Bytes that are no text in UTF-8, so many. */
function rubbish(size: number): Uint8Array {
  return new Uint8Array(size).map((_, at) => at % 251);
}

function openSmall(
  server: TestServer,
  options: Partial<InboxOptions> = {},
): Promise<Inbox> {
  return open(server, {
    maxDeliveries: 1,
    maxDeadLetterBytes: 100 * KIBIBYTE,
    maxSize: 300 * KIBIBYTE,
    ...options,
  });
}

async function lettersOf(server: TestServer): Promise<DeadLetter[]> {
  await using dead = openDead(server);
  return await Array.fromAsync(dead.list());
}

/** Reads what is at the key of a text; it is the only element there. */
async function textAt(server: TestServer, key: string): Promise<Uint8Array> {
  const elements = await server.redis.command<Uint8Array[]>(
    ["LRANGE", key, "0", "-1"],
    { bytes: true },
  );
  assert.equal(elements.length, 1);
  return elements[0]!;
}

function equal(found: Uint8Array, expected: Uint8Array): void {
  assert.ok(Buffer.from(found).equals(expected), `${found.length} bytes`);
}

/** Buries a message that is larger than all dead letters may be. */
async function buryLarge(
  server: TestServer,
  inbox: Inbox,
  message: Uint8Array,
): Promise<void> {
  const before = inbox.stats().deadLettered;
  await server.run("RPUSH", "queue", message);
  if (message.length < TOO_LARGE) {
    const batch = await nextBatch(inbox);
    await batch!.settle([{ index: 0, reason: "failed", error }]);
  }
  await until(() => inbox.stats().deadLettered > before);
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`The text of a large dead letter is kept, and no other makes room for it (${delivery})`, async () => {
    await using server = await TestServer.start();
    await buryMany(server, 20);
    await using inbox = await openSmall(server, { delivery });
    const message = rubbish(200 * KIBIBYTE);
    await buryLarge(server, inbox, message);
    const letters = await lettersOf(server);
    assert.equal(letters.length, 21);
    const { reason, size, payload, key } = letters.at(-1)!;
    assert.deepEqual(
      [reason, size, payload.length],
      ["failed", message.length, 0],
    );
    equal(await textAt(server, key!), message);
    // It goes with its letter.
    const left = await server.run<number>("TTL", key!);
    assert.ok(left > 29 * 86_400 && left <= 30 * 86_400, String(left));
    assert.equal(inbox.stats().deadLettersLost, 0);
    await using dead = openDead(server);
    assert.equal(
      await dead.requeue({ reason: "failed", id: letters[20]!.id }),
      1,
    );
    assert.equal(await dead.count(), 20);
    await inbox.stop();
    equal(await textAt(server, "queue"), message);
    assert.deepEqual(await server.run("KEYS", `${TEXT}*`), []);
  });
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`Of a large error a dead letter keeps the beginning, and no other makes room for it (${delivery})`, async () => {
    await using server = await TestServer.start();
    await buryMany(server, 20);
    const logger = new LineLogger();
    await using inbox = await openSmall(server, { delivery, logger });
    await server.run("RPUSH", "queue", "small");
    const batch = await nextBatch(inbox);
    const error = new Error("page ".repeat(40_000));
    await batch!.settle([{ index: 0, reason: "failed", error }]);
    await until(() => inbox.stats().deadLettered === 1);
    const letters = await lettersOf(server);
    assert.equal(letters.length, 21);
    const { error: kept, payload, key } = letters.at(-1)!;
    assert.deepEqual([payload.length, key], ["small".length, undefined]);
    assert.equal(kept, `${error.message.slice(0, 4095)}…`);
    assert.equal(inbox.stats().deadLettersLost, 0);
    await inbox.stop();
    const longest = Math.max(...logger.lines.map(({ length }) => length));
    assert.ok(longest < 5000, `a line of the log has ${longest} characters`);
  });
}

Deno.test("A large text among others of its batch is kept", async () => {
  await using server = await TestServer.start();
  const large = rubbish(8 * KIBIBYTE);
  await server.run("RPUSH", "queue", "a", "b", large, "c");
  await using inbox = await openSmall(server, {
    maxDeadLetterBytes: 5 * KIBIBYTE,
  });
  const batch = await nextBatch(inbox);
  assert.equal(batch!.payloads.length, 4);
  await batch!.settle([
    { index: 1, reason: "failed", error },
    { index: 2, reason: "failed", error },
  ]);
  const letters = await lettersOf(server);
  assert.deepEqual(letters.map(({ key }) => key !== undefined), [false, true]);
  equal(await textAt(server, letters[1]!.key!), large);
  await inbox.stop();
  assert.deepEqual(await server.run("KEYS", "*processing*"), []);
});

Deno.test("One large text is kept at a time, and the newest wins", async () => {
  await using server = await TestServer.start();
  const logger = new LineLogger();
  await using inbox = await openSmall(server, { logger });
  await buryLarge(server, inbox, rubbish(200 * KIBIBYTE));
  await buryLarge(server, inbox, rubbish(TOO_LARGE));
  const [first, second] = await lettersOf(server);
  assert.deepEqual(
    [first!.reason, first!.size, first!.key],
    ["failed", 200 * KIBIBYTE, undefined],
  );
  assert.equal(second!.reason, "too-large");
  assert.deepEqual(
    (await server.run<string[]>("KEYS", `${TEXT}*`)).toSorted(),
    [TEXT, second!.key],
  );
  await logger.line(/^warn: 1 of the oldest dead letters .* had to make room/);
  assert.equal(inbox.stats().deadLettersLost, 1);
  await using dead = openDead(server);
  // Of the first one nothing is left to be put back.
  assert.equal(await dead.requeue({ reason: "failed" }), 0);
  assert.equal(await dead.purge("all"), 2);
  assert.deepEqual(await server.run("KEYS", `${TEXT}*`), []);
});

Deno.test("No large text is kept where no dead letters are wanted", async () => {
  await using server = await TestServer.start();
  await using inbox = await openSmall(server, { maxDeadLetters: 0 });
  await buryLarge(server, inbox, rubbish(200 * KIBIBYTE));
  await buryLarge(server, inbox, rubbish(TOO_LARGE));
  assert.deepEqual(await server.run("KEYS", "{queue}:dead*"), []);
});

for (const lost of [[DEAD], [DEAD, TEXT]]) {
  Deno.test(`A large text is found again when somebody has removed ${lost.join(" and ")}`, async () => {
    await using server = await TestServer.start();
    const message = rubbish(200 * KIBIBYTE);
    let before: DeadLetter | undefined;
    {
      await using inbox = await openSmall(server);
      await buryLarge(server, inbox, message);
      [before] = await lettersOf(server);
      await inbox.stop();
    }
    await server.run("DEL", ...lost);
    await using inbox = await openSmall(server);
    await until(async () => await server.run("LLEN", DEAD) === 1);
    const [after] = await lettersOf(server);
    assert.equal(after!.id, before!.id);
    assert.ok(after!.size >= message.length);
    equal(await textAt(server, after!.key!), message);
    await inbox.stop();
  });
}

for (const how of ["has died", "leaves"] as const) {
  Deno.test(`What a consumer that ${how} had not looked at yet is buried where it is too large`, async () => {
    await using server = await TestServer.start();
    const name = "gone.00000001";
    await server.run("HSET", "{queue}:consumers", name, "alive");
    await server.run("HSET", `{queue}:processing:${name}`, "1", "?", "2", "?");
    const message = rubbish(TOO_LARGE);
    await server.run("RPUSH", `{queue}:processing:${name}:1`, message);
    await server.run("RPUSH", `{queue}:processing:${name}:2`, "small");
    if (how === "has died") {
      await using inbox = await openSmall(server);
      await (await nextBatch(inbox))!.settle();
      await until(() => inbox.stats().deadLettered === 1);
      await inbox.stop();
    } else {
      const logger = new LineLogger();
      const control = server.redis;
      const stats = { reclaimed: 0, deadLettered: 0, deadLettersLost: 0 };
      const box = new DeadLetterBox({
        queue: "queue",
        maxDeadLetters: 10,
        maxDeadLetterBytes: 100 * KIBIBYTE,
        deadLetterAge: 3600,
        logger,
        stats,
      });
      const maxSize = 300 * KIBIBYTE;
      const options = { queue: "queue", control, logger, maxSize, stats };
      const recoverer = new Recoverer(options, box);
      await recoverer.putBack(name);
      await recoverer.stop();
      assert.equal(stats.deadLettered, 1);
      assert.deepEqual(await server.run("LRANGE", "queue", "0", "-1"), [
        "small",
      ]);
    }
    const [{ reason, key } = {} as DeadLetter] = await lettersOf(server);
    assert.equal(reason, "too-large");
    equal(await textAt(server, key!), message);
    assert.deepEqual(await server.run("KEYS", "*:processing:*:*"), []);
  });
}

Deno.test("Who may not move a large text back is told, and it stays", async () => {
  await using server = await TestServer.start();
  await using inbox = await openSmall(server);
  const message = rubbish(TOO_LARGE);
  await buryLarge(server, inbox, message);
  await server.run(
    "ACL",
    "SETUSER",
    "keeper",
    "on",
    ">s",
    "~*",
    "+@all",
    "-lmove",
  );
  const args = { ...server.args, username: "keeper", password: "s" };
  await using dead = new DeadLetters(args, { queue: "queue" });
  await assert.rejects(
    dead.requeue("all"),
    ({ code, message }: RedisError) =>
      code === "permission" && /requeue .*lmove/.test(message),
  );
  const [{ key } = {} as DeadLetter] = await lettersOf(server);
  equal(await textAt(server, key!), message);
  assert.equal(await server.run("EXISTS", "queue"), 0);
});

Deno.test("A large text that could not be moved is buried when the right is given back", async () => {
  await using server = await TestServer.start();
  const user = ["ACL", "SETUSER", "listener"];
  await server.run(...user, "on", ">s", "~*", "&*", "+@all");
  const args = { ...server.args, username: "listener", password: "s" };
  const logger = new LineLogger();
  await using inbox = await openSmall({ args } as TestServer, { logger });
  await server.run(...user, "-rename");
  await server.run("RPUSH", "queue", rubbish(TOO_LARGE));
  await logger.line(/may not run rename/);
  await server.run(...user, "+rename");
  await until(() => inbox.stats().deadLettered === 1);
  const [{ key } = {} as DeadLetter] = await lettersOf(server);
  equal(await textAt(server, key!), rubbish(TOO_LARGE));
  await inbox.stop();
});

Deno.test("Status and doctor tell of a large text", async () => {
  await using server = await TestServer.start();
  await using inbox = await openSmall(server);
  await server.run("RPUSH", DEAD, letter("small"));
  const bytes = async (): Promise<number | undefined> =>
    (await queueStatus(server.args, { queue: "queue" })).deadLetters.textBytes;
  assert.equal(await bytes(), 0);
  await buryLarge(server, inbox, rubbish(200 * KIBIBYTE));
  for (const lost of [undefined, TEXT]) {
    if (lost !== undefined) await server.run("DEL", lost);
    const found = (await bytes())!;
    assert.ok(found >= 200 * KIBIBYTE && found < 300 * KIBIBYTE);
    const findings = await Array.fromAsync(
      diagnose({ redisArgs: server.args, queue: "queue", multicast: false }),
    );
    assert.ok(
      findings.some(({ message }) =>
        /^The text of a dead letter of "queue" alone takes 2\d\d[.\d]* (KiB|kB)/
          .test(message)
      ),
    );
  }
});

Deno.test("Of texts that are kept, those that are not listed are entered again", async () => {
  await using server = await TestServer.start();
  const ids = ["front", "listed", "lost"];
  for (const id of ids) await server.run("RPUSH", `${TEXT}:${id}`, "text");
  await server.run("RPUSH", `${DEAD}:front`, letter("front"));
  await server.run("RPUSH", DEAD, letter("listed"), letter("last"));
  const logger = new LineLogger();
  const box = new DeadLetterBox({
    queue: "queue",
    logger,
    stats: { deadLettersLost: 0 },
    maxDeadLetters: 10,
    maxDeadLetterBytes: 1000,
    deadLetterAge: 60,
  });
  await box.reenter([...ids, "gone"], server.redis);
  const letters = await lettersOf(server);
  assert.deepEqual(
    letters.map(({ id }) => id),
    ["front", "listed", "last", "lost"],
  );
  assert.ok(letters.at(-1)!.size > 0);
  assert.ok(logger.lines.some((line) => /removed 1 dead letter of/.test(line)));
});
