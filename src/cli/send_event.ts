import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { type Command, defineCommand } from "./command.ts";
import { destination, Sender, targetOption } from "./sender.ts";
import { pair } from "./values.ts";

/** `send event`: sends an event. */
export const sendEventCommand: Command = defineCommand("event", {
  brief: "Send an event",
  usage: "TYPE [NAME=VALUE]… [OPTION]…",
  examples: [
    "platypush-redis send event custom.Motion room=hall seen=true",
    "platypush-redis send event custom.Motion room=hall --to livingroom",
  ],
  options: object({
    type: argument(string({ metavar: "TYPE" }), {
      description: message`The type of the event`,
    }),
    args: multiple(
      argument(pair(), {
        description:
          message`What else it says; a value is JSON where it parses as JSON, else a text`,
      }),
    ),
    target: targetOption(),
    destination: destination(),
  }),
  run: async ({ type, args, target, destination }, { signal }) => {
    await using sender = await Sender.open(destination, signal);
    await sender.send([{
      type: "event",
      ...(target !== undefined && { target }),
      origin: sender.deviceId,
      args: { ...Object.fromEntries(args), type },
    }]);
  },
});
