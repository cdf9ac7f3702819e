import assert from "node:assert/strict";
import * as z from "zod";
import { RedisBackend } from "../../mod.ts";
import { runProgram } from "../programs.ts";
import { TestServer } from "../servers.ts";
import { at, QUEUE } from "./helpers.ts";

type Result = Awaited<ReturnType<typeof runProgram>>;

async function withLamp(
  register: (lamp: RedisBackend) => void,
  act: (run: (...args: string[]) => Promise<Result>) => Promise<void>,
): Promise<void> {
  await using server = await TestServer.start();
  await using lamp = new RedisBackend({
    redisArgs: server.args,
    deviceId: "lamp",
    token: "s3cret",
  });
  register(lamp);
  await lamp.start();
  await act((...args) =>
    runProgram(["cli.ts", "actions", ...args, ...at(server)], {
      env: { PLATYPUSH_TOKEN: "s3cret" },
    })
  );
}

Deno.test("actions lists what a device can do, as a table or as JSON", () =>
  withLamp((lamp) => {
    lamp.registerAction("lights.on", () => {}, {
      description: "Turns lights on.\nAnd more.",
      schema: z.object({
        room: z.string(),
        level: z.int().default(100),
        colour: z.string().optional(),
      }),
    });
    lamp.registerAction("ping", () => "pong\u001b[31m", {
      description: "\u001b[31m",
    });
  }, async (run) => {
    const [text, json] = await Promise.all([
      run("--target", "lamp"),
      run("--target", "lamp", "--json"),
    ]);
    assert.equal(text.code, 0, text.stderr);
    assert.deepEqual(text.stdout.split("\n").map((line) => line.trimEnd()), [
      "ACTION                       ARGUMENTS                                        DESCRIPTION",
      "inspect.get_all_plugins      …                                                Describes the actions of this device",
      "inspect.get_enabled_plugins  …                                                Gives what the names of this device's actions begin with",
      "lights.on                    room: str, level: int = 100, colour: str = None  Turns lights on.",
      "ping                         …                                                \\u{1b}[31m",
      "",
    ]);
    const lines = json.stdout.trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    assert.deepEqual(lines.map(({ action }) => action), [
      "inspect.get_all_plugins",
      "inspect.get_enabled_plugins",
      "lights.on",
      "ping",
    ]);
    assert.equal(lines[2].doc, "Turns lights on.\nAnd more.");
    assert.equal(lines[2].args.room.required, true);
    assert.deepEqual(lines[2].schema.required, ["room"]);
  }));

Deno.test("actions lists what a Platypush has enabled, and with --all the rest", () => {
  const action = { name: "on", doc: null, args: {}, has_kwargs: false };
  const plugins = {
    "light.hue": { name: "light.hue", actions: { on: action } },
    mpd: { name: "mpd", actions: { play: { ...action, name: "play" } } },
  };
  return withLamp((lamp) => {
    lamp.registerAction("inspect.get_all_plugins", () => plugins);
    lamp.registerAction("inspect.get_enabled_plugins", () => ["light.hue"]);
  }, async (run) => {
    const [some, all] = await Promise.all([
      run("--target", "lamp", "--json"),
      run("--target", "lamp", "--json", "--all"),
    ]);
    assert.deepEqual(JSON.parse(some.stdout), {
      action: "light.hue.on",
      doc: null,
      args: {},
      has_kwargs: false,
    });
    assert.equal(all.stdout.trim().split("\n").length, 2);
  });
});

Deno.test("actions says why a device does not tell", () =>
  withLamp((lamp) => {
    lamp.registerAction("inspect.get_all_plugins", () => "none");
  }, async (run) => {
    const [wrong, refused, nobody, twoPlaces] = await Promise.all([
      run("--target", "lamp"),
      run("--target", "lamp", "--token", "gu3ss"),
      run("--target", "nobody", "--wait", "5"),
      run("--bus", "--to", "lamp"),
    ]);
    assert.deepEqual([wrong.code, wrong.stdout, wrong.stderr], [
      1,
      "",
      'error: "lamp" has answered what lists no actions, expected an object with plugins\n',
    ]);
    assert.deepEqual([refused.code, refused.stderr], [
      1,
      'error: "lamp" does not tell what it can do: Refused: the token is wrong\n',
    ]);
    assert.equal(nobody.code, 1);
    assert.match(nobody.stderr, /^error: No response .* within 5 s/);
    assert.equal(twoPlaces.code, 2);
  }));

Deno.test("actions leaves nothing in the queue where nobody answers", async () => {
  await using server = await TestServer.start();
  const { code, stderr } = await runProgram(
    ["cli.ts", "actions", "--wait", "5", ...at(server)],
  );
  assert.equal(code, 1);
  assert.match(stderr, /^error: No response .* was taken back\n$/);
  assert.equal(await server.run("LLEN", QUEUE), 0);
});
