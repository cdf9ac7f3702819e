import type { ValueParser } from "@optique/core/valueparser";
import {
  attribute,
  compileCondition,
  DroppedError,
  Event,
  Message,
  RedisBackend,
} from "../../mod.ts";
import { warningsTo } from "../logger.ts";
import { isInterruption, UsageError } from "./program.ts";
import { whenAborted } from "../waiting.ts";
import { count, readPair, value } from "./values.ts";
import { note, printableJson, printLine, terminalWidth } from "./print.ts";
import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { type Command, defineCommand, type Surroundings } from "./command.ts";
import { messageLine } from "./message_line.ts";
import { embedRedis } from "./provide_redis.ts";
import {
  type RedisOptions,
  redisOptions,
  resolveOptions,
} from "./redis_options.ts";
import { withHub } from "./sender.ts";

/** Tells which messages are printed; the others are taken off the queue, too. */
type PrintFilter = (message: Message) => boolean;

/**
 * A condition on messages, `PATH=VALUE`. The value may be an object of operators
 * as in conditions on events: `args.temperature={"$gt": 21}`.
 */
function filter(): ValueParser<"sync", PrintFilter> {
  return value({
    metavar: "PATH=VALUE",
    expected: "PATH=VALUE",
    example: "args.type=custom.Motion",
    read: (text) => {
      const pair = readPair(text);
      if (pair === undefined) return undefined;
      const [path, expected] = pair;
      // In quotes it is JSON, and may have blanks at its ends.
      const isBare = typeof expected === "string" &&
        text === `${path}=${expected}`;
      if (isBare && expected !== expected.trim()) {
        throw new UsageError(
          `${path} would be compared with ${
            JSON.stringify(expected)
          }; leave out the blank at its end, or put it into quotes where it is meant, as in ${path}='" hall"'`,
        );
      }
      return compileFilter(path, expected);
    },
  });
}

/**
 * Makes a filter of an attribute of messages.
 *
 * @param path The attribute: names with dots between them.
 * @param expected What it has to be.
 * @throws {RegexError} A regular expression in it cannot be used.
 * @throws {UsageError} An operator is unknown, or cannot compare by its value.
 */
function compileFilter(path: string, expected: unknown): PrintFilter {
  // A condition is about the args of an event: the attribute becomes one.
  // What conditions only warn of is a mistake on a command line.
  const refusing = warningsTo((text) => {
    throw new UsageError(text.replaceAll("args.value", path));
  });
  const test = compileCondition({ value: expected }, refusing);
  return (message) => {
    const { target, origin, id } = message;
    const value = attribute(message, path);
    if (value === undefined) return false;
    const args = { type: "filter", value };
    return test(new Event({ args, target, origin, id }, true));
  };
}

/** Chooses messages to print, and their form. */
interface PrintOptions {
  readonly filters: readonly PrintFilter[];
  readonly json: boolean;
  /** The number of messages to print; without end by default. */
  readonly count: number | undefined;
}

/** Prints one message after the other, up to a number or until nobody reads. */
class Printer {
  readonly #options: PrintOptions;
  readonly #surroundings: Surroundings;
  readonly #onEnd: () => unknown;
  #printed = 0;
  #turn: Promise<void> = Promise.resolve();
  #isOver = false;
  /** Why no more could be printed; that nobody reads any more included. */
  error: unknown;

  /** @param onEnd Called when no more is printed. */
  constructor(
    options: PrintOptions,
    surroundings: Surroundings,
    onEnd: () => unknown,
  ) {
    this.#options = options;
    this.#surroundings = surroundings;
    this.#onEnd = onEnd;
  }

  /**
   * Prints a message when it is its turn, if it is one to print.
   *
   * @throws {DroppedError} It was not printed, so it is not handled.
   */
  print(message: Message): Promise<void> | undefined {
    const { filters } = this.#options;
    if (!filters.every((isWanted) => isWanted(message))) return undefined;
    const turn = this.#turn.then(() => this.#print(message));
    this.#turn = turn.catch(() => {});
    return turn;
  }

  async #print(message: Message): Promise<void> {
    if (this.#isOver) throw new DroppedError("No more is printed");
    try {
      await printLine(this.#format(message));
    } catch (error) {
      this.error = error;
      this.#end();
      throw new DroppedError("It could not be printed");
    }
    if (++this.#printed === this.#options.count) this.#end();
  }

  #format(message: Message): string {
    const { isTerminal, paint } = this.#surroundings;
    return isTerminal && !this.#options.json
      ? messageLine(message, { paint, width: terminalWidth() })
      : printableJson(message.toString());
  }

  #end(): void {
    this.#isOver = true;
    this.#onEnd();
  }
}

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
      description: message`Advertise this device on the local network`,
    }),
    bus: option("--bus", {
      description:
        message`What passes on the main bus of the Platypush that runs on that Redis, in place of our own queue`,
    }),
    embedded: option("--embedded", {
      description:
        message`Start a private Redis for as long as this runs, and say where`,
    }),
    redis: redisOptions(),
  }),
  needs: ({ bus, redis }) => bus ? undefined : { redis, deeds: ["consume"] },
  run: async (options, surroundings) => {
    const { advertise, embedded } = options;
    if (embedded && options.redis.url !== undefined) {
      throw new UsageError(
        "--embedded starts a Redis, and --url names one; leave out the one that is not meant",
      );
    }
    if (options.bus) return await listenToHub(options, surroundings);
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
    const printer = new Printer(options, surroundings, () => backend.stop());
    backend.bus.registerHandler(
      Message,
      (message) =>
        advertise && isOwnService(message, backend)
          ? undefined
          : printer.print(message),
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

/** Tells whether an event only says that this very device is advertised. */
function isOwnService(message: Message, { deviceId }: RedisBackend): boolean {
  if (!(message instanceof Event) || message.origin !== deviceId) return false;
  const { type, service_name } = message.args;
  return type.startsWith("platypush.message.event.zeroconf.") &&
    String(service_name).startsWith(`${deviceId}._`);
}

/** Prints what passes on the bus of a running Platypush. */
async function listenToHub(
  options: PrintOptions & {
    readonly advertise: boolean;
    readonly embedded: boolean;
    readonly redis: RedisOptions;
  },
  surroundings: Surroundings,
): Promise<void> {
  const { advertise, embedded, redis } = options;
  if (redis.queue !== undefined) {
    throw new UsageError(
      "--bus listens to the bus of Platypush, and --queue names a queue; leave out the one that is not meant",
    );
  }
  if (advertise || embedded) {
    throw new UsageError(
      "--bus listens to a Platypush that runs already; --advertise and --embedded are for a queue of our own",
    );
  }
  const { signal } = surroundings;
  await withHub(redis, signal, async (bus) => {
    if (bus.hub === "list") {
      throw new Error(
        "This Platypush has a list in place of a channel: whoever listens takes its messages away, so it is only told things",
      );
    }
    const over = Promise.withResolvers<void>();
    whenAborted(signal, () => over.resolve());
    const printer = new Printer(options, surroundings, over.resolve);
    bus.registerHandler(Message, (message) => printer.print(message));
    note("Listening to the bus of Platypush.");
    await over.promise;
    if (printer.error !== undefined) throw printer.error;
  });
}
