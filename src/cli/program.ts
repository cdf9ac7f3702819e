import { ConfigError } from "../config/config_error.ts";
import { RedisError } from "../redis/redis_error.ts";
import { printable, tell } from "./print.ts";

/** The command line was used wrongly. */
export class UsageError extends Error {
  override name = "UsageError";
}

/**
 * Tells whether an error only says that a signal has ended the work. One that
 * happens while it ends is told like any other.
 *
 * @param signal What is aborted when the work is to end.
 */
export function isInterruption(
  error: unknown,
  signal: AbortSignal,
): error is RedisError | DOMException {
  if (!signal.aborted) return false;
  return error instanceof RedisError
    ? error.code === "closed"
    : error instanceof DOMException && error.name === "AbortError";
}

/**
 * The meaning of each exit code of a {@linkcode program}.
 *
 * @example
 * ```ts
 * import { ExitCode, main } from "@platypush/redis/cli";
 *
 * await main(["--version"]);
 * console.assert(Deno.exitCode === ExitCode.Done);
 * ```
 */
export const ExitCode = {
  /** Done. */
  Done: 0,
  /**
   * The answer is no: an error in a response, nothing found in time, not done in
   * time; or the output cannot be written.
   */
  No: 1,
  /** Used wrongly: an unknown option, a missing argument or permission, an unreadable input. */
  Usage: 2,
  /** No connection to Redis. */
  NoConnection: 3,
} as const;

/**
 * A terminal and what wraps a program, such as `npx`, may both pass on the same
 * Ctrl-C. What comes so much later, in seconds, is another one.
 */
const SAME_SIGNAL = 0.5;

/**
 * Runs a program as people expect it of a command. SIGINT and SIGTERM end it
 * properly, and at once where another one comes half a second later. So does a
 * reader of its output that has gone (`| head -1`). An error is one line on
 * stderr and an exit code.
 *
 * @param main The program. Its signal is aborted when it is to end; it then
 * closes what it has opened and returns, or throws an error that only says so.
 *
 * @example
 * ```ts
 * import { printLine, program } from "@platypush/redis/cli";
 *
 * await program(async (signal) => {
 *   if (!signal.aborted) await printLine("at your service");
 * });
 * ```
 */
export async function program(
  main: (signal: AbortSignal) => Promise<unknown>,
): Promise<void> {
  const interrupt = new AbortController();
  const signals: Deno.Signal[] = Deno.build.os === "windows"
    ? ["SIGINT", "SIGBREAK"]
    : ["SIGINT", "SIGTERM"];
  const listen = (): void => {
    for (const name of signals) Deno.addSignalListener(name, end);
  };
  const ignore = (): void => {
    for (const name of signals) Deno.removeSignalListener(name, end);
  };
  const end = (): void => {
    if (interrupt.signal.aborted) return;
    interrupt.abort(
      new DOMException("not everything was done", "AbortError"),
    );
    // From then on a signal has its usual effect.
    Deno.unrefTimer(setTimeout(ignore, SAME_SIGNAL * 1000));
  };
  listen();
  try {
    await main(interrupt.signal);
  } catch (error) {
    const isReaderGone = error instanceof Deno.errors.BrokenPipe;
    if (!isReaderGone && !isInterruption(error, interrupt.signal)) fail(error);
  } finally {
    if (!interrupt.signal.aborted) ignore();
  }
}

function fail(error: unknown): void {
  const said = error instanceof Error ? error.message : String(error);
  const text = printable(said.replace(/\s*\n\s*/g, " "));
  const isStackWanted = error instanceof Error && wantsStack();
  tell(`${isStackWanted ? Deno.inspect(error) : `error: ${text}`}\n`);
  Deno.exitCode = exitCodeOf(error);
}

/** Tells whether `PLATYPUSH_DEBUG` is set, as far as that may be known. */
function wantsStack(): boolean {
  const variable = "PLATYPUSH_DEBUG";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" && Boolean(Deno.env.get(variable));
}

function exitCodeOf(error: unknown): number {
  if (error instanceof RedisError && UNREACHABLE.has(error.code)) {
    return ExitCode.NoConnection;
  }
  if (error instanceof Deno.errors.NotFound) return ExitCode.NoConnection;
  if (
    error instanceof UsageError || error instanceof ConfigError ||
    error instanceof TypeError || error instanceof RangeError ||
    lacksPermission(error)
  ) {
    return ExitCode.Usage;
  }
  return ExitCode.No;
}

/** Tells whether what is behind an error is a missing permission of Deno's. */
function lacksPermission(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  return error instanceof Deno.errors.NotCapable ||
    lacksPermission(error.cause);
}

/** The errors that keep a client from a server. */
const UNREACHABLE: ReadonlySet<RedisError["code"]> = new Set([
  "connection",
  "unavailable",
  "auth",
  "tls",
  "unsupported",
]);
