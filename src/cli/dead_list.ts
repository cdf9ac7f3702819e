import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import type { DeadLetter } from "../../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import { deadLetterJson } from "./dead_letter_json.ts";
import { deadFilterOptions, filterOf, openDead } from "./dead_selection.ts";
import { printLine } from "./print_line.ts";
import { printable } from "./printable.ts";
import { ExitCode } from "./program.ts";
import { span } from "./quantities.ts";
import { redisOptions } from "./redis_options.ts";
import { table } from "./table.ts";
import { count } from "./values.ts";

const COLUMNS = [
  { title: "QUEUE" },
  { title: "INDEX", align: "right" },
  { title: "ID" },
  { title: "AGE", align: "right" },
  { title: "REASON" },
  { title: "DELIVERIES", align: "right" },
  { title: "ERROR" },
] as const;
/** An error is at most so long, so that a row is a line. */
const LONGEST_ERROR = 80;

/** `dead list`: prints a table of the dead letters. */
export const deadListCommand: Command = defineCommand("list", {
  brief: "List them, the oldest first",
  usage: "[OPTION]…",
  examples: [
    "platypush-redis dead list --reason failed --newer-than 1h",
    "platypush-redis dead list --json | jq .message",
  ],
  options: object({
    json: option("--json", {
      description: message`One JSON object a line, the message included`,
    }),
    limit: optional(option("--count", count(), {
      description: message`End after so many`,
    })),
    filter: deadFilterOptions(),
    redis: redisOptions(),
  }),
  run: async ({ json, limit = Infinity, filter, redis }, surroundings) => {
    await using dead = await openDead(redis, surroundings.signal);
    const rows: string[][] = [];
    let found = 0;
    for await (const letter of dead.list(filterOf(filter))) {
      if (json) await printLine(deadLetterJson(letter));
      else rows.push(rowOf(letter));
      if (++found >= limit) break;
    }
    if (found === 0) Deno.exitCode = ExitCode.No;
    if (rows.length === 0) return;
    const lines = new Set(rows.map(([queue]) => queue)).size > 1
      ? table(COLUMNS, rows, surroundings.paint)
      : table(
        COLUMNS.slice(1),
        rows.map((row) => row.slice(1)),
        surroundings.paint,
      );
    for (const line of lines) await printLine(line);
  },
});

function rowOf(
  { queue, index, id, time, reason, deliveries, error }: DeadLetter,
): string[] {
  const text = printable(error);
  return [
    printable(queue),
    String(index),
    printable(id),
    time > 0 ? span(Math.max(0, Date.now() / 1000 - time)) : "?",
    printable(reason),
    String(deliveries),
    text.length > LONGEST_ERROR ? `${text.slice(0, LONGEST_ERROR - 1)}…` : text,
  ];
}
