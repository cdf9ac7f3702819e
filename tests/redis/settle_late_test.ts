import assert from "node:assert/strict";
import type { Batch } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { numbers, open, queued, texts } from "./inboxes.ts";
import { nextBatch } from "./next_batch.ts";
import { mostOf, watchScripts } from "./watch_scripts.ts";

/** A consumer that handles a batch without ever giving its event loop a turn. */
class BusyInbox implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #reader: ReadableStreamDefaultReader<string>;
  readonly #file = Deno.makeTempFileSync();
  #text = "";
  #isOver = false;

  private constructor(server: TestServer, end: string) {
    Deno.removeSync(this.#file);
    this.#process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        new URL("./busy_inbox.ts", import.meta.url).pathname,
        JSON.stringify(server.args),
        this.#file,
        end,
      ],
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    this.#reader = this.#process.stdout
      .pipeThrough(new TextDecoderStream()).getReader();
  }

  /** Starts one that is busy with a message, the only one. */
  static async start(
    server: TestServer,
    message: string,
    end: "handles" | "fails" = "handles",
  ): Promise<BusyInbox> {
    const busy = new BusyInbox(server, end);
    await until(async () =>
      await server.run<number>("EXISTS", "{queue}:consumers") === 1
    );
    await server.run("RPUSH", "queue", message);
    await busy.hear("busy");
    return busy;
  }

  async hear(word: string): Promise<void> {
    while (!this.#text.includes(`${word}\n`)) {
      const { value, done } = await inTime(this.#reader.read(), word);
      assert.ok(!done);
      this.#text += value;
    }
  }

  /** Lets its handler return, and waits until it has settled. */
  async finish(): Promise<void> {
    await Deno.writeTextFile(this.#file, "");
    await this.hear("settled");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#process.kill("SIGKILL");
    await this.#reader.cancel();
    await this.#process.status;
    await Deno.remove(this.#file).catch(() => {});
  }
}

for (
  const message of ["one", `{"id": "${"a".repeat(32)}", "_timestamp": 1}`]
) {
  Deno.test(`Inbox gives nobody again what a busy consumer has handled late, while it waits (${message})`, async () => {
    await using server = await TestServer.start();
    await using busy = await BusyInbox.start(server, message);
    await using other = await open(server, { paused: true });
    await until(() => other.stats().reclaimed === 1);
    await busy.finish();
    // Its wait may have moved the message once more, before it knew: that session
    // is over, and gives back nothing that was handled.
    await until(async () =>
      await server.run<number>("EXISTS", "{queue}:deliveries") === 0
    );
    await server.run("RPUSH", "queue", "after");
    await busy.hear("next: after");
    assert.equal(await server.run("EXISTS", "{queue}:dead"), 0);
  });

  Deno.test(`Inbox delivers a second time, and no third time, what a busy consumer handles late (${message})`, async () => {
    await using server = await TestServer.start();
    await using busy = await BusyInbox.start(server, message);
    await using other = await open(server);
    const again = await nextBatch(other);
    assert.deepEqual(texts(again), [message]);
    assert.deepEqual(again!.deliveries, [1]);
    await busy.finish();
    // Now it is the other one that leaves without having handled it.
    await other.stop(0);
    assert.deepEqual(await queued(server), []);
    assert.equal(await server.run("EXISTS", "{queue}:dead"), 0);
  });
}

Deno.test("Inbox blames a message for no death of a busy consumer that fails with it late", async () => {
  await using server = await TestServer.start();
  const deaths = async (): Promise<string[]> => {
    const all = await server.run<string[]>("HVALS", "{queue}:deliveries");
    return all.map((history) => history.split(".").slice(0, 3).join("."));
  };
  await using busy = await BusyInbox.start(server, "one", "fails");
  await using other = await open(server, { paused: true });
  await until(() => other.stats().reclaimed === 1);
  assert.deepEqual(await deaths(), ["1.0.1"]);
  await busy.finish();
  // It waited in the queue, and its history with it; perhaps it has just been taken.
  await busy.hear("next: one");
  await busy[Symbol.asyncDispose]();
  await until(async () => (await deaths()).length === 1);
  assert.deepEqual(await deaths(), ["2.0.1"]);
});

Deno.test("Inbox blames a message that others have by then for no death, either", async () => {
  await using server = await TestServer.start();
  await using busy = await BusyInbox.start(server, "one", "fails");
  await using other = await open(server);
  const again = await nextBatch(other);
  assert.deepEqual(again!.deliveries, [1]);
  await busy.finish();
  const error = new Error("left");
  await other.pause();
  await again!.settle([{ index: 0, reason: "left", error }]);
  await busy.hear("next: one");
  await busy[Symbol.asyncDispose]();
  const histories = (): Promise<string[]> =>
    server.run("HVALS", "{queue}:deliveries");
  await until(async () => (await histories()).length === 1);
  assert.match((await histories())[0]!, /^3\.0\.1\./);
});

/**
 * Settles a batch that another consumer has put back.
 *
 * @returns The scripts that the server has run for it.
 */
async function settleLate(
  server: TestServer,
  messages: readonly string[],
  settle: (batch: Batch) => Promise<void>,
): ReturnType<typeof watchScripts> {
  await server.run("RPUSH", "queue", ...messages);
  await using late = await open(server, { heartbeatTimeout: 600 });
  const batch = await nextBatch(late);
  assert.equal(batch!.payloads.length, messages.length);
  const [heartbeat] = await server.run<string[]>("KEYS", "{queue}:consumer:*");
  await server.run("DEL", heartbeat!);
  await using other = await open(server, { paused: true });
  await until(() => other.stats().reclaimed === messages.length);
  return await watchScripts(server, () => settle(batch!));
}

Deno.test("Inbox tells what it has handled late in parts, and all of it", async () => {
  await using server = await TestServer.start();
  const scripts = await settleLate(server, numbers(120), async (batch) => {
    await batch.settle();
    await until(async () => await server.run("LLEN", "queue") === 0);
  });
  assert.equal(mostOf("LPOS", scripts), 50);
});

Deno.test("What is known of equal messages is read and written once in a script where they are handled late", async () => {
  await using server = await TestServer.start();
  const equal = new Array<string>(120).fill("equal");
  const scripts = await settleLate(server, equal, async (batch) => {
    const failed = { index: 1, reason: "failed" } as const;
    await batch.settle([{ ...failed, error: new Error("of the handler") }]);
    await until(async () => await server.run("LLEN", "queue") === 1);
  });
  const settled = scripts.filter((script) => script.has("LPOS"));
  assert.equal(mostOf("HGET", settled), 1);
  // Each of the fifty is noted as well.
  assert.equal(mostOf("HSET", settled), 51);
  const [history] = await server.run<string[]>("HVALS", "{queue}:deliveries");
  assert.match(history!, /^1\.0\.0\.0~~\w{31}1@\d+$/);
});
