import { ExitCode, UsageError } from "./program.ts";
import { object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { argument, option } from "@optique/core/primitives";
import type { Parser } from "@optique/core/parser";
import { string } from "@optique/core/valueparser";
import {
  Event,
  type HubBus,
  Message,
  newId,
  RedisError,
  Request,
  type RequestFields,
  type Response,
} from "../../mod.ts";
import { unlessAborted, whenAborted } from "../waiting.ts";
import { restate } from "../redis/redis_error.ts";
import { type Command, defineCommand, defineCommandGroup } from "./command.ts";
import {
  beforeResponse,
  type Destination,
  destinationOptions,
  needsOf,
  openRequester,
  Sender,
  targetOption,
  tellInterruption,
  withHub,
} from "./sender.ts";
import { onceOptions, scheduleOf, type When, whenOptions } from "./schedule.ts";
import { tokenOf, tokenOption } from "./token.ts";
import { argsOf, checkNumbers, pair, seconds, subject } from "./values.ts";
import { note, printableJson, printLine } from "./print.ts";
import { ProgressLine } from "./progress_line.ts";
import { lengthOfStdin, readLines } from "./read_lines.ts";
import { amount, number } from "../units.ts";

/** `send event`: sends an event. */
const sendEventCommand: Command = defineCommand("event", {
  brief: "Send an event",
  usage: "TYPE [NAME=VALUE]… [OPTION]…",
  examples: [
    "platypush-redis send event custom.Motion room=hall seen=true",
    "platypush-redis send event custom.Motion room=hall --to livingroom",
    "platypush-redis send event custom.LightOff room=hall --delay 15m",
  ],
  options: object({
    type: argument(subject("TYPE", "the type of an event", "custom.Motion"), {
      description: message`The type of the event`,
    }),
    args: namedArguments("What else it says"),
    when: whenOptions(),
    once: onceOptions(),
    target: targetOption(),
    destination: destinationOptions(),
  }),
  needs: ({ when, once, destination }) =>
    needsOf(destination, { ...when, ...once }),
  run: async (options, { signal }) => {
    const { type, args, when, once, target, destination } = options;
    const schedule = scheduleOf(destination, when, once);
    const event = {
      type: "event",
      ...(target !== undefined && { target }),
      args: { ...argsOf(args, "type"), type },
    };
    if (destination.bus) {
      return await withHub(destination.redis, signal, async (bus, origin) => {
        const message = new Event({ target: origin, origin, ...event });
        await postToHub(bus, message);
      });
    }
    await using sender = await Sender.open(destination, signal);
    const message = { ...event, origin: sender.deviceId };
    tellWhetherSent(await sender.send([message], schedule), once.deduplicate);
  },
});

/** Tells that a message was not sent since another one with its key was. */
function tellWhetherSent(isSent: boolean, key: string | undefined): void {
  if (isSent) return;
  note(`Not sent: another one with the key "${key}" was sent before.`);
  Deno.exitCode = ExitCode.No;
}

/** Posts a message to a hub, and tells if it did not get there. */
async function postToHub(bus: HubBus, message: Message): Promise<void> {
  const receipt = await bus.post(message);
  const [failure] = await receipt.handled;
  if (failure !== undefined) throw failure.error;
  if (bus.hub !== "none") return;
  throw new Error(
    "Nobody has heard it: no Platypush that listens to its bus runs on that Redis; start one, or name its Redis by --url",
  );
}

/** `send request`: sends a request, and waits for its response if it is told to. */
const sendRequestCommand: Command = defineCommand("request", {
  brief: "Send a request",
  usage: "ACTION [NAME=VALUE]… [OPTION]…",
  examples: [
    "platypush-redis send request light.on room=hall --target lamp",
    "platypush-redis send request light.on room=hall --to lamp --wait 5",
  ],
  options: object({
    action: argument(subject("ACTION", "an action", "light.on"), {
      description: message`What is to be done`,
    }),
    args: namedArguments("How"),
    token: tokenOption(),
    wait: optional(option("--wait", seconds(), {
      description:
        message`Wait so many seconds for the response, counted from when the request is due, and print it`,
    })),
    when: whenOptions(),
    target: targetOption(),
    destination: destinationOptions(),
  }),
  needs: ({ wait, when, destination }) => needsOf(destination, when, wait),
  run: async (options, { signal }) => {
    const { action, args, wait, when, target, destination } = options;
    const schedule = scheduleOf(destination, when);
    const isOwn = destination.to === undefined && target === undefined;
    const token = await tokenOf(options, isOwn);
    const request = {
      ...(target !== undefined && { target }),
      ...(token !== undefined && { token }),
      action,
      args: argsOf(args),
    };
    if (destination.bus) {
      await requestOfHub(request, wait, destination, signal);
    } else if (wait === undefined) {
      await using sender = await Sender.open(destination, signal);
      const id = newId();
      const origin = sender.deviceId;
      const message = { type: "request", origin, id, ...request };
      await sender.send([message], schedule);
      await printLine(id);
    } else {
      await requestAndWait(request, wait, schedule, destination, signal);
    }
  },
});

/** A request as the arguments of the command describe it. */
type RequestArgs = Omit<RequestFields, "origin">;

/** Posts a request to the bus of a hub, and waits for the response if it is told to. */
async function requestOfHub(
  request: RequestArgs,
  wait: number | undefined,
  { redis }: Destination,
  signal: AbortSignal,
): Promise<void> {
  await withHub(redis, signal, async (bus, origin) => {
    const message = new Request({ target: origin, origin, ...request });
    if (wait === undefined) {
      await postToHub(bus, message);
      return await printLine(message.id);
    }
    const asking = bus.sendRequest(message, { responseTimeout: wait });
    await printResponse(unlessAborted(asking, signal), signal);
  });
}

/** Sends a request to a queue, ours or a peer's, and waits for the response. */
async function requestAndWait(
  request: RequestArgs,
  wait: number,
  { delay, at }: When,
  destination: Destination,
  signal: AbortSignal,
): Promise<void> {
  const { backend, target, left } = await openRequester(
    destination,
    signal,
    wait,
  );
  await using _backend = backend;
  whenAborted(signal, () => backend.stop());
  const asking = backend.sendRequest(
    { target, origin: backend.deviceId, ...request },
    { responseTimeout: left, delay, at },
  );
  await printResponse(asking, signal);
}

/** Prints the response to a request; one with errors is no success. */
async function printResponse(
  asking: Promise<Response>,
  signal: AbortSignal,
): Promise<void> {
  const response = await tellInterruption(asking, signal, beforeResponse);
  await printLine(printableJson(response.toString()));
  if (response.errors.length > 0) Deno.exitCode = ExitCode.No;
}

/** The arguments `NAME=VALUE` of an event or a request. */
function namedArguments(
  what: string,
): Parser<"sync", readonly (readonly [string, unknown])[], unknown> {
  return multiple(
    argument(pair(), {
      description: message`${
        text(what)
      }; a value is JSON where it parses as JSON, else a text`,
    }),
  );
}

/** `send message`: sends messages as they are. */
const sendMessageCommand: Command = defineCommand("message", {
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
    when: whenOptions(),
    once: onceOptions(),
    destination: destinationOptions(),
  }),
  needs: ({ when, once, destination }) =>
    needsOf(destination, { ...when, ...once }),
  run: async ({ text, when, once, destination }, { signal }) => {
    const schedule = scheduleOf(destination, when, once);
    await using sender = await Sender.open(destination, signal);
    if (text !== undefined) {
      check(text, "The argument", sender);
      const isSent = await sender.send([text], schedule);
      return tellWhetherSent(isSent, once.deduplicate);
    }
    if (once.deduplicate !== undefined) {
      throw new UsageError(
        "--deduplicate is for one message, given as an argument: of those on the standard input it would keep out all but the first",
      );
    }
    if (Deno.stdin.isTerminal()) {
      throw new UsageError(
        "Nothing to send: expected a message, or messages on the standard input, one a line. See --help",
      );
    }
    await sendLines(sender, schedule, signal);
  },
});

