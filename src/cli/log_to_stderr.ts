import type { TextFormatterOptions } from "@logtape/logtape";
import { printable, tell } from "./print.ts";

/** The levels of the log, as in LogTape; {@linkcode logToStderr} takes one. */
export type LogLevel =
  | "trace"
  | "debug"
  | "info"
  | "warning"
  | "error"
  | "fatal";

/**
 * Configures LogTape for a program, in place of whatever was configured before:
 * what the library reports goes to stderr, one readable line each, in colour on a
 * terminal.
 *
 * @param level The least level to show. Default: `info`.
 * @param mayColor Whether a terminal gets colours. Default: unless `NO_COLOR`
 * is set.
 *
 * @example
 * ```ts
 * import { createLogger } from "@platypush/redis";
 * import { logToStderr } from "@platypush/redis/cli";
 *
 * await logToStderr("warning");
 * createLogger("mine").info("This is not shown.");
 * ```
 */
export async function logToStderr(
  level: LogLevel = "info",
  mayColor: boolean = !Deno.noColor,
): Promise<void> {
  const { configure, getAnsiColorFormatter, getTextFormatter } = await import(
    "@logtape/logtape"
  );
  const options: TextFormatterOptions = {
    timestamp: (time) => new Date(time).toTimeString().slice(0, 8),
    category: (names) => names.slice(2).join("·"),
  };
  const hasColor = mayColor && Deno.stderr.isTerminal();
  const format = hasColor
    ? getAnsiColorFormatter(options)
    : getTextFormatter(options);
  await configure({
    reset: true,
    sinks: {
      stderr: (record) => {
        const message = record.message.map((part) =>
          typeof part === "string" ? printable(part) : part
        );
        tell(format({ ...record, message }));
      },
    },
    loggers: [
      {
        category: ["platypush", "redis"],
        lowestLevel: level,
        sinks: ["stderr"],
      },
      {
        category: ["logtape", "meta"],
        lowestLevel: "warning",
        sinks: ["stderr"],
      },
    ],
  });
}
