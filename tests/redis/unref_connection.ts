import { Connection } from "../../src/redis/mod.ts";

// Connects, or tries to, and has nothing else to do: the process has to end.
const connecting = Connection.connect({ port: Number(Deno.args[0]) }, {
  unref: true,
});
connecting.then((connection) => connection.command(["BLPOP", "nothing", "0"]));
