import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import {
  Connection,
  startRedis,
  type StartRedisOptions,
} from "../../src/redis/mod.ts";
import { runProgram } from "../programs.ts";
import { freePort, TestServer } from "../servers.ts";
import { installCommand } from "../../src/redis/start_redis.ts";
import { until } from "../until.ts";
import { Program } from "../programs.ts";

Deno.test("startRedis starts a server and leaves nothing behind", async () => {
  const server = await startRedis();
  assert.ok(existsSync(server.address));
  await server.stop();
  await server.stop();
  assert.ok(!existsSync(server.address));
  assert.ok(!existsSync(server.address.replace(/\/redis\.sock$/, "")));
  assert.throws(() => Deno.kill(server.pid, "SIGCONT"), Deno.errors.NotFound);
});

for (const state of ["", ", though the server is stopped"]) {
  Deno.test(`startRedis leaves nothing behind when its owner is killed${state}`, async () => {
    const program = `
    import { startRedis } from "${new URL("../../mod.ts", import.meta.url)}";
    const { pid, redisArgs } = await startRedis();
    console.log(JSON.stringify([pid, redisArgs.unix_socket_path]));
    setInterval(() => {}, 1000);
  `;
    const owner = new Deno.Command(Deno.execPath(), {
      args: ["eval", program],
      stdout: "piped",
    }).spawn();
    const lines = owner.stdout.pipeThrough(new TextDecoderStream()).getReader();
    const [pid, path] = JSON.parse((await lines.read()).value!);
    Deno.kill(pid, state === "" ? "SIGCONT" : "SIGSTOP");
    owner.kill("SIGKILL");
    await owner.status;
    await lines.cancel();
    const directory = path.replace(/\/[^/]*$/, "");
    const isThere = (): Promise<boolean> =>
      Deno.stat(directory).then(() => true, () => false);
    await until(async () => !await isThere(), "the server's folder is removed");
    assert.throws(() => Deno.kill(pid, "SIGCONT"), Deno.errors.NotFound);
  });
}

Deno.test("startRedis warns that a server may outlive its owner", async () => {
  const permissions = ["net", "sys", "env", "read", "write"]
    .map((name) => `--allow-${name}`);
  const listen = (programs: string): Program =>
    new Program(["cli.ts", "listen", "--embedded"], {
      permissions: [...permissions, `--allow-run=${programs}`],
    });
  for (const [programs, warns] of [["sh,", 0], ["", 1]] as const) {
    await using program = listen(`${programs}redis-server,valkey-server`);
    await program.says(/Listening to/);
    const { code, stderr } = await program.end("SIGTERM");
    assert.equal(code, 0);
    assert.equal(
      stderr.match(/stays behind: .*--allow-run=sh/g)?.length ?? 0,
      warns,
    );
  }
});

Deno.test("startRedis has nothing to say of a server that takes its time", async () => {
  const folder = await Deno.makeTempDir();
  const slow = `${folder}/slow-redis`;
  const script = '#!/bin/sh\nsleep 1\nexec redis-server "$@"\n';
  await Deno.writeTextFile(slow, script, { mode: 0o755 });
  const program = `
    import { startRedis } from "${new URL("../../mod.ts", import.meta.url)}";
    await using server = await startRedis({ programs: ["${slow}"] });
  `;
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["eval", "--quiet", program],
  }).output();
  assert.equal(new TextDecoder().decode(stderr), "");
  assert.ok(success);
  await Deno.remove(folder, { recursive: true });
});

Deno.test("startRedis names what installs a server", async () => {
  await assert.rejects(
    startRedis({ programs: ["no-such-redis"] }),
    (error: Error) =>
      error instanceof Deno.errors.NotFound &&
      error.message.endsWith(`Install it with: ${installCommand()}`),
  );
});

Deno.test("startRedis says in one line why the server did not start", async () => {
  await using other = await TestServer.start({ port: freePort() });
  const { port } = other.args;
  const directory = await Deno.makeTempDir();
  await Deno.writeTextFile(`${directory}/dump.rdb`, "REDIS0009rubbish");
  const wrong: [StartRedisOptions, RegExp][] = [
    [{ port: port! }, new RegExp(`^Cannot start Redis: port ${port} .* taken`)],
    [{ directory: "/no/such" }, /the server ended at once\..*No such file/],
    // It repeats the line that it does not understand.
    [{ config: ["requirepass s3cret s3cret"] }, /at once\..*number of arg/],
    // Behind that it counts what it has read, up to "0 already expired".
    [{ directory }, /at once\..*(loading|reading|RDB).*(loading|reading|RDB)/],
  ];
  for (const [options, expected] of wrong) {
    const error = await startRedis(options).then(
      () => assert.fail("It was started"),
      (error: Error) => error,
    );
    assert.match(error.message, expected);
    assert.doesNotMatch(error.message, /\n|s3cret/);
  }
  await Deno.remove(directory, { recursive: true });
});

Deno.test("startRedis says what it lacks on this machine", async () => {
  const run = async (
    permissions: string[],
    env: Record<string, string> = {},
  ): Promise<string> => {
    const args = ["cli.ts", "listen", "--embedded"];
    const ended = await runProgram(args, { permissions, env });
    assert.notEqual(ended.code, 0);
    assert.match(ended.stderr, /^error: Cannot start Redis[^\n]*\n$/);
    return ended.stderr;
  };
  const few = ["--allow-net", "--allow-sys", "--allow-env"];
  const all = /--allow-run, --allow-read and --allow-write: Requires/;
  assert.match(await run(few), all);
  assert.match(await run([...few, "--allow-read", "--allow-write"]), all);
  assert.match(await run(["-A"], { TMPDIR: "/no/such" }), /check TMPDIR/);
});

Deno.test({
  name: "startRedis on a port says that it lacks the network",
  permissions: { run: true, read: true, write: true },
  fn: async () => {
    await assert.rejects(startRedis({ port: 6380 }), {
      name: "NotCapable",
      message: /^Cannot start Redis on a port without [^:]*--allow-net: Req/,
    });
  },
});

Deno.test("startRedis keeps a directory that it did not make", async () => {
  const directory = await Deno.makeTempDir();
  try {
    const config = ["appendonly yes", "appendfsync always"];
    for (const expected of [1, 2]) {
      await using server = await startRedis({ directory, config });
      await using redis = await Connection.connect(server.redisArgs);
      assert.equal(await redis.command(["RPUSH", "queue", "x"]), expected);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("installCommand goes by the package manager at hand", async () => {
  const directory = await Deno.makeTempDir();
  try {
    for (const program of ["apk", "brew", "pacman", "dnf", "apt-get"]) {
      await Deno.writeTextFile(`${directory}/${program}`, "");
      assert.match(
        installCommand(["/nowhere", directory]),
        new RegExp(`^(sudo )?${program} \\S+ \\S+`),
      );
      await Deno.remove(`${directory}/${program}`);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
