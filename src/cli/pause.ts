import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { pauseQueue, type RedisArgs, resumeQueue } from "../../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import { printable, printLine } from "./print.ts";
import { ExitCode } from "./program.ts";
import { redisOptions, resolvePlace } from "./redis_options.ts";

/** The parts of a command that pauses queues, or lets them go on. */
interface PauseChange {
  readonly name: "pause" | "resume";
  /** One line for the list of commands. */
  readonly brief: string;
  /** Says that it is done, and that it was so before. */
  readonly done: readonly [now: string, before: string];
  /** Does it. */
  change(
    args: RedisArgs,
    options: { queue: string; signal: AbortSignal; by?: string },
  ): Promise<boolean>;
}

function definePauseChange(
  { name, brief, done, change }: PauseChange,
): Command {
  return defineCommand(name, {
    brief,
    usage: "[QUEUE]… [OPTION]…",
    examples: [`platypush-redis ${name}`, `platypush-redis ${name} jobs`],
    options: object({
      names: multiple(argument(string({ metavar: "QUEUE" }), {
        description: message`The queues. Default: as --queue says`,
      })),
      redis: redisOptions(),
    }),
    needs: ({ names, redis }) => ({
      redis,
      deeds: [name],
      ...(names.length > 0 && { queues: names }),
    }),
    run: async ({ names, redis }, { signal }) => {
      const { redisArgs, queues, deviceId: by } = await resolvePlace(redis);
      for (const queue of new Set(names.length > 0 ? names : queues)) {
        const isChanged = await change(redisArgs, {
          queue,
          signal,
          ...(by !== undefined && { by }),
        });
        const [now, before] = done;
        await printLine(`${printable(queue)} ${isChanged ? now : before}`);
        if (!isChanged) Deno.exitCode = ExitCode.No;
      }
    },
  });
}

/** `pause`: pauses queues for all their consumers. */
export const pauseCommand: Command = definePauseChange({
  name: "pause",
  brief: "Let all consumers of a queue take nothing more",
  done: ["is paused", "was paused before"],
  change: pauseQueue,
});

/** `resume`: lets the consumers of queues go on. */
export const resumeCommand: Command = definePauseChange({
  name: "resume",
  brief: "Let the consumers of a paused queue go on",
  done: ["goes on", "was not paused"],
  change: (args, { queue, signal }) => resumeQueue(args, { queue, signal }),
});
