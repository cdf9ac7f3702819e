import assert from "node:assert/strict";
import config from "../../deno.json" with { type: "json" };
import { Program, runProgram } from "../programs.ts";
import { testAlone } from "../test_alone.ts";

const README = new URL("../../README.md", import.meta.url);

/** The flags that the README names. */
async function documentedFlags(): Promise<string[]> {
  const text = await Deno.readTextFile(README);
  const [, flags] =
    /^`listen` needs `(--allow-[^`]+)` and nothing else/m.exec(text) ?? [];
  assert.ok(flags);
  return flags.split(" ");
}

Deno.test("The README names the permissions of -P=listen", async () => {
  const { listen } = config.permissions;
  assert.deepEqual(
    await documentedFlags(),
    Object.keys(listen).map((name) => `--allow-${name}`),
  );
});

testAlone(
  "Every export works with exactly the permissions that the README names",
  async (namespace, test) => {
    const permissions = await documentedFlags();
    const server = namespace.start("redis-server", ["--save", ""]);
    while (!(await server.line())?.includes("Ready to accept"));
    const env = { PLATYPUSH_DEVICE_ID: "hall" };
    const options = { namespace, permissions, env };
    const run = (...args: string[]): ReturnType<typeof runProgram> =>
      runProgram(args, options);
    const send = async (path: string, ...args: string[]): Promise<void> => {
      const { code, stderr } = await run(path, ...args);
      assert.deepEqual([code, stderr], [0, ""]);
    };

    await test.step(". and ./zeroconf", async () => {
      await using listen = new Program(["examples/listen.ts"], options);
      await listen.says(/Advertised as hall\._platypush-redis/);
      await send("examples/send.ts", "custom.One", "n=1");
      const { args } = JSON.parse(await listen.line());
      assert.deepEqual(args, { type: "custom.One", n: 1 });
      const found = await run("examples/discover.ts");
      assert.equal(found.code, 0, found.stderr);
      assert.equal(JSON.parse(found.stdout).deviceId, "hall");
      const { code, stderr } = await listen.end("SIGINT");
      assert.equal(code, 0, stderr);
    });

    await test.step("./bus", async () => {
      const { code, stdout, stderr } = await run("examples/bus.ts");
      assert.deepEqual([code, stderr], [0, ""]);
      assert.match(stdout, /It is hot in the attic/);
    });

    await test.step("./cli", async () => {
      await using listen = new Program(["cli.ts", "listen"], options);
      await listen.says(/: consuming/);
      await send("cli.ts", "send", "event", "custom.Two", "n=2");
      assert.equal(JSON.parse(await listen.line()).args.type, "custom.Two");
      assert.equal((await listen.end("SIGINT")).code, 0);
      for (const command of ["status", "doctor"]) {
        const { code, stdout } = await run("cli.ts", command);
        assert.equal(code, 0, stdout);
      }
    });

    await test.step("./dashboard", async () => {
      const served = ["cli.ts", "dashboard", "--port", "8480"];
      await using dashboard = new Program(served, options);
      const url = await dashboard.line();
      const asked = await run("tests/examples/page_text.ts", url);
      assert.deepEqual([asked.code, asked.stderr], [0, ""]);
      assert.match(asked.stdout, /Dead letters/);
      const { code, stderr } = await dashboard.end("SIGINT");
      assert.deepEqual([code, stderr], [0, "Ctrl-C ends it.\n"]);
    });
  },
);

Deno.test("A worker that may not be read ends examples/worker.ts with one line", async () => {
  const { code, stderr } = await runProgram(["examples/worker.ts"], {
    permissions: await documentedFlags(),
    env: { REDIS_URL: "redis://127.0.0.1:1" },
  });
  assert.equal(code, 1);
  assert.match(stderr, /^error: .*--allow-read/m);
  assert.doesNotMatch(stderr, /\n\s+at /);
});
