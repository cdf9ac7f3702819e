import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { option } from "@optique/core/primitives";
import type { DeadLetterFilter } from "../../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import {
  deadFilterOptions,
  deadNames,
  filterOf,
  idsOf,
  openDead,
} from "./dead_selection.ts";
import { printLine } from "./print_line.ts";
import { ExitCode } from "./program.ts";
import { redisOptions } from "./redis_options.ts";
import { UsageError } from "./usage_error.ts";

/** The parts of a command that changes dead letters. */
export interface DeadChange {
  /** The method of `DeadLetters` that it calls. */
  readonly action: "requeue" | "purge";
  /** The same, once it is done. */
  readonly done: string;
  /** One line for the list of commands. */
  readonly brief: string;
}

/** Defines a command that does something to the dead letters that are meant. */
export function defineDeadChange(
  { action, done, brief }: DeadChange,
): Command {
  return defineCommand(action, {
    brief,
    usage: "[INDEX|ID]… [OPTION]…",
    examples: [
      `platypush-redis dead ${action} 0 3`,
      `platypush-redis dead ${action} --reason foreign --older-than 7d`,
      `platypush-redis dead ${action} --all`,
    ],
    options: object({
      names: deadNames(),
      all: option("--all", { description: message`All of them` }),
      filter: deadFilterOptions(),
      json: option("--json", {
        description: message`The number as a JSON object`,
      }),
      redis: redisOptions(),
    }),
    run: async ({ names, all, filter, json, redis }, { signal }) => {
      const chosen = filterOf(filter);
      const isChosen = names.length > 0 || Object.keys(chosen).length > 0;
      if (isChosen === all) {
        throw new UsageError(
          all
            ? `--all means all of them; leave it out where only some are to be ${done}`
            : `Say which: an index, an id, --reason, --older-than, --newer-than, or --all. See --help`,
        );
      }
      await using dead = await openDead(redis, signal);
      const which: "all" | DeadLetterFilter = all
        ? "all"
        : names.length > 0
        ? { ...chosen, id: await idsOf(dead, names) }
        : chosen;
      const count = await dead[action](which);
      await printLine(
        json ? JSON.stringify({ [done]: count }) : `${count} ${done}`,
      );
      if (count < Math.max(1, new Set(names).size)) Deno.exitCode = ExitCode.No;
    },
  });
}
