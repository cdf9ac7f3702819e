import { bash, fish, nu, pwsh, zsh } from "@optique/core/completion";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument } from "@optique/core/primitives";
import { choice } from "@optique/core/valueparser";
import { type Command, defineCommand } from "./command.ts";
import { printText } from "./print.ts";

const SHELLS = { bash, zsh, fish, pwsh, nu };
const NAMES = Object.keys(SHELLS) as (keyof typeof SHELLS)[];

/**
 * `completions`: prints a script for a shell. The script calls it again, with
 * the words to complete behind the shell; `complete` answers that.
 */
export const completionsCommand: Command = defineCommand("completions", {
  brief: "Print a script that lets a shell complete words",
  usage: "SHELL",
  examples: [
    "platypush-redis completions zsh > ~/.zfunc/_platypush-redis",
    "platypush-redis completions bash > platypush-redis.bash",
  ],
  options: object({
    shell: argument(choice(NAMES, { metavar: "SHELL" }), {
      description: message`The shell that is to complete`,
    }),
  }),
  run: async ({ shell }) => {
    const args = ["completions", shell];
    const script = SHELLS[shell].generateScript("platypush-redis", args);
    await printText(`${script}\n`);
  },
});
