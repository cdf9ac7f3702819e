import { printLine, program } from "../../cli.ts";
import { RedisError } from "../../mod.ts";

/** What is still to be done when a signal has come, by the name of the argument. */
const LAST: Record<string, () => unknown> = {
  // As a terminal and a wrapper around the program pass on the same Ctrl-C. One
  // that comes when the program has ended already would be its own end.
  "signalled-twice": () => {
    Deno.kill(Deno.pid, "SIGINT");
    return new Promise((resolve) => setTimeout(resolve, 250));
  },
  "never-done": () => new Promise((resolve) => setTimeout(resolve, 60_000)),
  "aborted": () => AbortSignal.abort().throwIfAborted(),
  "connection-closed": () => {
    throw new RedisError("The connection was closed.", "closed");
  },
  "out-of-memory": () => {
    throw new RedisError("The server is out of memory.", "memory");
  },
  "broken": () => {
    throw new Error("The disk is full");
  },
};

// Waits for a signal, does what is left to do, and says so.
await program(async (signal) => {
  const interrupted = new Promise((resolve) =>
    signal.addEventListener("abort", resolve)
  );
  const awake = setInterval(() => {}, 60_000);
  await printLine("ready");
  await interrupted;
  clearInterval(awake);
  await printLine("interrupted");
  await LAST[Deno.args[0]!]!();
  await printLine("done");
});
