import assert from "node:assert/strict";
import { Inbox } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { freePort, TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { handleAll, numbers } from "./inboxes.ts";

type Forge = (answer: string) => string;
const OPTIONS = { queue: "queue", heartbeatTimeout: 3, batchSize: 10 };

/** Consumes through a proxy that forges one answer, and looks at what is left. */
async function consume(
  text: string,
  forge: Forge,
  beforehand: number,
): Promise<void> {
  await using server = await TestServer.start({ port: freePort() });
  await using proxy = new TcpProxy(server.args.port!);
  const logger = new LineLogger();
  const messages = numbers(40);
  const first = messages.slice(0, beforehand);
  if (first.length > 0) await server.run("RPUSH", "queue", ...first);
  const forged = proxy.forge(text, forge);
  const args = { port: proxy.port };
  await using inbox = await Inbox.open(args, { ...OPTIONS, logger });
  const handled = new Set<string>();
  const reading = handleAll(inbox, handled);
  const waits = / cmd=blmove /;
  await until(async () =>
    handled.size > 0 || inbox.stats().reconnects > 0 ||
    waits.test(await server.run("CLIENT", "LIST"))
  );
  await server.run("RPUSH", "queue", ...messages.slice(beforehand));
  await inTime(forged, "an answer is forged");
  await until(() => handled.size === messages.length);
  await until(() => inbox.stats().reconnects === 1);
  await inbox.stop();
  await inTime(reading, "the last batch is settled");
  assert.deepEqual([...handled].toSorted(), messages.toSorted());
  const problems = logger.lines.filter((line) => /^(warn|error)/.test(line));
  assert.equal(problems.length, 1, problems.join("\n"));
  assert.match(
    problems[0]!,
    /^warn: Cannot stay connected to Redis at \S+: (what came as the answer to \w+ has the shape of another one|the server sent what answers no command|that is an HTTP server, not Redis; check `port`)\. Connecting again\.$/,
  );
  assert.deepEqual(await server.run("KEYS", "*"), []);
}

const forgeries: Record<string, [string, Forge, number]> = {
  "an OK before a batch": ["\r\nn7\r\n", (answer) => `+OK\r\n${answer}`, 20],
  "a null for a batch": ["\r\nn7\r\n", () => "_\r\n", 20],
  "a null for the messages of a batch": [
    "\r\nn7\r\n",
    () => "*2\r\n$0\r\n\r\n_\r\n",
    20,
  ],
  "an OK before what was waited for": [
    "$2\r\nn0\r\n",
    (answer) => `+OK\r\n${answer}`,
    0,
  ],
  "a null before what was waited for": [
    "$2\r\nn0\r\n",
    (answer) => `_\r\n${answer}`,
    0,
  ],
  "an answer to nothing": ["\r\nn7\r\n", (answer) => `${answer}+OK\r\n`, 20],
  "what is no answer": ["\r\nn7\r\n", () => "HTTP/1.1 400 Bad\r\n\r\n", 20],
};

for (const [name, forgery] of Object.entries(forgeries)) {
  Deno.test(`Inbox connects again and loses nothing after ${name}`, async () => {
    await consume(...forgery);
  });
}
