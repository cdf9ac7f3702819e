import assert from "node:assert/strict";
import { TestServer } from "../servers.ts";

const MODULE = new URL("../../mod.ts", import.meta.url).href;
const CONFIG = new URL("../../deno.json", import.meta.url).pathname;

/** Runs a program until it ends by itself. */
async function run(body: string, args: string[]): Promise<string> {
  const code = `
    import { Backend, RedisBackend } from ${JSON.stringify(MODULE)};
    const [path] = Deno.args;
    ${body}
    console.log("the end of the main program");`;
  const { stdout, stderr, code: exitCode } = await new Deno.Command(
    Deno.execPath(),
    {
      args: ["eval", "--config", CONFIG, "--ext=ts", code, ...args],
      env: { NO_COLOR: "1" },
    },
  ).output();
  assert.equal(exitCode, 0, new TextDecoder().decode(stderr));
  return new TextDecoder().decode(stdout);
}

Deno.test("A daemon lets the process end while it consumes", async () => {
  await using server = await TestServer.start();
  const output = await run(
    `const backend = new RedisBackend({
      redisArgs: { url: path }, daemon: true,
    });
    backend.bus.registerHandler("custom.Motion", () => {});
    await backend.start();
    await backend.sendEvent({ args: { type: "custom.Motion" } });
    console.log(backend.isAlive());`,
    [server.url],
  );
  assert.equal(output, "true\nthe end of the main program\n");
});

Deno.test("A backend that is no daemon keeps the process alive until it stops", async () => {
  const output = await run(
    `class Waiting extends Backend {
      override async run() {
        // A timer that keeps no process alive: the backend has to.
        await Promise.race([this.waitStop(), new Promise((resolve) =>
          Deno.unrefTimer(setTimeout(resolve, 100)))]);
        console.log("run() ends");
      }
    }
    const backend = new Waiting();
    await backend.start();`,
    [],
  );
  assert.equal(output, "the end of the main program\nrun() ends\n");
});

Deno.test("A daemon that is waited for still starts and stops", async () => {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  const running = run(
    `const backend = new RedisBackend({
      redisArgs: { port: Number(path) }, daemon: true,
    });
    // The main program itself does not wait, which would keep the process alive.
    (async () => {
      await backend.start();
      await backend.stop();
      console.log(backend.isAlive());
    })();`,
    [String(port)],
  );
  // It has to try again, and nothing else keeps the process alive meanwhile.
  (await listener.accept()).close();
  listener.close();
  await using _server = await TestServer.start({ port });
  assert.equal(await running, "the end of the main program\nfalse\n");
});
