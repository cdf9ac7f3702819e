import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { option } from "@optique/core/primitives";
import type { DeadLetter } from "../../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import { base64Of, deadLetterJson, textOf } from "./dead_letter_json.ts";
import { deadNames, idsOf, openDead } from "./dead_selection.ts";
import type { Paint } from "./paint.ts";
import { printLine } from "./print_line.ts";
import { printable } from "./printable.ts";
import { ExitCode } from "./program.ts";
import { redisOptions } from "./redis_options.ts";
import { UsageError } from "./usage_error.ts";

/** `dead show`: prints dead letters with their messages. */
export const deadShowCommand: Command = defineCommand("show", {
  brief: "Show some of them with their messages",
  usage: "INDEX|ID… [OPTION]…",
  examples: [
    "platypush-redis dead show 0",
    "platypush-redis dead show 0 --json | jq -r .message | jq",
  ],
  options: object({
    names: deadNames(),
    json: option("--json", { description: message`One JSON object a line` }),
    redis: redisOptions(),
  }),
  run: async ({ names, json, redis }, { signal, paint }) => {
    if (names.length === 0) {
      throw new UsageError("Say which: an index or an id. See --help");
    }
    await using dead = await openDead(redis, signal);
    const id = await idsOf(dead, names);
    let found = 0;
    for await (const letter of dead.list({ id })) {
      if (!json && found > 0) await printLine("");
      const lines = json ? [deadLetterJson(letter)] : describe(letter, paint);
      for (const line of lines) await printLine(line);
      found++;
    }
    if (found < new Set(names).size) Deno.exitCode = ExitCode.No;
  },
});

function describe(letter: DeadLetter, paint: Paint): string[] {
  const text = textOf(letter);
  const facts: [name: string, value: string][] = [
    ["index", String(letter.index)],
    ["id", letter.id],
    ["queue", letter.queue],
    ["reason", letter.reason],
    ["error", letter.error],
    ["time", new Date(letter.time * 1000).toISOString()],
    ["deliveries", String(letter.deliveries)],
    ["bytes", String(letter.payload.byteLength)],
    text === undefined ? ["base64", base64Of(letter)] : ["message", text],
  ];
  return facts.map(([name, value]) =>
    `${paint("dim", name.padEnd(12))}${printable(value)}`
  );
}
