import { Connection } from "../../src/redis/mod.ts";

// Connects, or tries to, and has nothing else to do: the process has to end.
const port = Number(Deno.args[0]);
const connecting = Connection.connect({ port }, { daemon: true });
connecting.then((connection) => connection.command(["BLPOP", "nothing", "0"]));
