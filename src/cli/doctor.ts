import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { option } from "@optique/core/primitives";
import { diagnose, type Finding } from "../../mod.ts";
import { differencesIn } from "../config/differences.ts";
import { findConfigFile, readEnvironment } from "../config/find_config_file.ts";
import { ok, warning } from "../doctor/finding.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  jsonLine,
  type Paint,
  printable,
  printLines,
  type Style,
} from "./print.ts";
import { ExitCode } from "./program.ts";
import { redisOptions, resolvePlace } from "./redis_options.ts";

const STYLES: Readonly<Record<Finding["status"], Style>> = {
  ok: "green",
  warning: "yellow",
  failure: "red",
};

/** `doctor`: looks for what usually goes wrong, and says what to do. */
export const doctorCommand: Command = defineCommand("doctor", {
  brief: "Look for what usually goes wrong, and say what to do",
  usage: "[OPTION]…",
  examples: [
    "platypush-redis doctor",
    "platypush-redis doctor --config ~/.config/platypush/config.yaml",
    "platypush-redis doctor --json | jq 'select(.status != \"ok\")'",
  ],
  options: object({
    json: option("--json", {
      description: message`One JSON object a line for each thing looked at`,
    }),
    noMulticast: option("--no-multicast", {
      description: message`Leave the network alone`,
    }),
    redis: redisOptions(),
  }),
  run: async ({ json, noMulticast, redis }, { signal, paint }) => {
    const { redisArgs, queues, limits } = await resolvePlace(redis);
    const tell = async (finding: Finding): Promise<void> => {
      if (finding.status === "failure") Deno.exitCode = ExitCode.No;
      await printLines(
        json ? [jsonLine(finding)] : describe(finding, paint),
      );
    };
    for await (const finding of checkConfig(redis.config)) await tell(finding);
    const findings = diagnose({
      redisArgs,
      queue: queues,
      multicast: !noMulticast,
      ...limits,
      signal,
    });
    for await (const finding of findings) await tell(finding);
  },
});

/** Looks for what a Platypush's configuration says and is different here. */
async function* checkConfig(path: string | undefined): AsyncIterable<Finding> {
  const file = await findConfigFile(path, readEnvironment);
  if (file === undefined) return;
  const differences = await differencesIn(file);
  for (const { place, message, advice } of differences) {
    yield warning("config", `${place}: ${message}`, advice);
  }
  if (differences.length > 0) return;
  yield ok("config", `${file} means the same here as in Platypush.`);
}

function describe(
  { status, check, message, advice }: Finding,
  paint: Paint,
): string[] {
  const first = `${paint(STYLES[status], status.padEnd(8))} ${
    paint("bold", check.padEnd(11))
  } ${printable(message)}`;
  if (advice === undefined) return [first];
  return [first, `${" ".repeat(21)}→ ${printable(advice)}`];
}
