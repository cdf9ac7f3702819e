import { object, or, type OrErrorOptions } from "@optique/core/constructs";
import { lineBreak, type Message, message, text } from "@optique/core/message";
import { map, optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { command, option } from "@optique/core/primitives";
import { extractCommandNames, type Usage } from "@optique/core/usage";
import { choice } from "@optique/core/valueparser";
import { readEnvironment } from "../config/find_config_file.ts";
import { explainRefusal, type Needs } from "./explain_refusal.ts";
import { isInterruption } from "./program.ts";
import { type LogLevel, logToStderr } from "./log_to_stderr.ts";
import { painter, type Screen, terminalWidth } from "./print.ts";

/** Does what the arguments ask for. Its signal is aborted when it is to end. */
export type CommandRun = (signal: AbortSignal) => Promise<unknown>;

/** A command of the command line: reads its arguments into an action. */
export type Command = Parser<"sync", CommandRun, unknown>;

/** Tells a command when to end, and for whom it prints. */
export interface Surroundings extends Screen {
  /** Aborted when the command is to end. */
  readonly signal: AbortSignal;
  /** True if stdout is for people's eyes: a terminal. */
  readonly isTerminal: boolean;
}

/** The parts that a command is made of. */
interface CommandDefinition<Options> {
  /** One line for the list of commands. */
  readonly brief: string;
  /** Command lines to copy from. */
  readonly examples: readonly string[];
  /** The options that it takes, beside those that every command has. */
  readonly options: Parser<"sync", Options, unknown>;
  /** The usage line behind the command's name. */
  readonly usage: string;
  /** The least level of the log where none is asked for. Default: `warning`. */
  readonly logLevel?: LogLevel;
  /**
   * Says what it does in our own Redis, for people who lack the right. Default:
   * nothing that could be told beforehand.
   */
  needs?(options: Options): Needs | undefined;
  /**
   * Does it. Data goes to stdout by `printLine`, and nothing else does. Where to
   * be interrupted is how it usually ends, it returns then.
   */
  run(options: Options, surroundings: Surroundings): Promise<unknown>;
}

const LOG_LEVELS = [
  "trace",
  "debug",
  "info",
  "warning",
  "error",
  "fatal",
] as const satisfies readonly LogLevel[];

/**
 * Defines a command.
 *
 * @param definition What it is made of.
 */
export function defineCommand<Options>(
  name: string,
  definition: CommandDefinition<Options>,
): Command {
  const { options, logLevel = "warning" } = definition;
  const parser = object({ own: options, general: general(logLevel) }) as Parser<
    "sync",
    { own: Options; general: GeneralOptions },
    unknown
  >;
  const action = map(
    parser,
    ({ own, general }): CommandRun => async (signal) => {
      const mayColor = !general.noColor && !Deno.noColor &&
        readEnvironment("TERM") !== "dumb";
      await logToStderr(general.logLevel ?? logLevel, mayColor);
      const isTerminal = Deno.stdout.isTerminal();
      try {
        await definition.run(own, {
          signal,
          isTerminal,
          width: isTerminal ? terminalWidth() : Infinity,
          paint: painter(isTerminal && mayColor),
        });
      } catch (error) {
        if (!isInterruption(error, signal)) {
          throw await explainRefusal(error, definition.needs?.(own), signal);
        }
        throw new Error(`Interrupted: ${error.message}`, { cause: error });
      }
    },
  );
  return command(name, action, {
    brief: [text(definition.brief)],
    footer: examplesOf(definition.examples),
    usageLine: usageOf(definition.usage),
  });
}

/**
 * Defines a command that has commands of its own, as `send event`.
 *
 * @param definition What it is made of.
 */
export function defineCommandGroup(
  name: string,
  definition: {
    readonly brief: string;
    readonly examples: readonly string[];
    readonly commands: readonly Command[];
  },
): Command {
  return command(name, anyCommand(definition.commands), {
    brief: [text(definition.brief)],
    footer: examplesOf(definition.examples),
    usageLine: usageOf("COMMAND [OPTION]…"),
  });
}

/** Whichever of the commands is named. */
export function anyCommand(
  commands: readonly Command[],
  errors: OrErrorOptions = {},
): Command {
  const names = commands.flatMap(({ usage }) => [
    ...extractCommandNames(usage),
  ]);
  const noMatch = message`Expected a command: ${text(names.join(", "))}.`;
  return or(...commands as [Command, Command], {
    errors: { noMatch, ...errors },
  });
}

/** Command lines to copy from, for the end of a help text. */
function examplesOf(examples: readonly string[]): Message {
  return [
    text("Examples:"),
    ...examples.flatMap((line) => [lineBreak(), text(`  ${line}`)]),
  ];
}

/** A usage line that is written as it is. */
export function usageOf(line: string): Usage {
  return [{ type: "literal", value: line }];
}

/** The options that every command takes. */
interface GeneralOptions {
  readonly logLevel: LogLevel | undefined;
  readonly noColor: boolean;
}

function general(
  logLevel: LogLevel,
): Parser<"sync", GeneralOptions, unknown> {
  const levels = choice(LOG_LEVELS, { metavar: "LEVEL", suggest: "nearest" });
  return object("General options", {
    logLevel: optional(option("--log-level", levels, {
      description: message`The least level to log: ${
        text(LOG_LEVELS.join(", "))
      }. Default: ${text(logLevel)}`,
    })),
    noColor: option("--no-color", {
      description: message`No colours; NO_COLOR=1 does the same`,
    }),
  });
}
