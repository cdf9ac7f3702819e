import { Inbox } from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { until } from "../until.ts";

// Takes five batches and holds them until it is killed. A sixth one waits for it,
// and a seventh was asked for ahead.
const inbox = await Inbox.open(JSON.parse(Deno.args[0]!), {
  queue: "queue",
  batchSize: 100,
  heartbeatTimeout: HEARTBEAT,
});
for (let count = 1; count <= 5; count++) {
  await inbox.next();
  if (count === 5) await prefetched();
  await Deno.stdout.write(new TextEncoder().encode(`${count}\n`));
}

/** The next two batches are taken as soon as the fifth was handed out. */
async function prefetched(): Promise<void> {
  const { Connection } = await import("../../src/redis/mod.ts");
  await using connection = await Connection.connect(JSON.parse(Deno.args[0]!));
  await until(async () =>
    await connection.command<number>(["LLEN", "queue"]) <= 300
  );
}
