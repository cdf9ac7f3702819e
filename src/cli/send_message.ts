import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import { argument } from "@optique/core/primitives";
import { string } from "@optique/core/valueparser";
import { Message, RedisError } from "../../mod.ts";
import { restate } from "../redis/redis_error.ts";
import { type Command, defineCommand } from "./command.ts";
import { Progress } from "./progress.ts";
import { readLines } from "./read_lines.ts";
import { destination, Sender } from "./sender.ts";
import { UsageError } from "./usage_error.ts";

/** The number of messages that are sent at once. */
const BATCH = 256;

/** `send message`: sends messages as they are. */
export const sendMessageCommand: Command = defineCommand("message", {
  brief: "Send messages as they are",
  usage: "[JSON] [OPTION]…",
  examples: [
    `platypush-redis send message '{"type": "event", "args": {"type": "custom.A"}}'`,
    "platypush-redis send message --to livingroom < messages.jsonl",
  ],
  options: object({
    text: optional(argument(string({ metavar: "JSON" }), {
      description:
        message`The message, as JSON or as a Python literal. Default: one on each line of the standard input`,
    })),
    destination: destination(),
  }),
  run: async ({ text, destination }, { signal }) => {
    await using sender = await Sender.open(destination, signal);
    if (text !== undefined) {
      check(text, "The argument", sender);
      return await sender.send([text]);
    }
    if (Deno.stdin.isTerminal()) {
      throw new UsageError(
        "Nothing to send: expected a message, or messages on the standard input, one a line. See --help",
      );
    }
    await sendLines(sender, signal);
  },
});

/** Sends what is on the standard input, one message a line. */
async function sendLines(sender: Sender, signal: AbortSignal): Promise<void> {
  using progress = new Progress();
  let next = 1;
  try {
    for await (const { lines, bytes } of readLines(BATCH, signal)) {
      const messages: string[] = [];
      let number = next;
      try {
        for (const line of lines) {
          if (line.trim() !== "") {
            check(line, `Line ${number}`, sender);
            messages.push(line);
          }
          number++;
        }
      } finally {
        // What is in front of a line that is no message was right.
        if (messages.length > 0) await sender.send(messages);
        next = number;
      }
      progress.advance(messages.length, bytes);
    }
    if (signal.aborted) {
      throw new Error("Interrupted before everything was sent");
    }
  } catch (error) {
    throw withExtent(error as Error, next);
  }
}

/** Says from which line on to send again what was not sent. */
function withExtent(error: Error, next: number): Error {
  if (next === 1) return error;
  const extent = `what is before line ${next} was sent`;
  if (error instanceof RedisError) {
    return restate(error, { note: `W${extent.slice(1)}` });
  }
  const message = `${error.message}; ${extent}`;
  const options = { cause: error };
  return error instanceof UsageError
    ? new UsageError(message, options)
    : new Error(message, options);
}

/** Refuses what is no message. */
function check(text: string, what: string, { deviceId }: Sender): void {
  try {
    Message.build(text, { deviceId });
  } catch (error) {
    throw new UsageError(
      `${what} is no message: ${(error as Error).message}`,
    );
  }
}
