import assert from "node:assert/strict";
import { RedisBackend } from "../../src/backend/mod.ts";
import { Event } from "../../src/bus/mod.ts";
import { queueStatus } from "../../src/redis/mod.ts";
import { inTime } from "../in_time.ts";
import { LineLogger } from "../line_logger.ts";
import { CERTIFICATES, freePort, TestServer } from "../servers.ts";

/** Commands that hosts of managed servers keep to themselves. */
const KEPT = [
  ...["ACL", "BGREWRITEAOF", "BGSAVE", "CONFIG", "DEBUG", "FAILOVER"],
  ...["LATENCY", "MODULE", "MONITOR", "PSYNC", "REPLICAOF", "SAVE"],
  ...["SHUTDOWN", "SLAVEOF", "SLOWLOG", "SYNC"],
];

Deno.test("A managed server does, which speaks TLS, wants a password and keeps commands to itself", async () => {
  const port = freePort();
  const ssl_ca_certs = `${CERTIFICATES}ca.crt`;
  await using _server = await TestServer.startTls({
    port,
    config: [
      "requirepass sesame",
      ...KEPT.map((name) => `rename-command ${name} ""`),
    ],
    redisArgs: { password: "sesame", ssl: true, ssl_ca_certs },
  });
  const redisArgs = {
    url: `rediss://default:sesame@127.0.0.1:${port}`,
    ssl_ca_certs,
  };
  const logger = new LineLogger();
  const failed = Promise.withResolvers<void>();
  const handled = Promise.withResolvers<void>();
  await using backend = new RedisBackend({
    redisArgs,
    deviceId: "hall",
    maxDeliveries: 1,
    stopTimeout: 60,
    logger,
  });
  backend.registerAction("light.on", () => "on");
  backend.bus.registerHandler(Event, ({ args }) => {
    if (args.type === "custom.Good") return handled.resolve();
    failed.resolve();
    throw new Error("no bulb");
  });
  await backend.start();
  await backend.sendEvent({ args: { type: "custom.Good" } });
  await inTime(handled.promise, "an event is handled");
  const response = await backend.sendRequest({ action: "light.on" });
  assert.equal(response.output, "on");
  await backend.sendEvent({ args: { type: "custom.Bad" } });
  await inTime(failed.promise, "an event is refused");
  await logger.line(/warn: .*dead letter/);
  assert.equal(await backend.deadLetters().count(), 1);
  const status = await queueStatus(redisArgs);
  assert.equal(status.length, 0);
  assert.equal(status.deadLetters.count, 1);
  assert.equal(status.consumers.length, 1);
  // A wait that cannot be ended is short: others take half a minute.
  await inTime(backend.stop(), "the backend stops", 20);
});
