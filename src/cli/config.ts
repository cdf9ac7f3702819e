import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { option } from "@optique/core/primitives";
import { resolveConfig, type ResolvedConfig } from "../../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import { displayWidth, pad } from "./table.ts";
import { jsonLine, type Paint, printable, printLines } from "./print.ts";
import { redisOptions } from "./redis_options.ts";

/** `config --show`: prints each setting with where it comes from. */
export const configCommand: Command = defineCommand("config", {
  brief: "Show the settings, and where each comes from",
  usage: "--show [OPTION]…",
  examples: [
    "platypush-redis config --show",
    "platypush-redis config --show --config ./config.yaml --json | jq .origin",
  ],
  options: object({
    show: option("--show", {
      description: message`Show them, as without it`,
    }),
    json: option("--json", {
      description: message`One JSON object a line`,
    }),
    redis: redisOptions(),
  }),
  run: async ({ json, redis }, { paint }) => {
    const { settings } = await resolveConfig({ flags: redis });
    await printLines(
      json ? settings.map(jsonLine) : settingLines(settings, paint),
    );
  },
});

/** `queue: "lights"  (environment, PLATYPUSH_REDIS_QUEUE)`, in two columns. */
function settingLines(
  settings: ResolvedConfig["settings"],
  paint: Paint,
): string[] {
  const values = settings.map(({ name, value }) =>
    printable(`${name}: ${JSON.stringify(value)}`)
  );
  const width = Math.max(...values.map(displayWidth));
  return settings.map(({ source, origin }, at) => {
    const place = origin === source ? source : `${source}, ${origin}`;
    const padded = pad(values[at]!, width);
    return `${padded}  ${paint("dim", `(${printable(place)})`)}`;
  });
}
