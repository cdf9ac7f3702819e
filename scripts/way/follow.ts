import { sensorEvent } from "../../bench/sensor_event.ts";
import {
  type Connection,
  queueStatus,
  type RedisArgs,
} from "../../src/redis/mod.ts";
import { Inspector, type Location, type ScriptCoverage } from "./inspector.ts";

const QUEUE = "way";
/** How many messages, and how many times of rest, are looked at. */
const ROUNDS = 5;
/**
 * Milliseconds that a time of rest is looked at, and a message after the server
 * knows of its acknowledgement.
 */
const WINDOW = 400;
/** Where the program notes the functions that it comes to. */
const NOTES = "globalThis.platypushWay";

/** The name that V8 gives to the first values of a class's fields. */
const FIELDS = "<instance_members_initializer>";

/** A function on the way of a message. */
export interface Step {
  /** The file that it is in, from the root of the tree. */
  readonly file: string;
  /** Its name; empty where it has none. */
  readonly name: string;
}

interface Found extends Step {
  readonly scriptId: string;
  readonly start: number;
  readonly end: number;
}

/**
 * Follows one message through a backend: from Redis to a handler in the same
 * thread, until it is acknowledged.
 *
 * What runs for each of some messages, and does not run all the time without
 * any, is on the way. Another message then goes through these functions with a
 * note at each statement, which tells in which order they are entered.
 *
 * @param tree The folder of the project whose code is followed.
 * @param redis A connection to a server of its own.
 * @param args How to reach that server.
 * @returns The functions, each where the message comes to it first.
 */
export async function follow(
  tree: URL,
  redis: Connection,
  args: RedisArgs,
): Promise<readonly Step[]> {
  const program = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "-A",
      "--no-check",
      "--config",
      new URL("deno.json", tree).pathname,
      "--inspect=127.0.0.1:0",
      new URL("consumer.ts", import.meta.url).pathname,
      tree.href,
      JSON.stringify(args),
      QUEUE,
    ],
    env: { NO_COLOR: "1" },
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const output = new Lines(program.stdout);
  const errors = new Lines(program.stderr);
  try {
    const url = await errors.match(/ws:\/\/\S+/);
    await output.match(/started/);
    const inspector = await Inspector.connect(url);
    const found = await findFunctions(inspector, tree, () => send(redis, args));
    const steps = await inOrder(inspector, found, () => send(redis, args));
    await inspector.close();
    return steps;
  } finally {
    program.kill("SIGKILL");
    await Promise.all([program.status, output.cancel(), errors.cancel()]);
  }
}

/** Sends one message, and waits until it is acknowledged. */
async function send(redis: Connection, args: RedisArgs): Promise<void> {
  const event = sensorEvent({ data: { temperature: 21.5 } });
  await redis.command(["RPUSH", QUEUE, JSON.stringify(event)]);
  for (;;) {
    const { length, inFlight } = await queueStatus(args, { queue: QUEUE });
    if (length + inFlight === 0) return;
    await rest(10);
  }
}

/** The functions of the tree that run for every message. */
async function findFunctions(
  inspector: Inspector,
  tree: URL,
  sendOne: () => Promise<void>,
): Promise<Found[]> {
  await inspector.send("Profiler.enable");
  await inspector.send("Profiler.startPreciseCoverage", { callCount: true });
  const take = async (): Promise<Map<string, Found>> => {
    const { result } = await inspector.send<{ result: ScriptCoverage[] }>(
      "Profiler.takePreciseCoverage",
    );
    return functionsOf(result, new URL("src/", tree).href, tree.href);
  };
  for (let warm = 0; warm < ROUNDS; warm++) await sendOne();
  let way: Map<string, Found> | undefined;
  let always: Map<string, Found> | undefined;
  for (let round = 0; round < ROUNDS; round++) {
    await take();
    await sendOne();
    await rest(WINDOW);
    way = inBoth(way, await take());
    await rest(WINDOW);
    always = inBoth(always, await take());
  }
  await inspector.send("Profiler.stopPreciseCoverage");
  return [...way!].filter(([key]) => !always!.has(key)).map(([, one]) => one);
}

