import assert from "node:assert/strict";
import { ConfigError, loadConfig } from "../../mod.ts";
import { Program } from "../programs.ts";
import { Folder } from "./folder.ts";

/** Asserts that a file cannot be read, and why. */
async function refuses(path: string, problem: string | RegExp): Promise<void> {
  await assert.rejects(loadConfig(path, { env: {} }), (error) => {
    assert.ok(error instanceof ConfigError, String(error));
    const start = `Cannot load the configuration: ${path} `;
    assert.ok(error.message.startsWith(start), error.message);
    const said = error.message.slice(start.length);
    if (problem instanceof RegExp) assert.match(said, problem);
    else assert.equal(said, problem);
    return true;
  });
}

Deno.test("loadConfig says why a file cannot be read", async () => {
  await using folder = await Folder.make({ "config.yaml": "" });
  await refuses(folder.file("gone.yaml"), "does not exist");
  await refuses(folder.path, "is a folder");
  await refuses(
    folder.file("config.yaml/x"),
    /cannot be read \(Not a directory \(os error 20\).*\)/,
  );
  await Deno.writeFile(folder.file(), Uint8Array.of(0x61, 0x3a, 0x20, 0xe4));
  await refuses(folder.file(), "is not encoded in UTF-8");
});

Deno.test({
  name: "loadConfig says that a file belongs to somebody else",
  ignore: Deno.build.os === "windows" || Deno.uid() === 0,
  fn: async () => {
    await using folder = await Folder.make({ "config.yaml": "" });
    await Deno.chmod(folder.file(), 0);
    await refuses(
      folder.file(),
      "may not be read by this user; check its owner and mode",
    );
  },
});

Deno.test("loadConfig reads up to 1 MiB", async () => {
  await using folder = await Folder.make();
  const fill = (size: number): Promise<void> =>
    folder.write("config.yaml", "device_id: x\n#".padEnd(size, "-"));
  await fill(2 ** 20);
  assert.deepEqual(await loadConfig(folder.file()), { deviceId: "x" });
  await fill(2 ** 20 + 1);
  await refuses(folder.file(), "is larger than 1 MiB, and is not read");
});

Deno.test({
  name: "loadConfig reads a pipe to its end",
  ignore: Deno.build.os === "windows",
  fn: async () => {
    await using folder = await Folder.make();
    const mkfifo = new Deno.Command("mkfifo", { args: [folder.file()] });
    assert.ok((await mkfifo.output()).success);
    const reading = loadConfig(folder.file());
    const pipe = await Deno.open(folder.file(), { write: true });
    // More than a pipe holds at once.
    const comments = `# ${"-".repeat(98)}\n`.repeat(2000);
    const text = `${comments}device_id: livingroom\n`;
    await new Blob([text]).stream().pipeTo(pipe.writable);
    assert.deepEqual(await reading, { deviceId: "livingroom" });
  },
});

Deno.test("the parser prints nothing, whatever the environment says", async () => {
  await using folder = await Folder.make({ "config.yaml": "token: x\n" });
  const env = { LOG_STREAM: "1", LOG_TOKENS: "1" };
  assert.equal(
    await run(["--allow-read", "--allow-env"], env, folder.file()),
    JSON.stringify({ options: { token: "x" }, file: folder.file() }),
  );
});

/** Runs `resolveConfig` in a process that has only such permissions. */
async function run(
  permissions: string[],
  env: Record<string, string>,
  ...args: string[]
): Promise<string> {
  await using program = new Program(["tests/config/show_config.ts", ...args], {
    permissions: ["--no-check", ...permissions],
    env,
  });
  const { stdout, stderr } = await program.end();
  assert.equal(stderr, "");
  return stdout.trim();
}

Deno.test("resolveConfig makes do without permissions", async (test) => {
  await using folder = await Folder.make({
    "config.yaml": "device_id: mine\n",
    "platypush/config.yaml": "device_id: usual\n",
  });
  const env = { XDG_CONFIG_HOME: folder.path, PLATYPUSH_REDIS_QUEUE: "q" };
  const nothing = JSON.stringify({ options: {} });

  await test.step("none at all", async () => {
    assert.equal(await run([], env), nothing);
  });
  await test.step("no file", async () => {
    assert.equal(
      await run(["--allow-env"], env),
      JSON.stringify({ options: { queue: "q" } }),
    );
  });
  await test.step("some variables", async () => {
    const file = folder.file("platypush/config.yaml");
    assert.equal(
      await run(["--allow-env=XDG_CONFIG_HOME", "--allow-read"], env),
      JSON.stringify({ options: { deviceId: "usual" }, file }),
    );
  });
  await test.step("a file that somebody asks for", async () => {
    const file = folder.file();
    assert.equal(
      await run([], env, file),
      `Cannot load the configuration: ${file} may not be read; run the program with --allow-read=${file}`,
    );
    assert.equal(
      await run([`--allow-read=${file}`], env, file),
      JSON.stringify({ options: { deviceId: "mine" }, file }),
    );
  });
});
