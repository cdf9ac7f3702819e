import assert from "node:assert/strict";
import { Event, FileOnce, HubBus, pauseQueue, RedisBackend } from "../mod.ts";
import { Identity, knownPeersIn } from "../src/backend/identity.ts";
import { servicePlace } from "../src/backend/service_place.ts";
import { Advertiser, discover } from "../src/zeroconf/mod.ts";
import { runProgram } from "./programs.ts";
import { TestServer } from "./servers.ts";

/** What needs the host's name, and what its error says to do otherwise. */
const PLACES: Readonly<Record<string, [() => unknown, RegExp]>> = {
  "a backend": [() => new RedisBackend(), /`deviceId`/],
  "a backend that takes every message": [
    () => new RedisBackend({ deviceId: "*" }),
    /`deviceId`/,
  ],
  "a message": [
    () => new Event({ target: "hall", args: { type: "custom" } }),
    /`target` and `origin`/,
  ],
  "a message of a text": [
    () => Event.build('{"type": "event", "args": {"type": "custom"}}'),
    /`deviceId`/,
  ],
  "an advertiser": [() => new Advertiser(), /`host`/],
  "the service of a server that is not on the loopback interface": [
    () =>
      servicePlace({
        address: { host: "redis.test", port: 6379 },
        db: 0,
        tls: undefined,
      }),
    /registerService/,
  ],
  "a pause": [() => pauseQueue({}), /`by`/],
};

/** Waits for the error that names the permission, and what to do otherwise. */
async function lacksName(
  use: () => unknown,
  instead: RegExp,
): Promise<void> {
  await assert.rejects(async () => await use(), (error: Error) => {
    assert.ok(error instanceof Deno.errors.NotCapable, `${error}`);
    assert.match(error.message, /^Cannot .* run it with --allow-sys=hostname/);
    assert.match(error.message, instead);
    return true;
  });
}

for (const [place, [use, instead]] of Object.entries(PLACES)) {
  Deno.test({
    name: `Without the host's name, ${place} says what to do`,
    permissions: {},
    fn: () => lacksName(use, instead),
  });
}

Deno.test({
  name: "Without the host's name, a request to a hub says what to do",
  permissions: { net: true, env: true, run: true, read: true, write: true },
  fn: async () => {
    await using server = await TestServer.start();
    await using bus = await HubBus.open({ redisArgs: server.args });
    const ask = (): unknown => bus.sendRequest({ target: "hub", action: "a" });
    await lacksName(ask, /`deviceId`/);
  },
});

/** What needs another permission, the flag, and what its error says to do otherwise. */
const OTHERS: Readonly<Record<string, [() => unknown, RegExp, RegExp]>> = {
  "the network interfaces": [
    () => discover({ timeout: 1 }),
    /--allow-sys=networkInterfaces/,
    /without Zeroconf/,
  ],
  "the file of a memory": [
    () => new FileOnce("/memory.db"),
    /--allow-read=\/memory\.db --allow-write=/,
    /`RedisOnce`/,
  ],
  "the folder of an identity": [
    () => Identity.open("/keys"),
    /--allow-read=\/keys --allow-write=\/keys/,
    /leave `identity` out/,
  ],
  "the folder of the peers that are known": [
    () => knownPeersIn("/keys")!.remember("hall", "SHA256:a"),
    /--allow-read=\/keys --allow-write=\/keys/,
    /leave `identity` out/,
  ],
};

for (const [what, [use, flag, instead]] of Object.entries(OTHERS)) {
  Deno.test({
    name: `Without ${what}, the error names the flag and what to do`,
    // Deno loses a resource where a file may not be read that can be given up.
    permissions: { read: true },
    fn: () =>
      assert.rejects(async () => await use(), (error: Error) => {
        assert.ok(error instanceof Deno.errors.NotCapable, `${error}`);
        assert.match(
          error.message,
          /^Cannot .* Deno does not let this program/,
        );
        assert.match(error.message, flag);
        assert.match(error.message, instead);
        return true;
      }),
  });
}

Deno.test("Without the port of the dashboard, its error names the flag and another port", async () => {
  const args = ["dashboard", "--url", "redis://127.0.0.1:1", "--port", "8481"];
  const { code, stderr } = await runProgram(["cli.ts", ...args], {
    permissions: ["--allow-net=127.0.0.1:1", "--allow-sys", "--allow-env"],
  });
  assert.equal(code, 2, stderr);
  assert.match(
    stderr,
    /^error: Cannot listen on [^\n]*--allow-net=127\.0\.0\.1:8481[^\n]*--port\n$/,
  );
});

for (
  const args of [
    ["listen"],
    ["send", "event", "custom.A"],
    ["send", "event", "custom.A", "--bus"],
    ["pause"],
    ["dashboard", "--bus"],
  ]
) {
  Deno.test(`Without the host's name, the command ${args.join(" ")} names --device-id`, async () => {
    const { code, stderr } = await runProgram(
      ["cli.ts", ...args, "--url", "redis://127.0.0.1:1"],
      { permissions: ["--allow-net", "--allow-env"] },
    );
    assert.equal(code, 2, stderr);
    assert.match(
      stderr,
      /^error: Cannot [^\n]*--allow-sys=hostname[^\n]*--device-id[^\n]*\n$/,
    );
  });
}
