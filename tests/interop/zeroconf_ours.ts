/** This package as a peer: JSON commands on stdin, JSON lines on stdout. */

import { Advertiser, Browser, discover } from "../../src/zeroconf/mod.ts";
import { type Command, commands, say } from "./commands.ts";

const TYPE = "_platypush-redis._tcp.local.";
const isEverywhere = Deno.args[0] === "--all";
const place = isEverywhere
  ? {}
  : { interfaces: Deno.args.length > 0 ? Deno.args : ["eth0"] };
const advertiser = new Advertiser(place);
const browser = new Browser({
  ...place,
  onChange: ({ kind, service: { name, port, addresses, properties } }) =>
    say({ event: kind, name, port, addresses, properties }),
});

let announced = "";
/** Says which addresses are announced when others are. */
const watching = isEverywhere ? undefined : setInterval(() => {
  const addresses = advertiser.services[0]?.addresses ?? [];
  if (addresses.join() === announced) return;
  announced = addresses.join();
  say({ announces: addresses });
}, 100);

/** Makes the clock of this process run faster. */
function hurry(times: number): void {
  const { setTimeout } = globalThis;
  const now = performance.now.bind(performance);
  const start = now();
  performance.now = () => start + (now() - start) * times;
  globalThis.setTimeout =
    ((callback: () => void, delay = 0) =>
      setTimeout(callback, delay / times)) as typeof setTimeout;
}

for await (const command of commands()) await obey(command);
clearInterval(watching);
await advertiser.close();
await browser.close();

async function obey(command: Command): Promise<void> {
  switch (command.do) {
    case "hello":
      return say({ done: "hello" });
    case "hurry":
      hurry(20);
      return say({ done: "hurry" });
    case "jump": {
      const now = Date.now.bind(Date);
      Date.now = () => now() + 3_600_000;
      return say({ done: "jump" });
    }
    case "browse":
    case "look":
      await browser.start();
      return say({ done: command.do });
    case "register":
    case "update": {
      const name = await advertiser.register({
        name: command.name!.slice(0, -TYPE.length - 1),
        type: TYPE,
        port: command.port!,
        properties: command.properties ?? {},
        onRename: (renamed) => say({ renamed }),
      });
      return say({ done: command.do, name });
    }
    case "register many":
      await Promise.all(
        Array.from({ length: command.count! }, (_, i) =>
          advertiser.register({
            name: `service ${i}`,
            type: TYPE,
            port: 1_000 + i,
          })),
      );
      return say({ done: command.do });
    case "discover": {
      const services = await discover({
        ...place,
        timeout: command.seconds!,
      });
      return say({ done: command.do, found: services.map(({ name }) => name) });
    }
    case "unregister":
      advertiser.unregister();
      return say({ done: "unregister" });
  }
}
