import { Event, RedisBackend, startRedis } from "../../mod.ts";
import { printLine, program } from "../../cli.ts";
import { freePort } from "../servers.ts";

// Advertises itself (by the name that is given, or as lamp), answers requests, and prints the events that it gets.
await program(async (signal) => {
  const port = freePort();
  await using server = await startRedis({ port });
  signal.throwIfAborted();
  await using backend = new RedisBackend({
    redisArgs: server.redisArgs,
    deviceId: Deno.args[0] ?? "lamp",
    queue: "lights",
  });
  signal.addEventListener("abort", () => backend.stop());
  backend.registerAction("light.on", (args) => args);
  backend.bus.registerHandler(
    "custom.A",
    (event) => printLine(`${(event as Event).args.type} for ${event.target}`),
  );
  await backend.start();
  await backend.registerService();
  await printLine(String(port));
  await backend.join();
});
