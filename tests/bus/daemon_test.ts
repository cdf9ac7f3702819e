import assert from "node:assert/strict";
import { inTime } from "../in_time.ts";

const bus = new URL("../../src/bus/mod.ts", import.meta.url);

/** Runs a program that opens a bus and does nothing more, as soon as the bus is in use. */
function start(options: string): Promise<Deno.ChildProcess> {
  return run(`
    import { Bus } from ${JSON.stringify(bus)};
    const bus = new Bus(${options});
    bus.registerHandler("custom.Number", () => {});
    await bus.ready();
    await bus.post({ type: "event", target: "hall", origin: "hall", args: { type: "custom.Number" } });
    console.log("open");`);
}

/** Runs a program, as soon as it has written "open". */
async function run(
  program: string,
  permissions: readonly string[] = [],
): Promise<Deno.ChildProcess> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", ...permissions, "-"],
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
  assert.match(
    new TextDecoder().decode(value),
    /^open( \[\[\],\[\[1,2\],\[1,2\]\]\])?$/m,
  );
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

Deno.test("Workers that have met while the main thread, a daemon, was busy move to its bus", async () => {
  const worker = `
    import { Bus, Event } from ${JSON.stringify(bus)};
    const bus = new Bus({ name: "moving", deviceId: "hall" });
    bus.registerHandler(Event, ({ args }) => postMessage(args.n));
    await bus.ready();
    postMessage("ready " + bus.subscribers);`;
  const child = await run(
    `
    import { Bus } from ${JSON.stringify(bus)};
    const bus = new Bus({ name: "moving", deviceId: "hall", daemon: true });
    await bus.ready();
    const url = "data:text/javascript," + encodeURIComponent(${
      JSON.stringify(worker)
    });
    const seen = [[], []];
    const workers = seen.map((numbers) => {
      const worker = new Worker(url, { type: "module" });
      worker.onmessage = ({ data }) => numbers.push(data);
      return worker;
    });
    // Nobody answers them until both have made up their minds.
    const end = performance.now() + 3000;
    while (performance.now() < end);
    const until = async (isSo) => {
      while (!isSo()) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await until(() => bus.subscribers === 2);
    const event = (n) => ({ type: "event", args: { type: "custom.Number", n } });
    const receipt = await bus.post([event(1), event(2)]);
    const failures = await receipt.handled;
    await until(() => seen.every((numbers) => numbers.includes(2)));
    console.log("open", JSON.stringify([failures, seen.map((numbers) => numbers.slice(1))]));
    for (const worker of workers) worker.terminate();
  `,
    ["--allow-read"],
  );
  assert.equal((await inTime(child.status, "its end")).code, 0);
});
