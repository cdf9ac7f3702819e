import { Connection } from "../../src/redis/mod.ts";

// Connects, or tries to, and has nothing else to do: the process has to end.
const [port, name] = Deno.args as [string, "daemon" | "unref"];
const connecting = Connection.connect({ port: Number(port) }, { [name]: true });
connecting.then((connection) => connection.command(["BLPOP", "nothing", "0"]));
