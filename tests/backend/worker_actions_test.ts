import assert from "node:assert/strict";
import * as z from "zod";
import { Bus, type Response } from "../../mod.ts";
import { LineLogger } from "../line_logger.ts";
import { Listener } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";
import { Client } from "./action_client.ts";
import type { Command } from "./action_worker.ts";

/** A worker that registers actions on a bus. */
class ActionWorker implements Disposable {
  readonly #worker: Worker;
  readonly #said: string[] = [];

  constructor(name: string) {
    const url = new URL("./action_worker.ts", import.meta.url);
    this.#worker = new Worker(url, { type: "module", name });
    this.#worker.onmessage = ({ data }) => this.#said.push(data);
  }

  /** Starts a worker that has an action. */
  static async with(
    action: string,
    bus: Bus,
    { name = "lights", timeout, group }: {
      name?: string;
      timeout?: number;
      group?: string;
    } = {},
  ): Promise<ActionWorker> {
    const worker = new ActionWorker(name);
    await worker.tell({
      do: "open",
      name: bus.name,
      ...(group !== undefined && { group }),
    });
    await worker.tell({
      do: "register",
      action,
      ...(timeout !== undefined && { timeout }),
    });
    return worker;
  }

  async tell(command: Command): Promise<void> {
    this.#worker.postMessage(command);
    await this.says("done");
  }

  async says(text: string): Promise<void> {
    await until(() => this.#said.includes(text), text, 120);
    this.#said.splice(this.#said.indexOf(text), 1);
  }

  hasSaid(text: string): boolean {
    return this.#said.includes(text);
  }

  [Symbol.dispose](): void {
    this.#worker.terminate();
  }
}

Deno.test("A worker answers requests with what it has registered on its bus, until it ends that", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  await listener.backend.start();
  using worker = await ActionWorker.with("lights.*", listener.bus);
  const answer = await client.ask("lights.on", { room: "hall" });
  assert.deepEqual(answer.output, {
    by: "lights",
    args: { room: "hall" },
    from: "kitchen",
  });
  assert.deepEqual(
    (await client.ask("lights.on", { fail: "no bulb" })).errors,
    ["no bulb"],
  );
  assert.equal(listener.bus.subscribers, 1);
  await worker.tell({ do: "unregister", action: "lights.*" });
  await until(() => listener.bus.subscribers === 0);
});

Deno.test("A request that a worker has at work is answered when its time is over, and when the worker dies", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  await listener.backend.start();
  using worker = await ActionWorker.with("lights.on", listener.bus, {
    timeout: 0.2,
  });
  const late = await client.ask("lights.on", { hang: true });
  assert.match(String(late.errors), /not finished within 0\.2 s/);
  await worker.says("aborted: TimeoutError");
  using other = await ActionWorker.with("lights.off", listener.bus, {
    name: "other",
  });
  const answer = client.ask("lights.off", { hang: true });
  await other.says("hangs");
  other[Symbol.dispose]();
  assert.match(
    String((await answer).errors),
    /thread "other" was at work on the action, and is gone/,
  );
  assert.match(
    String((await client.ask("lights.off")).errors),
    /There is no action "lights.off"; the nearest one is "lights.on"/,
  );
});

Deno.test("Of two workers with one action the first is asked until it is gone, and the second says that it stands by", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  await listener.backend.start();
  using first = await ActionWorker.with("lights.on", listener.bus, {
    name: "first",
  });
  const logger = new LineLogger();
  await using bus = new Bus({ name: listener.bus.name, logger });
  bus.registerAction("lights.on", () => "here");
  await bus.ready();
  await logger.line(/"lights.on" is registered in "first" already/);
  const by = async (): Promise<unknown> =>
    (await client.ask("lights.on")).output;
  assert.deepEqual(await by(), { by: "first", args: {}, from: "kitchen" });
  await first.tell({ do: "close" });
  assert.equal(await by(), "here");
});

