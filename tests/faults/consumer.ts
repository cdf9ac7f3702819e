import { Connection, Inbox } from "../../src/redis/mod.ts";
import { QUICK } from "./flow.ts";

// Handles messages until it is killed: a number is handled once it is on the
// list "handled". After each batch it prints how many messages it had.
const args = JSON.parse(Deno.args[0]!);
const connection = await Connection.connect(args);
const inbox = await Inbox.open(args, { queue: "queue", ...QUICK });
for (let batch; (batch = await inbox.next());) {
  await connection.command(["RPUSH", "handled", ...batch.payloads]);
  await batch.settle();
  await Deno.stdout.write(
    new TextEncoder().encode(`${batch.payloads.length}\n`),
  );
}
