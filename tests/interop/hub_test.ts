import assert from "node:assert/strict";
import {
  Event,
  GapEvent,
  HubBus,
  type HubBusOptions,
  Message,
  RedisBackend,
  type RedisError,
  Request,
} from "../../mod.ts";
import { inTime } from "../in_time.ts";
import { freePort, TestServer } from "../servers.ts";
import { LineLogger } from "../line_logger.ts";
import { whyNoRedisPy } from "../python.ts";
import { Program, runProgram } from "../programs.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { testUnless } from "../test_unless.ts";
import { until } from "../until.ts";
import { Hub } from "./hub.ts";

const reason = await whyNoRedisPy();

interface Setting {
  readonly port: string;
  readonly server: TestServer;
  readonly logger: LineLogger;
  open(options?: Partial<HubBusOptions>): Promise<HubBus>;
}

let names = 0;

function testWithHub(
  name: string,
  fn: (setting: Setting) => Promise<void>,
): void {
  testUnless(reason, name, async () => {
    const port = freePort();
    await using server = await TestServer.start({ port });
    const logger = new LineLogger();
    await fn({
      port: String(port),
      server,
      logger,
      open: (options) =>
        HubBus.open({
          name: `test/hub-${names++}`,
          redisArgs: { port },
          deviceId: "deno",
          logger,
          ...options,
        }),
    });
  });
}

const motion = (n: number): Record<string, unknown> => ({
  type: "event",
  target: "hub",
  args: { type: "custom.Motion", n },
});

testWithHub(
  "HubBus hears what the hub says, and tells it what is posted here",
  async ({ port, open }) => {
    await using hub = await Hub.start("channel", port, "hub");
    await using bus = await open();
    assert.equal(bus.hub, "channel");
    const seen: unknown[] = [];
    bus.on({ type: "custom.Motion" }, ({ args }) => seen.push(args.n));
    await hub.post({ type: "custom.Motion", n: 1 });
    await until(() => seen.length === 1);

    // What is posted here is told once, and does not come back.
    await bus.post([motion(2), motion(3)]);
    await until(() => hub.taken.length === 3);
    await hub.post({ type: "custom.Motion", n: 4 });
    await until(() => seen.length === 4);
    assert.deepEqual(seen, [1, 2, 3, 4]);
    // What came from the hub is not told to it again.
    await bus.post(motion(5));
    await until(() => hub.taken.length === 5);
    assert.equal(new Set(hub.taken.map(({ id }) => id)).size, 5);
  },
);

for (const kind of ["channel", "list"]) {
  testWithHub(
    `HubBus sends a request to a hub with a ${kind}, and gets its response`,
    async ({ port, open }) => {
      await using hub = await Hub.start(kind, port, "hub");
      await using bus = await open();
      assert.equal(bus.hub, kind);
      const request = { target: "hub", action: "test.echo", args: { n: 1 } };
      const response = await bus.sendRequest(request);
      assert.deepEqual(response.output, { n: 1 });
      assert.equal(response.target, "deno");

      // One that is posted is executed, too.
      await bus.post(new Request(request));
      await until(() => hub.taken.length === 2);
      assert.deepEqual(hub.taken.map(({ kind }) => kind), [
        "request",
        "request",
      ]);
    },
  );

  testWithHub(
    `HubBus asks a hub with a ${kind} again that has just started, but only once`,
    async ({ port, server, open }) => {
      await using bus = await open();
      assert.equal(bus.hub, "none");
      // What it took to find that out left no trace.
      assert.equal(await server.run("EXISTS", "platypush/bus"), 0);
      await using hub = new Hub(kind, port, "hub", "1");
      const response = await bus.sendRequest(
        { target: "hub", action: "test.echo", args: { n: 1 } },
        { responseTimeout: 20 },
      );
      assert.deepEqual(response.output, { n: 1 });
      assert.equal(bus.hub, kind);
      assert.deepEqual(hub.taken.map(({ kind }) => kind), ["request"]);
    },
  );
}

