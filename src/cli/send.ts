import { type Command, defineCommandGroup } from "./command.ts";
import { sendEventCommand } from "./send_event.ts";
import { sendMessageCommand } from "./send_message.ts";
import { sendRequestCommand } from "./send_request.ts";

/** `send`: sends an event, a request, or messages as they are. */
export const sendCommand: Command = defineCommandGroup("send", {
  brief: "Send an event, a request, or messages as they are",
  examples: ["platypush-redis send event custom.Motion room=hall seen=true"],
  commands: [sendEventCommand, sendRequestCommand, sendMessageCommand],
});
