// deno-lint-ignore-file no-console -- this is a program
/** Sends once it is told to, and shows the warnings. */
import { chooseInterfaces } from "../../src/zeroconf/interfaces.ts";
import { Sockets } from "../../src/zeroconf/sockets.ts";

const sockets = new Sockets({
  choose: (all) => chooseInterfaces(all),
  warn: (text) => console.log(text),
  debug: () => {},
  onPacket: () => {},
  onNetworkChange: () => {},
});
await sockets.open(false);
console.log("open");
await Deno.stdin.read(new Uint8Array(100));
sockets.send({
  type: "query",
  questions: [{ name: "_any._tcp.local", type: "PTR" }],
});
await sockets.close();
console.log("closed");
