import assert from "node:assert/strict";
import {
  Connection,
  type RedisArgs,
  type RedisError,
} from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { CERTIFICATES, freePort, TestServer } from "../servers.ts";

const authority: RedisArgs = {
  ssl: true,
  ssl_ca_certs: `${CERTIFICATES}ca.crt`,
};
const client: RedisArgs = {
  ...authority,
  ssl_certfile: `${CERTIFICATES}client.crt`,
  ssl_keyfile: `${CERTIFICATES}client.key`,
};

/** Starts a server that only speaks TLS and wants to see a client's certificate. */
async function startTls(
  certificate = "server",
  args: RedisArgs = {},
): Promise<TestServer & { port: number }> {
  const port = freePort();
  const server = await TestServer.startTls({
    certificate,
    asksClients: true,
    port,
    redisArgs: { ...client, ...args },
  });
  return Object.assign(server, { port });
}

async function ping(args: RedisArgs): Promise<unknown> {
  await using connection = await Connection.connect(args);
  return await connection.command(["PING"]);
}

Deno.test("Connection speaks TLS", async () => {
  await using server = await startTls();
  const { port } = server;
  assert.equal(await ping({ ...client, port }), "PONG");
  const ssl_ca_data = await Deno.readTextFile(`${CERTIFICATES}ca.crt`);
  const { ssl_ca_certs: _, ...rest } = client;
  const url = `rediss://127.0.0.1:${port}`;
  assert.equal(await ping({ ...rest, url, ssl_ca_data }), "PONG");
  assert.equal(await ping({ ...rest, url, ssl_cert_reqs: "none" }), "PONG");
  const ssl_ca_path = await Deno.makeTempDir();
  await Deno.copyFile(`${CERTIFICATES}ca.crt`, `${ssl_ca_path}/5ed36f99.0`);
  assert.equal(await ping({ ...rest, url, ssl_ca_path }), "PONG");
  await Deno.remove(ssl_ca_path, { recursive: true });
  assert.equal(
    await ping({
      ...client,
      port,
      ssl_keyfile: `${CERTIFICATES}client_encrypted.key`,
      ssl_password: "secret",
    }),
    "PONG",
  );
});

Deno.test("Connection checks the server's name unless told otherwise", async () => {
  await using server = await startTls();
  const { port } = server;
  const localhost = { ...client, host: "localhost", port };
  await assert.rejects(
    ping(localhost),
    (error: RedisError) => error.code === "tls",
  );
  assert.equal(await ping({ ...localhost, ssl_check_hostname: false }), "PONG");
});

Deno.test("Connection says that a certificate has expired", async () => {
  await using server = await startTls("expired", { ssl_cert_reqs: "none" });
  await assert.rejects(
    ping({
      ...client,
      port: server.port,
      ssl_ca_certs: `${CERTIFICATES}expired_ca.crt`,
    }),
    (error: RedisError) => {
      assert.equal(error.code, "tls");
      assert.match(
        error.message,
        /^Cannot connect to Redis at \S+: the TLS handshake failed \(.*has expired.*\); check the `ssl\.\.\.` arguments$/,
      );
      return true;
    },
  );
});

Deno.test("Connection says what is wrong with TLS", async () => {
  await using server = await startTls();
  const { port } = server;
  const wrong: [string, RedisArgs][] = [
    ["no authority", { ...client, port, ssl_ca_certs: null }],
    ["another authority", {
      ...client,
      port,
      ssl_ca_certs: `${CERTIFICATES}other_ca.crt`,
    }],
    ["no client certificate", { ...authority, port }],
  ];
  for (const [what, args] of wrong) {
    await assert.rejects(
      ping(args),
      (error: RedisError) => {
        assert.equal(error.code, "tls", `${what}: ${error.message}`);
        assert.match(error.message, /`ssl\.\.\.`/);
        return true;
      },
    );
  }
  await assert.rejects(
    ping({ ...client, port, ssl_keyfile: "/nonexistent.key" }),
    (error: Error) =>
      error instanceof TypeError && error.message.includes("`ssl_keyfile`"),
  );
});

