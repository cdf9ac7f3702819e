import assert from "node:assert/strict";
import {
  Connection,
  type Credentials,
  type RedisArgs,
} from "../../src/redis/mod.ts";
import { parseRedisArgs } from "../../src/redis/settings.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { Program } from "../programs.ts";
import { freePort, TestServer } from "../servers.ts";

/** Changes the password while a connection is open, then ends the connection. */
async function survivesNewPassword(
  args: RedisArgs,
  change: (password: string) => Promise<void>,
): Promise<void> {
  const port = freePort();
  await using server = await TestServer.start({ port });
  await server.run(
    "ACL",
    "SETUSER",
    "guest",
    "on",
    ">first",
    "~*",
    "&*",
    "+@all",
  );
  await change("first");
  const logger = new LineLogger();
  const options = { logger };
  await using connection = await Connection.connect({ ...args, port }, options);
  assert.equal(await connection.command(["ACL", "WHOAMI"]), "guest");
  await server.run("ACL", "SETUSER", "guest", "resetpass", ">second");
  await server.run("CLIENT", "KILL", "USER", "guest");
  // Until the new one is known here, the old one is refused.
  await logger.line(/error: .* refused the user's name or password/);
  await change("second");
  await inTime(connection.ready(), "the connection is back");
  assert.equal(await connection.command(["ACL", "WHOAMI"]), "guest");
  assert.ok(!logger.lines.some((line) => /first|second/.test(line)));
}

Deno.test("Connection reads the password from a file each time", async () => {
  const file = await Deno.makeTempFile();
  try {
    await survivesNewPassword(
      { username: "guest", password_file: file },
      (password) => Deno.writeTextFile(file, `${password}\n`),
    );
  } finally {
    await Deno.remove(file);
  }
});

Deno.test("Connection asks a function for user and password each time", async () => {
  let password = "";
  await survivesNewPassword(
    {
      credential_provider: () =>
        Promise.resolve({ username: "guest", password }),
    },
    (changed) => Promise.resolve(void (password = changed)),
  );
});

Deno.test("Connection says what is wrong with the source of a password", async () => {
  await using server = await TestServer.start({ port: freePort() });
  const { port } = server.args;
  const connect = (args: RedisArgs): Promise<Connection> =>
    Connection.connect({ ...args, port: port! }, { logger: new LineLogger() });
  await assert.rejects(connect({ password_file: "/nowhere/password" }), {
    name: "TypeError",
    message: /the file that `password_file` names cannot be read/,
  });
  const number = () => ({ password: 5 }) as unknown as Credentials;
  await assert.rejects(connect({ credential_provider: number }), {
    name: "TypeError",
    message: /`credential_provider` has to give an object/,
  });
  assert.throws(
    () => parseRedisArgs({ password: "x", password_file: "/run/password" }),
    /`password` and `password_file` exclude each other; set one of them$/,
  );
});

Deno.test("Connection asks again where a function for the password fails", async () => {
  await using server = await TestServer.start({ port: freePort() });
  const logger = new LineLogger();
  let isUp = false;
  const connecting = Connection.connect({
    port: server.args.port!,
    credential_provider: () => {
      if (!isUp) throw new Error("the vault is sealed: hunter2");
      return {};
    },
  }, { logger });
  await logger.line(/warn: .*`credential_provider` has failed\. Trying again/);
  isUp = true;
  await using connection = await inTime(connecting, "the connection");
  assert.equal(await connection.command(["PING"]), "PONG");
  assert.ok(!logger.lines.some((line) => line.includes("hunter2")));
});

Deno.test("Connection asks again where a function for the password never answers, and can be closed meanwhile", async () => {
  await using server = await TestServer.start({ port: freePort() });
  const logger = new LineLogger();
  const never = (): Promise<Credentials> => new Promise(() => {});
  let provide = never;
  const connecting = Connection.connect({
    port: server.args.port!,
    socket_connect_timeout: 1,
    credential_provider: () => provide(),
  }, { logger });
  await logger.line(
    /`credential_provider` has given nothing within 1 s\. Trying again/,
  );
  provide = () => Promise.resolve({});
  await using connection = await inTime(connecting, "the connection");
  const isAsked = Promise.withResolvers<void>();
  provide = () => {
    isAsked.resolve();
    return never();
  };
  connection.renew();
  await isAsked.promise;
  await inTime(connection.close(), "the end");
});

for (
  const [argument, place] of [
    ["password_file", "pipe"],
    ["ssl_ca_certs", "pipe"],
    ["ssl_ca_path", "."],
  ]
) {
  Deno.test(`Connection leaves nothing behind that reads \`${argument}\` where that never comes`, async () => {
    const folder = await Deno.makeTempDir();
    const { success } = await new Deno.Command("mkfifo", {
      args: [`${folder}/pipe`],
    }).output();
    assert.ok(success);
    // What reads on would keep this program alive.
    await using program = new Program(["tests/redis/give_up.ts"], {
      input: JSON.stringify({
        port: freePort(),
        ssl: argument !== "password_file",
        socket_connect_timeout: 1,
        [argument!]: `${folder}/${place}`,
      }),
    });
    const { stdout } = await program.end();
    assert.equal(stdout, "closed\n");
    await Deno.remove(folder, { recursive: true });
  });
}