/** The number of messages that are sent at once. */
const BATCH = 256;

/** Sends what is on the standard input, one message a line. */
async function sendLines(
  sender: Sender,
  schedule: When,
  signal: AbortSignal,
): Promise<void> {
  using progress = new ProgressLine();
  const total = lengthOfStdin();
  const start = performance.now();
  let next = 1;
  let sent = 0;
  let read = 0;
  try {
    for await (const { lines, bytes } of readLines(BATCH, signal)) {
      const messages: string[] = [];
      let line = next;
      try {
        for (const text of lines) {
          if (text.trim() !== "") {
            check(text, `Line ${line}`, sender);
            messages.push(text);
          }
          line++;
        }
      } finally {
        // What is in front of a line that is no message was right.
        if (messages.length > 0) await sender.send(messages, schedule);
        next = line;
      }
      sent += messages.length;
      read += bytes;
      const seconds = (performance.now() - start) / 1000;
      const rate = Math.round(sent / Math.max(seconds, 0.001));
      progress.show(
        `${amount(sent, "message")}, ${number(rate)}/s`,
        total === undefined ? undefined : read / total,
      );
    }
    if (signal.aborted) {
      throw new Error("Interrupted before everything was sent");
    }
  } catch (error) {
    throw withExtent(error as Error, next);
  }
  if (sent === 0) {
    throw new UsageError(
      "Nothing to send: the standard input is empty, expected messages, one a line. See --help",
    );
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

/** Refuses what is no message, or would be another one. */
function check(text: string, what: string, { deviceId }: Sender): void {
  checkNumbers(text, what);
  try {
    Message.build(text, { deviceId });
  } catch (error) {
    throw new UsageError(
      `${what} is no message: ${(error as Error).message}`,
    );
  }
}

/** `send`: sends an event, a request, or messages as they are. */
export const sendCommand: Command = defineCommandGroup("send", {
  brief: "Send an event, a request, or messages as they are",
  examples: ["platypush-redis send event custom.Motion room=hall seen=true"],
  commands: [sendEventCommand, sendRequestCommand, sendMessageCommand],
});
