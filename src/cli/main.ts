import { VERSION } from "../../mod.ts";
import { runDiscover } from "./discover.ts";
import { runListen } from "./listen.ts";
import { logToStderr } from "./log_to_stderr.ts";
import { printLine } from "./print_line.ts";
import { program } from "./program.ts";
import { runSend } from "./send.ts";
import { UsageError } from "./usage_error.ts";

const HELP =
  `Messages between programs over a Redis queue, as Platypush sends them.

Usage: platypush-redis COMMAND [ARGUMENTS] [OPTIONS]

  listen                       print what arrives, one JSON message a line
    --count N                    end after N messages
    --advertise                  announce this listener on the local network
  send event TYPE [K=V …]      send an event
  send request ACTION [K=V …]  send a request
    --wait S                     wait S seconds for the response, and print it
  send message JSON            send a message as it is
    --target ID                  whom it is for (default: our own device id)
  discover                     print the backends on the local network
    --timeout S                  how long to look (default: 2)

Values are JSON where they parse as JSON, else texts.

  --url URL        the Redis server (default: REDIS_URL, then 127.0.0.1:6379;
                   listen starts a private one where there is none)
  --queue NAME     the queue (default: PLATYPUSH_REDIS_QUEUE, then
                   platypush/backend/redis)
  --device-id ID   who we are (default: PLATYPUSH_DEVICE_ID, then the host's
                   name); * takes messages for everybody
  --log-level L    trace, debug, info, warning, error or fatal
                   (default: info for listen, warning otherwise)
  --version, --help

Exit codes: 0 done, 1 the answer is no, 2 used wrongly, 3 no connection.`;

const COMMANDS: Readonly<
  Record<string, (args: string[], signal: AbortSignal) => Promise<unknown>>
> = { listen: runListen, send: runSend, discover: runDiscover };

/**
 * Runs the command line, and sets the exit code.
 *
 * @param args The arguments, as in `Deno.args`.
 *
 * @example
 * ```ts
 * import { main } from "@platypush/redis/cli";
 *
 * await main(["--version"]);
 * ```
 */
export async function main(args: readonly string[]): Promise<void> {
  await program(async (signal) => {
    const [name = "--help", ...rest] = args;
    if (rest.includes("--help") || ["--help", "-h", "help"].includes(name)) {
      return await printLine(HELP);
    }
    if (name === "--version" || name === "-V") return await printLine(VERSION);
    const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
    if (command === undefined) {
      throw new UsageError(
        `There is no command "${name}"; the commands are ${
          Object.keys(COMMANDS).join(", ")
        }. See --help`,
      );
    }
    await logToStderr("warning");
    await command(rest, signal);
  });
}
