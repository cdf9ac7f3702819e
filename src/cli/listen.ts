import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { Message, RedisBackend } from "../../mod.ts";
import { type Command, defineCommand, type Surroundings } from "./command.ts";
import { embedRedis } from "./embed_redis.ts";
import { filter } from "./filter.ts";
import { isInterruption } from "./is_interruption.ts";
import { messageLine } from "./message_line.ts";
import { printableJson } from "./printable.ts";
import { Printer } from "./printer.ts";
import { redisOptions, resolveOptions } from "./redis_options.ts";
import { terminalWidth } from "./terminal_width.ts";
import { count } from "./values.ts";
import { whenAborted } from "./when_aborted.ts";

/** `listen`: prints what arrives. */
export const listenCommand: Command = defineCommand("listen", {
  brief: "Print messages as they arrive",
  usage: "[OPTION]…",
  examples: [
    "platypush-redis listen --filter args.type=custom.Motion",
    `platypush-redis listen --filter 'args.temperature={"$gt": 21}'`,
    "platypush-redis listen --count 1 | jq .args",
  ],
  logLevel: "info",
  options: object({
    json: option("--json", {
      description:
        message`One JSON message a line on a terminal, too, as when it is piped`,
    }),
    filters: multiple(option("--filter", filter(), {
      description:
        message`Print only what is so, and pass over the rest; VALUE is JSON, operators included, or a text. Repeatable: all have to hold`,
    })),
    count: optional(option("--count", count(), {
      description: message`End after so many messages`,
    })),
    advertise: option("--advertise", {
      description: message`Announce this listener on the local network`,
    }),
    embedded: option("--embedded", {
      description:
        message`Start a private Redis for as long as this runs, and say where`,
    }),
    redis: redisOptions(),
  }),
  run: async (options, surroundings) => {
    const { filters, advertise, embedded } = options;
    const resolved = await resolveOptions(options.redis);
    await using server = embedded ? await embedRedis() : undefined;
    const { signal } = surroundings;
    if (signal.aborted) return;
    await using backend = new RedisBackend({
      ...resolved,
      ...(server && { redisArgs: server.redisArgs }),
      bigint: true,
    });
    whenAborted(signal, () => backend.stop());
    const printer = new Printer({
      format: chooseFormat(surroundings, options.json),
      limit: options.count,
      onEnd: () => backend.stop(),
    });
    backend.bus.registerHandler(
      Message,
      (message) =>
        filters.every((isWanted) => isWanted(message))
          ? printer.print(message)
          : undefined,
    );
    try {
      await backend.start();
    } catch (error) {
      if (isInterruption(error, signal)) return;
      throw error;
    }
    if (advertise && !signal.aborted) await backend.registerService();
    await backend.join();
    if (printer.error !== undefined) throw printer.error;
  },
});

function chooseFormat(
  { isTerminal, paint }: Surroundings,
  isJson: boolean,
): (message: Message) => string {
  return isTerminal && !isJson
    ? (message) => messageLine(message, terminalWidth(), paint)
    : (message) => printableJson(message.toString());
}