Deno.test("Connection says which file of TLS cannot be used, instead of leaving it out", async () => {
  await using server = await startTls();
  const args = { ...client, port: server.port };
  const encrypted = `${CERTIFICATES}client_encrypted.key`;
  const trusted = await Deno.makeTempFile();
  const certificate = await Deno.readTextFile(client.ssl_certfile!);
  await Deno.writeTextFile(
    trusted,
    certificate.replaceAll(" CERTIFICATE-", " TRUSTED CERTIFICATE-"),
  );
  const wrong: [RegExp, RedisArgs][] = [
    [/`ssl_keyfile` names is encrypted; set `ssl_password`$/, {
      ssl_keyfile: encrypted,
    }],
    [/`ssl_keyfile` names cannot be opened with `ssl_password`$/, {
      ssl_keyfile: encrypted,
      ssl_password: "not the password",
    }],
    [/`ssl_keyfile` names has no private key in PEM$/, {
      ssl_keyfile: `${CERTIFICATES}client.crt`,
    }],
    [/`ssl_certfile` names has no private key in PEM; set `ssl_keyfile`$/, {
      ssl_keyfile: null,
    }],
    [/`ssl_certfile` names has no certificate in PEM$/, {
      ssl_certfile: `${CERTIFICATES}client.key`,
    }],
    [/`ssl_certfile` names has no certificate in PEM$/, {
      ssl_certfile: trusted,
    }],
    [/`ssl_ca_certs` names has no certificate in PEM$/, {
      ssl_ca_certs: `${CERTIFICATES}client.key`,
    }],
  ];
  for (const [message, change] of wrong) {
    await assert.rejects(ping({ ...args, ...change }), {
      name: "TypeError",
      message,
    });
  }
  await Deno.remove(trusted);
});

Deno.test("Connection opens an encrypted key behind a certificate in one file", async () => {
  await using server = await startTls();
  const folder = await Deno.makeTempDir();
  try {
    const ssl_certfile = `${folder}/client.pem`;
    const parts = ["client.crt", "client_encrypted.key"].map((name) =>
      Deno.readTextFileSync(`${CERTIFICATES}${name}`)
    );
    await Deno.writeTextFile(ssl_certfile, parts.join(""));
    const args = { ...authority, ssl_certfile, ssl_password: "secret" };
    assert.equal(await ping({ ...args, port: server.port }), "PONG");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Connection reads renewed certificates when it connects again", async () => {
  await using server = await startTls();
  const folder = await Deno.makeTempDir();
  const authority = `${folder}/ca.crt`;
  try {
    await Deno.copyFile(`${CERTIFICATES}ca.crt`, authority);
    const logger = new LineLogger();
    const distrusted = Promise.withResolvers<void>();
    logger.error = (text): void => {
      assert.match(text, /the TLS handshake failed/);
      distrusted.resolve();
    };
    await using connection = await Connection.connect({
      ...client,
      port: server.port,
      ssl_ca_certs: authority,
    }, { logger });
    await Deno.copyFile(`${CERTIFICATES}other_ca.crt`, authority);
    await server.run("CLIENT", "KILL", "ID", String(connection.id));
    await inTime(distrusted.promise, "the other authority");
    await Deno.copyFile(`${CERTIFICATES}ca.crt`, authority);
    await inTime(connection.ready(), "the connection");
    assert.equal(await connection.command(["PING"]), "PONG");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("Connection has a hint where only one side speaks TLS", async () => {
  await using server = await startTls();
  await using plain = await TestServer.start({ port: freePort() });
  const wrong: [RegExp, RedisArgs][] = [
    [/broke the connection off; if it expects TLS, use .rediss:/, {
      port: server.port,
    }],
    [/\(does the server speak TLS\?\)/, {
      ...client,
      port: plain.args.port!,
      socket_connect_timeout: 0.2,
    }],
  ];
  for (const [expected, args] of wrong) {
    const abort = new AbortController();
    const logger = new LineLogger();
    const { signal } = abort;
    const ended = assert.rejects(
      Connection.connect(args, { signal, logger }),
      (error: RedisError) => error.code === "closed",
    );
    const warning = await logger.line(/^warn: /);
    abort.abort();
    await ended;
    assert.match(warning, expected);
  }
});