Deno.test("The members of a group share an action: each request goes to whoever has the least to do", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  await listener.backend.start();
  const offer = (name: string, group = "lights"): Promise<ActionWorker> =>
    ActionWorker.with("lights.on", listener.bus, { name, group });
  using first = await offer("first");
  using second = await offer("second");
  using _stranger = await offer("stranger", "others");
  const by = async (): Promise<string> =>
    ((await client.ask("lights.on")).output as { by: string }).by;
  const all = [await by(), await by(), await by(), await by()];
  assert.deepEqual(all.toSorted(), ["first", "first", "second", "second"]);

  // Whoever is busy is asked no more while another one is not.
  const hanging = client.ask("lights.on", { hang: true });
  await until(() => first.hasSaid("hangs") || second.hasSaid("hangs"));
  const [worker, free] = first.hasSaid("hangs")
    ? [first, "second"]
    : [second, "first"];
  assert.deepEqual([await by(), await by()], [free, free]);
  worker[Symbol.dispose]();
  assert.match((await hanging).errors.join(), /was at work on the action/);
  assert.deepEqual([await by(), await by()], [free, free]);
});

Deno.test("The backend's own actions go before those of workers, and a token counts for all", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { token: "secret" });
  await using client = new Client(server);
  await listener.backend.start();
  using _worker = await ActionWorker.with("lights.on", listener.bus);
  assert.match(
    String((await client.ask("lights.on")).errors),
    /the token is missing/,
  );
  listener.backend.registerAction("lights.on", () => "by the backend");
  const { output } = await client.ask("lights.on", {}, { token: "secret" });
  assert.equal(output, "by the backend");
});

Deno.test("Bus.registerAction ends by a block and a signal, and refuses a second one of a name", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  await using client = new Client(server);
  const { backend, bus } = listener;
  await backend.start();
  const end = new AbortController();
  bus.registerAction("sum", ({ numbers }) => numbers.reduce((a, b) => a + b), {
    schema: z.object({ numbers: z.array(z.number()) }),
    description: "Adds numbers",
    signal: end.signal,
  });
  await bus.ready();
  assert.throws(() => bus.registerAction("sum", () => 1), /already registered/);
  assert.throws(() => bus.registerAction("a b", () => 1), TypeError);
  {
    using _other = bus.registerAction("other", () => 5);
    assert.equal((await client.ask("other")).output, 5);
  }
  assert.equal((await client.ask("sum", { numbers: [1, 2] })).output, 3);
  const { errors } = await client.ask("sum", { numbers: ["x"] });
  assert.match(String(errors), /^args\.numbers\.0: /);
  const { output } = await client.ask("inspect.get_all_plugins");
  const { actions } = (output as Record<string, never>)[""]!;
  const { doc, schema } = actions["sum"]!;
  assert.equal(doc, "Adds numbers");
  assert.deepEqual((schema as Record<string, unknown>)["required"], [
    "numbers",
  ]);
  assert.equal(actions["other"], undefined);
  end.abort();
  await until(() => bus.subscribers === 0);
});

Deno.test("Backend.sendRequest checks args and output by schemas, and gives the output its type", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server);
  const { backend } = listener;
  backend.registerAction("sum", ({ numbers }) => {
    if (numbers === 5) return "no number";
    if (numbers === 6) throw new Error("no sum");
    return { sum: 3 };
  });
  await backend.start();
  interface Numbers {
    numbers: unknown;
  }
  const ask = (
    numbers: unknown,
    schema?: z.ZodType,
  ): Promise<Response<{ sum: bigint }>> => {
    const args: Numbers = { numbers };
    return backend.sendRequest({ action: "sum", args }, {
      responseTimeout: 60,
      schema,
      output: z.object({ sum: z.coerce.bigint() }),
    });
  };
  const sum: bigint = (await ask([1, 2])).output.sum;
  assert.equal(sum, 3n);
  await assert.rejects(
    ask([1, "x"], z.object({ numbers: z.array(z.number()) })),
    /The request's args do not fit the schema: numbers\.1: /,
  );
  assert.equal(backend.stats().answered, 1);
  await assert.rejects(ask(5), { name: "MessageError", message: /output/ });
  assert.deepEqual((await ask(6)).errors, ["no sum"]);
});
