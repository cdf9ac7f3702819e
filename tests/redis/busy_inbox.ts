import { existsSync } from "node:fs";
import { Inbox } from "../../src/redis/mod.ts";
import { HEARTBEAT } from "../heartbeat.ts";
import { texts } from "./inboxes.ts";

// Takes one batch, keeps the event loop busy until it is told to go on by a file,
// and returns normally, or as one that has failed.
const [args, isDone, end] = Deno.args as [string, string, string];
const inbox = await Inbox.open(JSON.parse(args), {
  queue: "queue",
  heartbeatTimeout: HEARTBEAT,
});
const batch = await inbox.next();
Deno.stdout.writeSync(new TextEncoder().encode("busy\n"));
const pause = new Int32Array(new SharedArrayBuffer(4));
while (!existsSync(isDone)) Atomics.wait(pause, 0, 0, 20);
const error = new Error("no bulb");
await batch!.settle(
  end === "fails" ? [{ index: 0, reason: "failed", error }] : [],
);
Deno.stdout.writeSync(new TextEncoder().encode("settled\n"));
const [next] = texts(await inbox.next());
Deno.stdout.writeSync(new TextEncoder().encode(`next: ${next}\n`));