function functionsOf(
  scripts: readonly ScriptCoverage[],
  from: string,
  root: string,
): Map<string, Found> {
  const found = new Map<string, Found>();
  for (const { scriptId, url, functions } of scripts) {
    if (!url.startsWith(from)) continue;
    for (const { functionName, ranges: [range] } of functions) {
      const { startOffset: start, endOffset: end, count } = range!;
      // What begins with the script is the module itself; and V8 counts the
      // values that the fields of a class begin with as a function.
      if (count === 0 || start === 0 || functionName === FIELDS) continue;
      const file = url.slice(root.length);
      const one = { file, name: functionName, scriptId, start, end };
      found.set(`${scriptId}:${start}`, one);
    }
  }
  return found;
}

function inBoth<Value>(
  some: Map<string, Value> | undefined,
  others: Map<string, Value>,
): Map<string, Value> {
  if (some === undefined) return others;
  return new Map([...some].filter(([key]) => others.has(key)));
}

/** Puts functions into the order in which one message comes to them first. */
async function inOrder(
  inspector: Inspector,
  found: readonly Found[],
  sendOne: () => Promise<void>,
): Promise<Found[]> {
  await inspector.send("Debugger.enable");
  const sources = new Map<string, Source>();
  for (const { scriptId } of found) {
    if (sources.has(scriptId)) continue;
    const { scriptSource } = await inspector.send<{ scriptSource: string }>(
      "Debugger.getScriptSource",
      { scriptId },
    );
    sources.set(scriptId, new Source(scriptId, scriptSource));
  }
  for (const { scriptId, start, end } of found) {
    const source = sources.get(scriptId)!;
    const { locations } = await inspector.send<{ locations: Location[] }>(
      "Debugger.getPossibleBreakpoints",
      {
        start: source.location(start),
        end: source.location(end),
        restrictToFunction: true,
      },
    );
    for (const { lineNumber, columnNumber } of locations) {
      const location = { scriptId, lineNumber, columnNumber };
      const one = innermost(found, scriptId, source.offset(location));
      if (one === undefined) continue;
      // Notes the function, and goes on without a stop.
      const condition = `${NOTES}.push(${found.indexOf(one)}), false`;
      // The end of one function may be where another one has its breakpoint.
      await inspector.send("Debugger.setBreakpoint", { location, condition })
        .catch(() => {});
    }
  }
  await inspector.send("Runtime.evaluate", { expression: `${NOTES} = []` });
  await sendOne();
  await rest(WINDOW);
  const { result } = await inspector.send<{ result: { value: number[] } }>(
    "Runtime.evaluate",
    { expression: NOTES, returnByValue: true },
  );
  await inspector.send("Debugger.disable");
  return [...new Set(result.value)].map((index) => found[index]!);
}

function innermost(
  found: readonly Found[],
  scriptId: string,
  offset: number,
): Found | undefined {
  let innermost: Found | undefined;
  for (const one of found) {
    const { start, end } = one;
    if (one.scriptId !== scriptId || offset < start || offset > end) continue;
    if (innermost === undefined || start >= innermost.start) innermost = one;
  }
  return innermost;
}

/** Turns places in a text into offsets, and back. */
class Source {
  readonly #scriptId: string;
  readonly #lines: number[] = [0];

  constructor(scriptId: string, text: string) {
    this.#scriptId = scriptId;
    for (let at = 0; (at = text.indexOf("\n", at) + 1) > 0;) {
      this.#lines.push(at);
    }
  }

  location(offset: number): Location {
    const lineNumber = this.#lines.findLastIndex((start) => start <= offset);
    const columnNumber = offset - this.#lines[lineNumber]!;
    return { scriptId: this.#scriptId, lineNumber, columnNumber };
  }

  offset({ lineNumber, columnNumber }: Location): number {
    return this.#lines[lineNumber]! + columnNumber;
  }
}

/** What a program prints, read until something has come. */
class Lines {
  readonly #reader: ReadableStreamDefaultReader<string>;
  #text = "";

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  }

  async match(pattern: RegExp): Promise<string> {
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match) return match[0];
      const { value, done } = await this.#reader.read();
      if (done) throw new Error(`The program ended: ${this.#text}`);
      this.#text += value;
    }
  }

  async cancel(): Promise<void> {
    await this.#reader.cancel();
  }
}

function rest(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
