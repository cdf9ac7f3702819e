import assert from "node:assert/strict";
import { Event } from "../../mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { Listener, QUEUE } from "../listener.ts";
import { TestServer } from "../servers.ts";
import { until } from "../until.ts";

const DAY = 86_400_000;

Deno.test("RedisBackend goes on, and loses nothing, when its host's clock is set while it runs", async () => {
  await using server = await TestServer.start();
  const { now } = Date;
  using _clock = { [Symbol.dispose]: () => void (Date.now = now) };
  await using listener = new Listener(server, {
    heartbeatTimeout: HEARTBEAT,
    retryPause: 0.1,
  });
  const { backend } = listener;
  const seen: string[] = [];
  const failed = new Set<string>();
  listener.bus.registerHandler(Event, ({ args }) => {
    const name = String(args.name);
    if (!failed.has(name)) {
      failed.add(name);
      throw new Error("only the second attempt succeeds");
    }
    seen.push(name);
  });
  backend.registerAction("lights.on", () => "on");
  await backend.start();
  const sent: string[] = [];
  // From a start without a battery to the right time, back, and what NTP corrects.
  for (const days of [20_000, 0, -20_000, 1, -1, 0]) {
    Date.now = () => now() + days * DAY;
    for (const when of ["at once", "later"]) {
      const name = `${when}, ${days} days ahead, ${sent.length}`;
      sent.push(name);
      await backend.sendMessage(
        new Event({ target: "livingroom", args: { type: "custom", name } }),
        when === "later" ? { delay: 0.2 } : {},
      );
    }
    const { output } = await backend.sendRequest({
      target: "livingroom",
      action: "lights.on",
    });
    assert.equal(output, "on");
    await until(() => seen.length === sent.length);
    const beat = async (): Promise<unknown> => {
      const keys = await server.run<string[]>("KEYS", `{${QUEUE}}:consumer:*`);
      return await server.run("MGET", ...keys.toSorted());
    };
    const before = JSON.stringify(await beat());
    await until(
      async () => JSON.stringify(await beat()) !== before,
      "it beats",
    );
  }
  assert.deepEqual(seen.toSorted(), sent.toSorted());
  assert.equal(backend.stats().reconnects, 0);
  assert.equal(backend.stats().deadLettered, 0);
});
