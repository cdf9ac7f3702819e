import { parseArgs, type ParseArgsOptionsConfig } from "node:util";
import { isLogLevel } from "@logtape/logtape";
import { logToStderr } from "./log_to_stderr.ts";
import { UsageError } from "./usage_error.ts";

/** What every command that talks to Redis takes. */
const COMMON = {
  "url": { type: "string" },
  "queue": { type: "string" },
  "device-id": { type: "string" },
  "log-level": { type: "string" },
} satisfies ParseArgsOptionsConfig;

/** The arguments of a command, read. */
export interface CommandLine {
  /** The server, from the arguments or the environment. */
  readonly url: string | undefined;
  /** The queue, from the arguments or the environment. */
  readonly queue: string | undefined;
  /** The device's id, from the arguments or the environment. */
  readonly deviceId: string | undefined;
  /** The other options. */
  readonly values: Readonly<Record<string, string | boolean | undefined>>;
  /** What is no option. */
  readonly positionals: readonly string[];
}

/**
 * Reads the arguments of a command, and sets the level of the log.
 *
 * @param args The arguments behind the command's name.
 * @param options The command's own options, beside those that all have.
 * @throws {UsageError} If an option is unknown or lacks its value.
 */
export async function readCommandLine(
  args: string[],
  options: ParseArgsOptionsConfig,
): Promise<CommandLine> {
  const { values, positionals } = parse(args, { ...COMMON, ...options });
  const level = values["log-level"];
  if (typeof level === "string") {
    if (!isLogLevel(level)) {
      throw new UsageError(
        `--log-level is "${level}", expected trace, debug, info, warning, error or fatal`,
      );
    }
    await logToStderr(level);
  }
  return {
    url: text(values.url, "REDIS_URL"),
    queue: text(values.queue, "PLATYPUSH_REDIS_QUEUE"),
    deviceId: text(values["device-id"], "PLATYPUSH_DEVICE_ID"),
    values,
    positionals,
  };
}

/** Reads an option that is a number above 0. */
export function readNumber(
  { values }: CommandLine,
  name: string,
): number | undefined {
  const value = values[name];
  if (value === undefined) return undefined;
  const number = Number(value);
  if (number > 0) return number;
  throw new UsageError(`--${name} is "${value}", expected a number above 0`);
}

function parse(args: string[], options: ParseArgsOptionsConfig): {
  values: Record<string, string | boolean | undefined>;
  positionals: string[];
} {
  try {
    const { values, positionals } = parseArgs({
      args,
      options,
      allowPositionals: true,
    });
    return {
      values: values as Record<string, string | boolean | undefined>,
      positionals,
    };
  } catch (error) {
    throw new UsageError(`${(error as Error).message}. See --help`);
  }
}

function text(value: unknown, variable: string): string | undefined {
  return typeof value === "string"
    ? value
    : Deno.env.get(variable) || undefined;
}
