import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { browse, discover, type ServiceInfo } from "../../mod.ts";
import { LOOK_TIMEOUT } from "../zeroconf/discover.ts";
import { type Command, defineCommand, type Surroundings } from "./command.ts";
import { displayWidth, table } from "./table.ts";
import {
  jsonLine,
  painter,
  printable,
  printLine,
  printLines,
  printText,
  type Screen,
  terminalWidth,
} from "./print.ts";
import { UsageError } from "./program.ts";
import { helpOf, seconds } from "./values.ts";
import { propertyOf } from "../zeroconf/txt.ts";

/** `discover`: prints the peers on the local network. */
export const discoverCommand: Command = defineCommand("discover", {
  brief: "Find the peers on the local network",
  usage: "[OPTION]…",
  examples: [
    "platypush-redis discover --timeout 5",
    "platypush-redis discover --json | jq -r .redisUrl",
    "platypush-redis discover --watch",
  ],
  options: object({
    timeout: optional(option("--timeout", seconds(), {
      description: helpOf("How long to look", LOOK_TIMEOUT.default),
    })),
    watch: option("--watch", {
      description: message`Go on, and follow who comes, changes and goes`,
    }),
    json: option("--json", {
      description: message`One JSON object a line: a peer, or a change`,
    }),
  }),
  run: async ({ timeout: given, watch, json }, surroundings) => {
    if (watch && given !== undefined) {
      throw new UsageError(
        "--watch goes on until it is interrupted, and --timeout ends; leave out the one that is not meant",
      );
    }
    if (watch) return await follow(json, surroundings);
    const timeout = given ?? LOOK_TIMEOUT.default;
    const { signal } = surroundings;
    const peers = await discover({ timeout, signal });
    if (peers.length === 0 && signal.aborted) {
      throw new DOMException("nobody was found until then", "AbortError");
    }
    if (peers.length === 0) {
      throw new Error(
        `No peer was found on the local network within ${timeout} s; \`doctor\` tells whether multicast works`,
      );
    }
    await printLines(json ? peers.map(jsonLine) : tableOf(peers, surroundings));
  },
});

/** Follows the peers: a table on a terminal, else a line for each change. */
async function follow(
  isJson: boolean,
  { signal, isTerminal, paint }: Surroundings,
): Promise<void> {
  const peers = new Map<string, ServiceInfo>();
  let drawn: string[] = [];
  const draw = async (): Promise<void> => {
    const width = terminalWidth();
    // After a resize, what was drawn may take more lines than before.
    const height = drawn.reduce(
      (sum, line) => sum + Math.max(1, Math.ceil(displayWidth(line) / width)),
      0,
    );
    // A line that wraps could not be drawn over.
    const all = [...peers.values()];
    const [titles = "", ...rows] = tableOf(all, {
      paint: painter(false),
      width,
    });
    const lines = [paint("bold", titles), ...rows];
    const start = height === 0 ? "" : `\x1b[${height}A\x1b[J`;
    drawn = [titles, ...rows];
    await printText(`${start}${lines.join("\n")}\n`);
  };
  const isTable = isTerminal && !isJson;
  if (isTable) await draw();
  using _resizing = isTable ? onResize(draw) : undefined;
  for await (const { kind, service } of browse({ signal })) {
    if (kind === "removed") peers.delete(service.name);
    else peers.set(service.name, service);
    if (isTable) await draw();
    else if (isJson) await printLine(jsonLine({ kind, service }));
    else await printLine([kind, ...rowOf(service)].join("\t"));
  }
}

/** Calls back when the terminal has another size. */
function onResize(listener: () => void): Disposable | undefined {
  if (Deno.build.os === "windows") return undefined;
  Deno.addSignalListener("SIGWINCH", listener);
  return {
    [Symbol.dispose]: () => Deno.removeSignalListener("SIGWINCH", listener),
  };
}

function tableOf(
  peers: readonly ServiceInfo[],
  screen: Screen,
): string[] {
  const columns = ["DEVICE", "REDIS", "QUEUE", "VERSION", "KEY", "SERVICE"];
  return table(
    columns.map((title) => ({ title })),
    peers.map(rowOf).toSorted(([a], [b]) => a! < b! ? -1 : 1),
    screen,
  );
}

function rowOf(
  { deviceId, redisUrl, queue, properties, name }: ServiceInfo,
): string[] {
  const version = propertyOf(properties, "version");
  const key = propertyOf(properties, "key");
  return [deviceId, redisUrl, queue, version, key ?? "unproved", name]
    .map((text) => printable(text ?? "-"));
}