testWithHub(
  "HubBus waits for no response where there is no time for one, and a request that nobody waits for ends nothing",
  async ({ port, open }) => {
    await using hub = await Hub.start("channel", port, "hub");
    await using bus = await open();
    const request = { target: "hub", action: "test.echo" };
    const answers = [
      await bus.sendRequest(request, { responseTimeout: 0 }),
      await bus.sendRequest(request, { responseTimeout: null }),
      await bus.sendRequest(request, { response_timeout: null }),
    ];
    assert.deepEqual(answers, [undefined, undefined, undefined]);
    await until(() => hub.taken.length === 3);
    const late = { responseTimeout: 0.05 };
    bus.sendRequest({ target: "nobody", action: "a" }, late);
    bus.sendRequest("rubbish", late);
    // Both have failed by then; an unhandled rejection fails the test.
    await assert.rejects(
      bus.sendRequest({ target: "nobody", action: "a" }, {
        responseTimeout: 0.1,
      }),
      { name: "TimeoutError" },
    );
  },
);

testWithHub(
  "HubBus sends a request, once, although its connection was dead by then",
  async ({ port, open }) => {
    await using hub = await Hub.start("channel", port, "hub");
    await using proxy = new TcpProxy(Number(port));
    await using bus = await open({
      redisArgs: { port: proxy.port, health_check_interval: 4 },
    });
    assert.equal(bus.hub, "channel");
    proxy.strand();
    // What is asked of the server first finds that out: only then nobody can have
    // heard the request.
    const response = await bus.sendRequest(
      { target: "hub", action: "test.echo", args: { n: 1 } },
      { responseTimeout: 60 },
    );
    assert.deepEqual(response.output, { n: 1 });
    assert.deepEqual(hub.taken.map(({ kind }) => kind), ["request"]);
  },
);

testWithHub(
  "HubBus takes nothing away from a hub with a list",
  async ({ port, server, open }) => {
    await using hub = await Hub.start("list", port, "hub");
    await using bus = await open();
    bus.registerHandler(Message, () => {});
    for (let n = 0; n < 20; n++) await hub.post({ type: "custom.Motion", n });
    await until(() => hub.taken.length === 20);
    // What it took to find out what kind of hub it is left no trace.
    assert.equal(await server.run("EXISTS", "platypush/bus"), 0);
  },
);

testWithHub(
  "HubBus tells of a gap, and hears the hub again",
  async ({ port, server, open, logger }) => {
    await using hub = await Hub.start("channel", port, "hub");
    await using bus = await open();
    const seen: unknown[] = [];
    bus.on({ type: "custom.Motion" }, ({ args }) => seen.push(args.n));
    const gap = Promise.withResolvers<GapEvent>();
    bus.addEventListener("gap", (event) => gap.resolve(event as GapEvent));
    const clients = await server.run<string>(
      "CLIENT",
      "LIST",
      "TYPE",
      "pubsub",
    );
    const ours = clients.split("\n").find((line) => line.includes("resp=3"))!;
    await server.run("CLIENT", "KILL", "ID", /id=(\d+)/.exec(ours)![1]!);
    const killed = Date.now() / 1000;
    const { from, to } = await inTime(gap.promise, "the gap");
    assert.ok(from <= killed && from <= to && to <= Date.now() / 1000);
    await hub.post({ type: "custom.Motion", n: 1 });
    await until(() => seen.length === 1);
    assert.ok(logger.lines.some((line) => /^warn: .*been missed/.test(line)));
  },
);

testWithHub(
  "HubBus tells of a gap that begins when the way fell silent, not when that was noticed",
  async ({ port, server, open }) => {
    await using proxy = new TcpProxy(Number(port));
    await using bus = await open({
      redisArgs: { port: proxy.port, health_check_interval: 2 },
    });
    const heard = Promise.withResolvers<unknown>();
    bus.on({ type: "custom.Motion" }, heard.resolve);
    const gap = Promise.withResolvers<GapEvent>();
    bus.addEventListener("gap", (event) => gap.resolve(event as GapEvent));
    const before = Date.now() / 1000;
    const text = JSON.stringify({ ...motion(1), origin: "hub" });
    await server.run("PUBLISH", "platypush/bus", text);
    await inTime(heard.promise, "the message");
    proxy.strand();
    const silent = Date.now() / 1000;
    const { from } = await inTime(gap.promise, "the gap");
    assert.ok(before <= from && from <= silent, `${before} ${from} ${silent}`);
  },
);

