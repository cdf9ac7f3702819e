import assert from "node:assert/strict";
import { inTime } from "../in_time.ts";

/** Runs a program that opens a bus and does nothing more, as soon as the bus is in use. */
async function start(options: string): Promise<Deno.ChildProcess> {
  const bus = new URL("../../src/bus/mod.ts", import.meta.url);
  const program = `
    import { Bus } from ${JSON.stringify(bus)};
    const bus = new Bus(${options});
    bus.registerHandler("custom.Number", () => {});
    await bus.ready();
    await bus.post({ type: "event", target: "hall", origin: "hall", args: { type: "custom.Number" } });
    console.log("open");`;
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "-"],
    cwd: new URL("../..", import.meta.url),
    stdin: "piped",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  const writer = child.stdin.getWriter();
  await writer.write(new TextEncoder().encode(program));
  await writer.close();
  const reader = child.stdout.getReader();
  const { value } = await reader.read();
  await reader.cancel();
  assert.match(new TextDecoder().decode(value), /open/);
  return child;
}

Deno.test("Bus keeps its process alive", async () => {
  const child = await start("{}");
  // That it does not end has no event, only a time in which it would have.
  await assert.rejects(inTime(child.status, "its end", 3), /Not within 3 s/);
  child.kill();
  await child.status;
});

Deno.test("Bus lets its process end, when it is a daemon", async () => {
  const child = await start("{ daemon: true }");
  assert.equal((await inTime(child.status, "its end")).code, 0);
});
