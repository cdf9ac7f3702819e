// deno-lint-ignore-file no-console
/**
 * Consumes from a server whose name moves to another one, while the old one still
 * answers. Runs in a namespace whose name server it is; prints what happens.
 */
import { Inbox, Outbox, type RedisError } from "../../src/redis/mod.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { handleAll } from "./inboxes.ts";
import { NameServer } from "./name_server.ts";

const PORT = 7400;
const NAME = "redis.test";
/** Connections by the name: the outbox', and two of the inbox. */
const CONNECTIONS = 3;

await using names = await NameServer.start(NAME);
await using old = await TestServer.start({ socket: false, port: 7401 });
await using next = await TestServer.start({ socket: false, port: 7402 });
await using _old = new TcpProxy(7401, { hostname: "127.0.0.2", port: PORT });
await using _next = new TcpProxy(7402, { hostname: "127.0.0.3", port: PORT });
const logger = new LineLogger();
// Looked up often, though an answer may take its time.
const args = {
  host: NAME,
  port: PORT,
  health_check_interval: 0.1,
  socket_timeout: 60,
};
names.point("127.0.0.2");
await using outbox = new Outbox(args, { logger });
await using inbox = await Inbox.open(args, { queue: "queue", logger });
const handled: string[] = [];
const reading = handleAll(inbox, { add: (text) => handled.push(text) });
await outbox.push("queue", "old");
await until(() => handled.includes("old"));

// Another address beside the old one is no reason to go.
names.point("127.0.0.3", "127.0.0.2");
await names.asked(5 * CONNECTIONS);
console.log("reconnects:", inbox.stats().reconnects);

names.point("127.0.0.3");
let sent = 0;
// Nobody has to be idle for that, and nothing is lost.
await until(async () => {
  await send(`sent ${sent}`);
  sent++;
  return inbox.stats().reconnects >= 2 && (await next.redis.command<string>(
    ["CLIENT", "LIST"],
  )).includes("cmd=rpush");
});
await next.run("RPUSH", "queue", "new");
await until(() => handled.includes("new"));
await until(async () => (await old.clients()) === 0);
console.log("moves:", await next.clients() > 1);
// What was sent to the old one while it was left lies there, or was handled.
const all = [...handled, ...await messagesOf(old)];
const isMissing = (_: unknown, at: number): boolean =>
  !all.includes(`sent ${at}`);
console.log("sent:", sent > 0);
console.log("lost:", Array.from({ length: sent }).filter(isMissing).length);
console.log(
  logger.lines.filter((line) => /^(warn|error)/.test(line)).join("\n"),
);
await inbox.stop();
await reading;

/** Sends until the server says that it has the message, as whoever must not lose it does. */
async function send(text: string): Promise<void> {
  for (let isSent = false; !isSent;) {
    try {
      await outbox.push("queue", text);
      isSent = true;
    } catch (error) {
      // A server may be left in the middle of a command, if that takes long.
      const { code, mayHaveRun } = error as RedisError;
      if (code !== "connection" || !mayHaveRun) throw error;
    }
  }
}

/** The messages on a server: in the queue, and in the hands of those who have left. */
async function messagesOf(server: TestServer): Promise<string[]> {
  const held = await server.run<string[]>("KEYS", "{queue}:processing:*:*");
  const lists = await Promise.all(
    ["queue", ...held].map((key) =>
      server.run<string[]>("LRANGE", key, "0", "-1")
    ),
  );
  return lists.flat();
}
