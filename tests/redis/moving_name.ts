// deno-lint-ignore-file no-console
/**
 * Consumes from a server whose name moves to another one, while the old one still
 * answers. Runs in a namespace with hosts of its own; prints what happens.
 */
import { Inbox, Outbox } from "../../src/redis/mod.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";
import { TcpProxy } from "../tcp_proxy.ts";
import { until } from "../until.ts";
import { handleAll } from "./inboxes.ts";

const PORT = 7400;
const NAME = "redis.test";

function point(...addresses: string[]): void {
  const lines = addresses.map((address) => `${address} ${NAME}\n`);
  Deno.writeTextFileSync(
    "/etc/hosts",
    `127.0.0.1 localhost\n${lines.join("")}`,
  );
}

await using old = await TestServer.start({ socket: false, port: 7401 });
await using next = await TestServer.start({ socket: false, port: 7402 });
await using _old = new TcpProxy(7401, { hostname: "127.0.0.2", port: PORT });
await using _next = new TcpProxy(7402, { hostname: "127.0.0.3", port: PORT });
const logger = new LineLogger();
const args = { host: NAME, port: PORT, health_check_interval: 0.1 };
point("127.0.0.2");
await using outbox = new Outbox(args, { logger });
await using inbox = await Inbox.open(args, { queue: "queue", logger });
const handled: string[] = [];
const reading = handleAll(inbox, { add: (text) => handled.push(text) });
await outbox.push("queue", "old");
await until(() => handled.includes("old"));

// Another address beside the old one is no reason to go.
point("127.0.0.3", "127.0.0.2");
await new Promise((resolve) => setTimeout(resolve, 1500));
console.log("stays:", inbox.stats().reconnects === 0);

point("127.0.0.3");
let sent = 0;
// Nobody has to be idle for that, and nothing is lost.
await until(async () => {
  // On a busy machine it may be left in the middle of a command.
  await outbox.push("queue", `sent ${sent}`).then(() => sent++, () => {});
  return inbox.stats().reconnects >= 2 && (await next.redis.command<string>(
    ["CLIENT", "LIST"],
  )).includes("cmd=rpush");
});
await next.run("RPUSH", "queue", "new");
await until(() => handled.includes("new"));
await until(async () => (await clients(old)) === 1);
console.log("moves:", await clients(next) > 2);
// What was sent to the old one while it was left lies there, or was handled.
const left = await old.run<string[]>("LRANGE", "queue", "0", "-1");
const all = [...handled, ...left];
const isThere = (_: unknown, at: number): boolean => all.includes(`sent ${at}`);
console.log("keeps all:", Array.from({ length: sent }).every(isThere));
console.log(
  logger.lines.filter((line) => /^(warn|error)/.test(line)).join("\n"),
);
await inbox.stop();
await reading;

async function clients(server: TestServer): Promise<number> {
  const list = await server.run<string>("CLIENT", "LIST");
  return list.trim().split("\n").length;
}
