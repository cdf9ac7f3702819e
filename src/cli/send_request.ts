import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { type Command, defineCommand } from "./command.ts";
import { openSender, targetOption } from "./sender.ts";
import { printLine } from "./print_line.ts";
import { ExitCode } from "./program.ts";
import { redisOptions } from "./redis_options.ts";
import { pair, seconds } from "./values.ts";

/** `send request`: sends a request, and waits for its response if it is told to. */
export const sendRequestCommand: Command = defineCommand("request", {
  brief: "Send a request",
  usage: "ACTION [NAME=VALUE]… [OPTION]…",
  examples: [
    "platypush-redis send request light.on room=hall --target lamp --wait 5",
  ],
  options: object({
    action: argument(string({ metavar: "ACTION" }), {
      description: message`What is to be done`,
    }),
    args: multiple(
      argument(pair(), {
        description:
          message`How; a value is JSON where it parses as JSON, else a text`,
      }),
    ),
    wait: optional(option("--wait", seconds(), {
      description: message`Wait so many seconds for the response, and print it`,
    })),
    target: targetOption(),
    redis: redisOptions(),
  }),
  run: async ({ action, args, wait, target, redis }) => {
    await using backend = await openSender(redis);
    const { deviceId } = backend;
    const request = {
      target: target ?? deviceId,
      origin: deviceId,
      action,
      args: Object.fromEntries(args),
    };
    if (wait === undefined) {
      await backend.sendMessage({ type: "request", ...request });
      return;
    }
    const response = await backend.sendRequest(request, {
      responseTimeout: wait,
    });
    await printLine(response.toString());
    if (response.errors.length > 0) Deno.exitCode = ExitCode.No;
  },
});
