import assert from "node:assert/strict";
import fc from "fast-check";
import { Connection, Inbox } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { LoopbackServer } from "../loopback_server.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { handleAll } from "./inboxes.ts";

const encoder = new TextEncoder();

/** Answers everything the same, or goes on without an end, and counts what is taken. */
class Impostor extends LoopbackServer {
  readonly #begin: Uint8Array;
  readonly #more: Uint8Array;
  sent = 0;

  constructor(begin: string, more = "") {
    super();
    this.#begin = encoder.encode(begin);
    this.#more = encoder.encode(more);
  }

  protected override async serve(client: Deno.TcpConn): Promise<void> {
    try {
      const buffer = new Uint8Array(4096);
      for (let count; (count = await client.read(buffer)) !== null;) {
        const text = new TextDecoder().decode(buffer.subarray(0, count));
        for (const _command of text.matchAll(/^\*\d+\r$/gm)) {
          await client.write(this.#begin);
        }
        while (this.#more.length > 0) {
          this.sent += await client.write(this.#more);
        }
      }
    } catch {
      // The client is gone.
    }
    client.close();
  }
}

const impostors: Record<string, [RegExp, begin: string, more?: string]> = {
  "an HTTP server": [
    /that is an HTTP server, not Redis; check `port`/,
    "HTTP/1.1 400 Bad Request\r\n\r\n",
  ],
  "an HTTP server that answers with a page alone": [
    /that is an HTTP server, not Redis; check `port`/,
    '<!DOCTYPE HTML>\n<html lang="en">\n    <head>\n',
  ],
  "an HTTP server whose page has no type": [
    /that is an HTTP server, not Redis; check `port`/,
    "\r\n<html><head><title>400 Bad Request</title></head>",
  ],
  "an SSH server": [
    /that is an SSH server, not Redis; check `port`/,
    "SSH-2.0-OpenSSH_9.2\r\n",
  ],
  "a server that expects TLS": [
    /the server expects TLS; use `rediss:\/\/` or `ssl`/,
    "\x15\x03\x01\x00\x02\x02\x28",
  ],
  "a mail server": [
    /that is not Redis: it begins with "220 mail.example/,
    "220 mail.example ESMTP\r\n",
  ],
  "a text of 2 GB": [
    /it announces an answer of 2000000000 bytes, more than is read/,
    "$2000000000\r\n",
    "x".repeat(2 ** 16),
  ],
  "a list of a thousand million elements": [
    /it announces an answer of 1000000000 elements, more than is read/,
    "*1000000000\r\n",
    ":1\r\n".repeat(1000),
  ],
  "many lists in lists": [
    /it announces an answer of \d+ elements, more than is read/,
    "*1000000\r\n".repeat(10),
  ],
  "a length without an end": [
    /it announces \d+ or more, more than is read/,
    "$99999999999999999999999999999",
  ],
  "lists that nest without an end": [
    /it sends lists that nest more than 16 deep/,
    "",
    "*1\r\n".repeat(1000),
  ],
  "a line without an end": [
    /it sends a line without an end/,
    "+",
    "x".repeat(2 ** 16),
  ],
  "a list of texts without an end": [
    /it sends an answer of more than 1048576 bytes/,
    "*1000000\r\n",
    "$10\r\n0123456789\r\n".repeat(1000),
  ],
  "a length that is none": [
    /what it sends is not the protocol of Redis/,
    "$1x\r\n",
  ],
  "a map for everything": [
    /what came as the answer to PING has the shape of another one/,
    "%0\r\n",
  ],
  "a null for everything": [
    /what came as the answer to HELLO has the shape of another one/,
    "_\r\n",
  ],
  "an answer to nothing": [
    /the server sent what answers no command/,
    "%0\r\n+OK\r\n",
  ],
};

for (const [name, [expected, ...answer]] of Object.entries(impostors)) {
  Deno.test(`Connection says what is wrong with ${name}, and reads no further`, async () => {
    await using impostor = new Impostor(...answer);
    const logger = new LineLogger();
    using abort = new Abort();
    const connecting = Connection.connect({ port: impostor.port }, {
      logger,
      signal: abort.signal,
    });
    const line = await logger.line(/^warn/);
    abort[Symbol.dispose]();
    await assert.rejects(connecting);
    assert.match(line, /^warn: Cannot connect to Redis at 127\.0\.0\.1:\d+: /);
    assert.match(line, expected);
    // What the system has room for may be on its way.
    assert.ok(impostor.sent < 32 * 2 ** 20, `${impostor.sent}`);
  });
}

/** Aborts at the end of a block. */
class Abort extends AbortController implements Disposable {
  [Symbol.dispose](): void {
    this.abort();
  }
}

Deno.test("Connection gives up an answer that trickles without an end", async () => {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  const args = { port: proxy.port, socket_timeout: 2 };
  const logger = new LineLogger();
  await using connection = await Connection.connect(args, { logger });
  await server.run("SET", "key", "value");
  proxy.forge("value", () => "$600\r\nx");
  const asked = assert.rejects(
    connection.command(["GET", "key"]),
    { code: "connection" },
  );
  const drip = setInterval(() => proxy.inject("x"), 100);
  await inTime(asked, "the answer is given up");
  clearInterval(drip);
  await logger.line(
    /the server has sent \d+ bytes of an answer in [\d.]+ s\. Connecting again/,
  );
  await connection.ready();
  assert.equal(await connection.command(["GET", "key"]), "value");
});

/** Something that is hardly ever the right answer to what a consumer asks. */
const rubbish = fc.oneof(
  fc.constantFrom(
    "+OK\r\n",
    "_\r\n",
    "$-1\r\n",
    "*-1\r\n",
    "*0\r\n",
    "%1\r\n+a\r\n:1\r\n",
    "~1\r\n:1\r\n",
    "#t\r\n",
    ",1.5\r\n",
    "(12345678901234567890\r\n",
    "=7\r\ntxt:abc\r\n",
    "!3\r\nERR\r\n",
    ">0\r\n",
    ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n",
    ">3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n",
    ">3\r\n$7\r\nmessage\r\n$1\r\na\r\n$1\r\nb\r\n",
    "*2\r\n$0\r\n\r\n:1\r\n",
    "$2000000000\r\n",
    "*1000000000\r\n",
    "*1\r\n".repeat(1000),
    "-ERR something\r\n",
    "-READONLY no\r\n",
    "-MOVED 1 127.0.0.1:1\r\n",
    "-LOADING data\r\n",
    "HTTP/1.1 400 Bad Request\r\n\r\n",
  ),
  fc.integer().map((number) => `:${number}\r\n`),
  fc.array(fc.integer({ min: 0, max: 255 }), { minLength: 1, maxLength: 40 })
    .map((bytes) => String.fromCharCode(...bytes)),
  fc.string({ unit: fc.constantFrom(..."*$+-:_%>#\r\n01"), minLength: 1 }),
);

const fault = fc.record({
  rubbish,
  place: fc.constantFrom("instead", "before", "after", "torn"),
  skipped: fc.nat(6),
});

type Fault = typeof fault extends fc.Arbitrary<infer Value> ? Value : never;

/** Forges one of the next answers. */
async function breakOne(
  proxy: TcpProxy,
  { rubbish, place, skipped }: Fault,
): Promise<void> {
  for (let count = 0; count < skipped; count++) {
    await proxy.forge("", (answer) => answer);
  }
  await proxy.forge("", (answer) => {
    if (place === "instead") return rubbish;
    if (place === "before") return rubbish + answer;
    if (place === "after") return answer + rubbish;
    return answer.slice(0, -1) + rubbish;
  });
}

for (const delivery of ["at-least-once", "at-most-once"] as const) {
  Deno.test(`Inbox ${delivery} survives whatever it is answered`, async () => {
    await using server = await TestServer.start({ port: freePort() });
    await using proxy = new TcpProxy(server.args.port!);
    const logger = new LineLogger();
    const args = { port: proxy.port, socket_timeout: 0.5 };
    await using inbox = await Inbox.open(args, {
      queue: "queue",
      delivery,
      heartbeatTimeout: 1.5,
      batchSize: 10,
      logger,
    });
    const handled: string[] = [];
    const reading = handleAll(inbox, { add: (text) => handled.push(text) });
    let sent = 0;
    let faults = 0;
    await fc.assert(
      fc.asyncProperty(fault, async (fault) => {
        faults++;
        const forged = breakOne(proxy, fault);
        let isForged = false;
        forged.finally(() => isForged = true);
        const messages: string[] = [];
        // Answers come as long as there is something to ask.
        while (!isForged) {
          const message = `n${sent++}`;
          messages.push(message);
          await server.run("RPUSH", "queue", message);
          await new Promise((resolve) => setTimeout(resolve, 5));
        }
        const last = `n${sent++}`;
        await server.run("RPUSH", "queue", last);
        messages.push(last);
        // An answer to a wait that is swallowed is missed when the wait is over.
        await until(
          async () =>
            delivery === "at-least-once"
              ? messages.every((message) => handled.includes(message))
              : await server.run("LLEN", "queue") === 0,
          "all messages are there",
          60,
        ).catch((error) => {
          const lines = logger.lines.slice(-9).join("\n");
          throw new Error(`${error.message}: ${messages}\n${lines}`);
        });
      }),
      { numRuns: 60, endOnFailure: true },
    );
    await inbox.stop();
    await inTime(reading, "the last batch is settled");
    // A number that is a lie may be believed first, and noticed later.
    const problems = logger.lines.filter((line) =>
      /^warn: .*Connecting again|^error/.test(line)
    );
    assert.ok(problems.length <= faults, problems.join("\n"));
    if (delivery === "at-most-once") {
      assert.equal(new Set(handled).size, handled.length);
    } else {
      // What is remembered of settled messages expires by itself.
      const keys = await server.run<string[]>("KEYS", "*");
      assert.deepEqual(keys.filter((key) => !key.endsWith(":handled")), []);
    }
  });
}
