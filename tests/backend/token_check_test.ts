import assert from "node:assert/strict";
import { Listener } from "../listener.ts";
import {
  RedisBackend,
  type RedisBackendOptions,
  resolveConfig,
} from "../../mod.ts";
import { TestServer } from "../servers.ts";
import { Client } from "./action_client.ts";

Deno.test("Backend executes only requests with the right token, and keeps it out of logs and answers", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, { token: "s3cret" });
  await using client = new Client(server);
  let executed = 0;
  listener.backend.registerAction("lights.on", () => ++executed);
  await listener.backend.start();
  const refused = async (token: string | null): Promise<unknown> =>
    (await client.ask("lights.on", {}, { token })).errors;
  assert.deepEqual(await refused(null), ["Refused: the token is missing"]);
  assert.deepEqual(await refused("s3cret "), ["Refused: the token is wrong"]);
  assert.deepEqual(await refused("gu3ss"), ["Refused: the token is wrong"]);
  // What actions there are is not for those without it.
  const unknown = await client.ask("lights.off", {}, { token: "gu3ss" });
  assert.deepEqual(unknown.errors, ["Refused: the token is wrong"]);
  assert.equal(executed, 0);
  const good = await client.ask("lights.on", {}, { token: "s3cret" });
  assert.deepEqual([good.output, good.errors], [1, []]);
  await listener.logger.line(
    /warn: .*"lights.on" from "kitchen" .*: Refused: the token is missing/,
  );
  await listener.backend.stop();
  await listener.logger.line(
    /warn: .*"lights.off" .*: Refused: the token is wrong; so were 2 before it/,
  );
  assert.doesNotMatch(listener.logger.lines.join("\n"), /s3cret|gu3ss/);
});

Deno.test("Backend lets a function check the token", async () => {
  await using server = await TestServer.start();
  await using listener = new Listener(server, {
    token: async (token, { action }) => {
      await Promise.resolve();
      if (token === "broken") throw new Error("secret database is gone");
      if (token === "yes") return "yes" as unknown as boolean;
      return token === `may ${action}`;
    },
  });
  await using client = new Client(server);
  listener.backend.registerAction("*", (_args, { action }) => action);
  await listener.backend.start();
  const ask = async (
    action: string,
    token: string | null,
  ): Promise<unknown> => {
    const { output, errors } = await client.ask(action, {}, { token });
    return errors[0] ?? output;
  };
  assert.equal(await ask("lights.on", "may lights.on"), "lights.on");
  assert.equal(
    await ask("tv.on", "may lights.on"),
    "Refused: the token is wrong",
  );
  assert.equal(await ask("tv.on", null), "Refused: the token is missing");
  assert.equal(await ask("tv.on", "yes"), "Refused: the token is wrong");
  assert.equal(
    await ask("tv.on", "broken"),
    "Refused: the token could not be checked",
  );
  await listener.logger.line(
    /error: The token check has failed: secret database is gone/,
  );
});

Deno.test("Backend refuses a request whose token check does not answer, and never executes it", async () => {
  await using server = await TestServer.start();
  const late = Promise.withResolvers<boolean>();
  await using listener = new Listener(server, {
    token: () => late.promise,
    actionTimeout: 0.1,
  });
  await using client = new Client(server);
  let executed = 0;
  listener.backend.registerAction("lights.on", () => ++executed, {
    timeout: Infinity,
  });
  await listener.backend.start();
  const { errors } = await client.ask("lights.on", {}, { token: "s3cret" });
  assert.deepEqual(errors, ["Refused: the token could not be checked"]);
  await listener.logger.line(
    /error: The token check has failed: it has not answered within 0.1 s/,
  );
  late.resolve(true);
  await late.promise;
  const again = await client.ask("lights.on", {}, { token: "s3cret" });
  assert.deepEqual([again.output, executed], [1, 1]);
});

Deno.test("Backend refuses a token that is there and undefined, as a variable that is not set", () => {
  const token = Deno.env.get("A_VARIABLE_THAT_IS_NOT_SET");
  assert.throws(() => new RedisBackend({ token }), {
    name: "TypeError",
    message:
      "Cannot make the backend: `token` is undefined, expected a text that is not empty, or in code a function; leave the option out to do without",
  });
  // Deliberately of the wrong type.
  const none = null as unknown as string;
  for (const token of ["", none]) {
    assert.throws(() => new RedisBackend({ token }), { name: "TypeError" });
  }
});

Deno.test("resolveConfig() refuses a token that is there and says nothing", async () => {
  const read = async (
    token: string,
    code: RedisBackendOptions,
  ): Promise<unknown> => {
    const file = await Deno.makeTempFile({ suffix: ".yaml" });
    await Deno.writeTextFile(file, `device_id: hall\n${token}\n`);
    try {
      return await resolveConfig({ flags: { config: file }, code });
    } finally {
      await Deno.remove(file);
    }
  };
  await assert.rejects(read("", { token: undefined }), /`token` is undefined/);
  await assert.rejects(read("token:", {}), /token/);
  await assert.rejects(read("token: ''", {}), /token/);
  await assert.rejects(
    read("token: ${A_VARIABLE_THAT_IS_NOT_SET}", {}),
    /token|A_VARIABLE/,
  );
});
