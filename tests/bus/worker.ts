import { Bus, Event } from "../../src/bus/mod.ts";
import type { BusOptions, Condition } from "../../src/bus/mod.ts";

/** What the tests let a worker do. */
export type Command =
  | { do: "open"; options: BusOptions }
  | { do: "listen" }
  | { do: "on"; condition: Condition }
  | { do: "iterate" }
  | { do: "again" }
  | { do: "unlisten" }
  | { do: "watch" }
  | { do: "fail" }
  | { do: "hang"; begun: SharedArrayBuffer }
  | { do: "stop"; begun: SharedArrayBuffer }
  | { do: "work"; gate: SharedArrayBuffer }
  | { do: "post"; from: string; count: number; batch: number }
  | { do: "block"; seconds: number }
  | { do: "hold"; gate: SharedArrayBuffer }
  | { do: "report" }
  | { do: "postAndClose"; from: string }
  | { do: "close" };

/** What a worker has seen. */
export interface Seen {
  /** Events by who posted them. */
  counts: Record<string, number>;
  /** Events that were not the next of who posted them. */
  disorder: number;
  /** Characters in the longest text. */
  longest: number;
  /** Messages of error events, and of errors that ended a loop. */
  errors: string[];
  subscribers: number;
  /** The numbers of the events that a watch has shown, and how many it has skipped. */
  shown: unknown[];
  skipped: number;
  /** The numbers of the events that it has worked on, and how often each was delivered before. */
  work: [unknown, number][];
}

const scope = self as unknown as {
  onmessage: (event: MessageEvent<Command>) => void;
  postMessage(message: unknown): void;
};
const seen: Seen = {
  counts: {},
  disorder: 0,
  longest: 0,
  errors: [],
  subscribers: 0,
  shown: [],
  skipped: 0,
  work: [],
};
let bus: Bus;
let unregister: () => void;

function count({ args: { from, n, text } }: Event): void {
  const name = String(from);
  const next = seen.counts[name] ?? 0;
  if (n !== next) seen.disorder++;
  seen.counts[name] = next + 1;
  seen.longest = Math.max(seen.longest, String(text ?? "").length);
}

/** Keeps the thread busy, as a long synchronous handler does. */
function block(seconds: number): void {
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end);
}

async function obey(command: Command): Promise<unknown> {
  switch (command.do) {
    case "open":
      bus = new Bus(command.options);
      bus.addEventListener("error", (event) => {
        seen.errors.push((event as ErrorEvent).message);
      });
      return await bus.ready();
    case "listen":
      unregister = bus.registerHandler(Event, count);
      return await bus.ready();
    case "on":
      unregister = bus.on(command.condition, count);
      return await bus.ready();
    case "again":
      unregister();
      unregister = bus.registerHandler(Event, count);
      return await bus.ready();
    case "unlisten":
      return unregister();
    case "watch": {
      const watch = bus.watch({ onSkip: (count) => seen.skipped += count });
      (async () => {
        for await (const message of watch) {
          seen.shown.push((message as Event).args.n);
        }
      })();
      return await bus.ready();
    }
    case "fail":
      bus.registerHandler(Event, ({ args: { n } }) => {
        if (n === 1) throw new TypeError("thrown in the worker");
      });
      return await bus.ready();
    case "hang": {
      const begun = new Int32Array(command.begun);
      bus.registerHandler(Event, () => {
        Atomics.add(begun, 0, 1);
        return new Promise(() => {});
      });
      return await bus.ready();
    }
    case "stop": {
      const begun = new Int32Array(command.begun);
      bus.registerHandler(Event, ({ args: { n } }) => {
        Atomics.add(begun, 0, 1);
        if (n === 2) throw new TypeError("thrown in the worker");
        if (n === 5) Atomics.wait(begun, 0, 6);
        return n === 3 ? new Promise(() => {}) : undefined;
      });
      return await bus.ready();
    }
    case "work": {
      // How many were begun, and whether those that wait may go on.
      const gate = new Int32Array(command.gate);
      bus.registerHandler(Event, async ({ args: { n, how }, redelivered }) => {
        seen.work.push([n, redelivered]);
        Atomics.add(gate, 0, 1);
        if (how === "fail") throw new Error("no light bulb");
        if (how === "compute") { while (Atomics.load(gate, 1) === 0); }
        if (how === "block") Atomics.wait(gate, 1, 0);
        if (how === "wait") await Atomics.waitAsync(gate, 1, 0).value;
        if (how === "post") {
          const args = { type: "custom.Number", n: `after ${n}` };
          await bus.post({ type: "event", args });
        }
      });
      return await bus.ready();
    }
    case "iterate": {
      (async () => {
        for await (const message of bus) count(message as Event);
      })().catch((error) => seen.errors.push(`loop: ${error.message}`));
      return await bus.ready();
    }
    case "post":
      for (let n = 0; n < command.count; n += command.batch) {
        await bus.post(Array.from(
          { length: Math.min(command.batch, command.count - n) },
          (_, i) => ({
            type: "event",
            args: { type: "custom.Number", from: command.from, n: n + i },
          }),
        ));
      }
      return await bus.flush();
    case "block":
      scope.postMessage({ result: "it begins" });
      return block(command.seconds);
    case "hold":
      scope.postMessage({ result: "it begins" });
      Atomics.wait(new Int32Array(command.gate), 0, 0);
      return;
    case "report":
      return { ...seen, subscribers: bus.subscribers };
    case "postAndClose": {
      const args = { type: "custom.Number", from: command.from, n: 0 };
      bus.post({ type: "event", args });
      return await bus.close();
    }
    case "close":
      return await bus.close();
  }
}

scope.onmessage = async ({ data }) => {
  try {
    const result = await obey(data);
    if (data.do !== "block" && data.do !== "hold") {
      scope.postMessage({ result });
    }
  } catch (error) {
    scope.postMessage({ error: String(error) });
  }
};
