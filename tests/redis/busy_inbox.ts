import { Inbox } from "../../src/redis/mod.ts";

// Takes one batch, keeps the event loop busy until it is told to go on by a file,
// and returns normally.
const [args, isDone] = Deno.args as [string, string];
const inbox = await Inbox.open(JSON.parse(args), {
  queue: "queue",
  heartbeatTimeout: 0.6,
});
const batch = await inbox.next();
Deno.stdout.writeSync(new TextEncoder().encode("busy\n"));
for (;;) {
  try {
    Deno.statSync(isDone);
    break;
  } catch {
    // Not yet.
  }
}
await batch!.settle();
Deno.stdout.writeSync(new TextEncoder().encode("settled\n"));
await inbox.next();
Deno.stdout.writeSync(new TextEncoder().encode("another\n"));