testWithHub(
  "HubBus tells of a gap when the hub says more than is handled here",
  async ({ server, open }) => {
    await using bus = await open();
    const release = Promise.withResolvers<void>();
    let count = 0;
    bus.registerHandler(Event, async () => {
      count++;
      await release.promise;
    });
    const gap = Promise.withResolvers<GapEvent>();
    bus.addEventListener("gap", (event) => gap.resolve(event as GapEvent));
    const text = JSON.stringify({ ...motion(1), origin: "hub" });
    const publishing = Array.from(
      { length: 11_000 },
      () => server.run("PUBLISH", "platypush/bus", text),
    );
    await Promise.all(publishing);
    release.resolve();
    const { from, to } = await inTime(gap.promise, "the gap");
    assert.ok(from <= to);
    await bus.flush();
    assert.ok(count >= 10_000 && count < 11_000, `${count}`);
  },
);

testWithHub(
  "RedisBackend on a HubBus hands the hub what comes to its queue",
  async ({ port, server, open }) => {
    await using hub = await Hub.start("channel", port, "hub");
    await using bus = await open({ deviceId: "hub" });
    await using backend = new RedisBackend({
      redisArgs: { port: Number(port) },
      queue: "queue",
      deviceId: "hub",
      bus,
    });
    await backend.start();
    await server.run("RPUSH", "queue", JSON.stringify(motion(1)));
    await until(() => hub.taken.length === 1);
    await until(() => backend.stats().delivered === 1);
  },
);

testWithHub(
  "HubBus passes over what is no message, and does not tell of each",
  async ({ server, open, logger }) => {
    await using bus = await open();
    const seen: unknown[] = [];
    bus.on({ type: "custom.Motion" }, ({ args }) => seen.push(args.n));
    for (const text of ["rubbish", "{}", JSON.stringify(motion(1))]) {
      await server.run("PUBLISH", "platypush/bus", text);
    }
    await until(() => seen.length === 1);
    const warnings = logger.lines.filter((line) => /is no message/.test(line));
    assert.equal(warnings.length, 1);
  },
);

testWithHub(
  "HubBus says that it may not listen",
  async ({ port, server, open }) => {
    await server.run(
      ...["ACL", "SETUSER", "deaf", "on", "nopass", "~*", "+@all"],
      "resetchannels",
    );
    const redisArgs = { port: Number(port), username: "deaf", password: "any" };
    await assert.rejects(
      open({ redisArgs }),
      (error: RedisError) =>
        error.code === "permission" &&
        error.message.startsWith('Cannot listen to "platypush/bus" at '),
    );
  },
);

testWithHub(
  "HubBus works for a user who may only publish and subscribe",
  async ({ port, server, open }) => {
    await using hub = await Hub.start("channel", port, "hub");
    await server.run(
      "ACL",
      "SETUSER",
      "narrow",
      "on",
      "nopass",
      "resetkeys",
      "resetchannels",
      "&platypush/bus",
      "-@all",
      "+subscribe",
      "+publish",
      "+ping",
      "+hello",
    );
    const redisArgs = {
      port: Number(port),
      username: "narrow",
      password: "any",
    };
    await using bus = await open({ redisArgs });
    assert.equal(bus.hub, "channel");
    await bus.post(motion(1));
    await until(() => hub.taken.length === 1);
  },
);

testWithHub("the command line hears a hub, and tells it", async ({ port }) => {
  await using hub = await Hub.start("channel", port, "hub");
  const url = ["--url", `redis://127.0.0.1:${port}`];
  await using listener = new Program(
    ["cli.ts", "listen", "--bus", "--count", "1", ...url],
  );
  await listener.says(/Listening to the bus/);
  await hub.post({ type: "custom.Motion", n: 1 });
  const { code, stdout } = await listener.end();
  const { args, origin } = JSON.parse(stdout);
  assert.deepEqual([code, origin, args.n], [0, "hub", 1]);

  const toHub = ["--bus", "--target", "hub", ...url];
  const event = await runProgram(
    ["cli.ts", "send", "event", "custom.Door", ...toHub],
  );
  assert.deepEqual([event.code, event.stdout], [0, ""], event.stderr);
  await until(() => hub.taken.some(({ kind }) => kind === "event"));
  const request = await runProgram(
    ["cli.ts", "send", "request", "test.echo", "n=1", "--wait", "30", ...toHub],
  );
  assert.equal(request.code, 0, request.stderr);
  assert.deepEqual(JSON.parse(request.stdout).response.output, { n: 1 });
  const lone = await runProgram(
    ["cli.ts", "send", "request", "test.echo", ...toHub],
  );
  assert.equal(lone.code, 0, lone.stderr);
  await until(() => hub.taken.some(({ id }) => id === lone.stdout.trim()));
});
