/**
 * A device in a namespace. `announce FOLDER` announces it as "kitchen", with the
 * key in the folder, and prints what it logs of others; `relay ADDRESS` hands on
 * what comes to port 6379; `send NAME FOLDER` sends an event to a peer, and
 * prints `sent` or why not.
 */

import { RedisBackend } from "../../mod.ts";

const [command, argument = "", folder = ""] = Deno.args;

if (command === "announce") {
  const logger = { ...console, debug: () => {}, info: () => {}, warn: print };
  const backend = new RedisBackend({
    redisArgs: { host: "192.168.77.2" },
    deviceId: "kitchen",
    identity: argument,
    logger,
  });
  await backend.registerService();
  print("announced");
} else if (command === "relay") {
  const listener = Deno.listen({ hostname: "0.0.0.0", port: 6379 });
  print("listening");
  for await (const from of listener) {
    const to = await Deno.connect({ hostname: argument, port: 6379 });
    from.readable.pipeTo(to.writable).catch(() => {});
    to.readable.pipeTo(from.writable).catch(() => {});
  }
} else {
  await using backend = new RedisBackend({ identity: folder });
  try {
    await backend.sendTo(argument, {
      type: "event",
      args: { type: "custom.Motion" },
    }, { timeout: 10 });
    print("sent");
  } catch (error) {
    print((error as Error).message);
  }
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}
