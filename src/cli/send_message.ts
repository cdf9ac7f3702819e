import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { type Command, defineCommand } from "./command.ts";
import { openSender } from "./sender.ts";
import { redisOptions } from "./redis_options.ts";

/** `send message`: sends a message as it is. */
export const sendMessageCommand: Command = defineCommand("message", {
  brief: "Send messages as they are",
  usage: "JSON [OPTION]…",
  examples: [
    `platypush-redis send message '{"type": "event", "args": {"type": "custom.A"}}'`,
  ],
  options: object({
    message: argument(string({ metavar: "JSON" }), {
      description: message`The message, as JSON or as a Python literal`,
    }),
    redis: redisOptions(),
  }),
  run: async (options) => {
    await using backend = await openSender(options.redis);
    await backend.sendMessage(options.message);
  },
});
