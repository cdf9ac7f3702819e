import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { type Command, defineCommand } from "./command.ts";
import { printLine } from "./print_line.ts";
import { printableJson } from "./printable.ts";
import { ExitCode } from "./program.ts";
import {
  destination,
  openRequester,
  Sender,
  targetOption,
  tellInterruption,
} from "./sender.ts";
import { pair, seconds } from "./values.ts";
import { whenAborted } from "./when_aborted.ts";

/** `send request`: sends a request, and waits for its response if it is told to. */
export const sendRequestCommand: Command = defineCommand("request", {
  brief: "Send a request",
  usage: "ACTION [NAME=VALUE]… [OPTION]…",
  examples: [
    "platypush-redis send request light.on room=hall --target lamp",
    "platypush-redis send request light.on room=hall --to lamp --wait 5",
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
    destination: destination(),
  }),
  run: async ({ action, args, wait, target, destination }, { signal }) => {
    const request = {
      ...(target !== undefined && { target }),
      action,
      args: Object.fromEntries(args),
    };
    if (wait === undefined) {
      await using sender = await Sender.open(destination, signal);
      const origin = sender.deviceId;
      return await sender.send([{ type: "request", origin, ...request }]);
    }
    const { backend, target: peer } = await openRequester(
      destination,
      signal,
    );
    await using _backend = backend;
    whenAborted(signal, () => backend.stop());
    const origin = backend.deviceId;
    const response = await tellInterruption(
      backend.sendRequest(
        { target: peer, origin, ...request },
        { responseTimeout: wait },
      ),
      signal,
      () => "before the response came",
    );
    await printLine(printableJson(response.toString()));
    if (response.errors.length > 0) Deno.exitCode = ExitCode.No;
  },
});
