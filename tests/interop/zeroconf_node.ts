/** ciao advertises and bonjour-service browses: JSON commands on stdin, JSON lines on stdout. */

import ciao, { type CiaoService, type Protocol } from "@homebridge/ciao";
import { Bonjour, type Service } from "bonjour-service";
import { type Command, commands, say } from "./commands.ts";

const TYPE = "_platypush-redis._tcp.local.";
const responder = ciao.getResponder({ interface: "eth0" });
const bonjour = new Bonjour();
let service: CiaoService | undefined;

function show(event: string): (found: Service) => void {
  return ({ fqdn, port, addresses, txt }) =>
    say({ event, name: `${fqdn}.`, port, addresses, properties: txt });
}

for await (const command of commands()) await obey(command);
await responder.shutdown();
bonjour.destroy();
Deno.exit();

async function obey(command: Command): Promise<void> {
  switch (command.do) {
    case "hello":
      return say({ done: "hello" });
    case "browse": {
      const browser = bonjour.find({ type: "platypush-redis" });
      browser.on("up", show("added"));
      browser.on("txt-update", show("updated"));
      browser.on("down", show("removed"));
      setInterval(() => browser.update(), 1_000);
      return say({ done: "browse" });
    }
    case "register":
      service = responder.createService({
        name: command.name!.slice(0, -TYPE.length - 1),
        type: "platypush-redis",
        protocol: "tcp" as Protocol,
        port: command.port!,
        hostname: "ciao-peer",
        txt: command.properties ?? {},
      });
      service.on("name-change", (name) => say({ renamed: `${name}.${TYPE}` }));
      await service.advertise();
      return say({ done: "register", name: service.getFQDN() });
    case "update":
      service!.updateTxt(command.properties ?? {});
      return say({ done: "update", name: service!.getFQDN() });
    case "unregister":
      await service!.end();
      return say({ done: "unregister" });
  }
}
