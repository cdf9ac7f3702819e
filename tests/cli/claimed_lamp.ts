import { printLine, program } from "../../cli.ts";
import { Advertiser, PLATYPUSH_REDIS } from "../../src/zeroconf/mod.ts";
import { freePort } from "../servers.ts";

// Advertises a service of the device lamp at a port where nobody is; by its name, it is looked at first.
await program(async (signal) => {
  await using advertiser = new Advertiser();
  await advertiser.register({
    name: "lamp",
    type: PLATYPUSH_REDIS,
    port: freePort(),
    properties: { device_id: "lamp", queue: "lights" },
  });
  await printLine("advertised");
  await new Promise<void>((resolve) =>
    signal.addEventListener("abort", () => resolve())
  );
});
