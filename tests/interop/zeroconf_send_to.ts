/** `kitchen` announces a backend and prints its first event; `send` sends it one. */

import { Event, RedisBackend } from "../../mod.ts";

if (Deno.args[0] === "kitchen") {
  await using backend = new RedisBackend({
    redisArgs: { host: "192.168.77.1", password: "secret" },
    deviceId: "kitchen",
    queue: "kitchen/queue",
  });
  const arrived = Promise.withResolvers<Event>();
  const end = backend.bus.registerHandler(
    Event,
    (event) => arrived.resolve(event),
    { "args.type": "custom.Motion" },
  );
  await backend.start();
  await backend.registerService();
  print("announced");
  print(String(await arrived.promise));
  end();
} else {
  await using backend = new RedisBackend({
    redisArgs: { password: "other" },
    peers: {
      kitchen: { redisArgs: { password: "secret" }, trust: "unproved" },
    },
    deviceId: "livingroom",
  });
  await backend.sendTo("kitchen", {
    type: "event",
    args: { type: "custom.Motion", room: "hall" },
  }, { timeout: 10 });
  print("sent");
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
