import assert from "node:assert/strict";

/** Runs a program that opens a bus and does nothing more; whether it ends by itself. */
async function ends(options: string): Promise<boolean> {
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
  assert.match(new TextDecoder().decode(value), /open/);
  const timer = Promise.withResolvers<boolean>();
  const id = setTimeout(() => timer.resolve(false), 3000);
  const ended = await Promise.race([
    child.status.then(() => true),
    timer.promise,
  ]);
  clearTimeout(id);
  if (!ended) child.kill();
  await child.status;
  await reader.cancel();
  return ended;
}

Deno.test("Bus keeps its process alive", async () => {
  assert.equal(await ends("{}"), false);
});

Deno.test("Bus lets its process end, when it is a daemon", async () => {
  assert.equal(await ends("{ daemon: true }"), true);
});
