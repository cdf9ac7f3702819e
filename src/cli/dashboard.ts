import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { multiple, optional, withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { HubBus, RedisBackend, resolveConfig } from "../../mod.ts";
import { isLoopback } from "../backend/service_place.ts";
import { readEnvironment } from "../config/find_config_file.ts";
import { toldLack } from "../permission.ts";
import { formatAddress } from "../redis/address.ts";
import { unlessAborted, whenAborted } from "../waiting.ts";
import { type Command, defineCommand } from "./command.ts";
import { note, printLine } from "./print.ts";
import { UsageError } from "./program.ts";
import { hubOptions, redisOptions } from "./redis_options.ts";
import { filled, helpOf, port } from "./values.ts";

/** The port, where nobody says another. */
const PORT = 8480;

/** The fewest characters that a password has, as `dashboard()` wants it. */
const LEAST_PASSWORD = 8;

/** `dashboard`: serves a page to look at. */
export const dashboardCommand: Command = defineCommand("dashboard", {
  brief: "Serve a page to look at: how everything stands, live",
  usage: "[OPTION]…",
  examples: [
    "platypush-redis dashboard",
    "platypush-redis dashboard --read-only --port 9000",
    "PLATYPUSH_DASHBOARD_TOKEN=… platypush-redis dashboard --host 0.0.0.0",
  ],
  options: object({
    port: withDefault(
      option("--port", port(), {
        description: helpOf("The port; 0 for any that is free", PORT),
      }),
      PORT,
    ),
    host: withDefault(
      option(
        "--host",
        filled("ADDRESS", "an address of this host", "0.0.0.0"),
        {
          description:
            message`The address to listen on; another one than this host's own needs PLATYPUSH_DASHBOARD_TOKEN. Default: 127.0.0.1`,
        },
      ),
      "127.0.0.1",
    ),
    names: multiple(
      option("--name", filled("NAME", "a host's name", "hub.local"), {
        description:
          message`A name under which browsers ask for the page, beside its addresses. Repeatable`,
      }),
    ),
    basePath: optional(
      option("--base-path", filled("PATH", "a path such as /hub", "/hub"), {
        description: message`The path in front of every page, behind a proxy`,
      }),
    ),
    readOnly: option("--read-only", {
      description: message`Show everything, and change nothing`,
    }),
    bus: option("--bus", {
      description:
        message`Show what passes on the main bus of the Platypush that runs on that Redis`,
    }),
    redis: redisOptions(),
  }),
  run: async (options, { signal }) => {
    const { host, names, basePath, readOnly } = options;
    const token = readEnvironment("PLATYPUSH_DASHBOARD_TOKEN");
    if (token === undefined && !isLoopback(host)) {
      throw new UsageError(
        `On ${host}, everybody on the network could use the page: set a password as PLATYPUSH_DASHBOARD_TOKEN, or leave --host out`,
      );
    }
    if (token !== undefined && token.length < LEAST_PASSWORD) {
      throw new UsageError(
        `PLATYPUSH_DASHBOARD_TOKEN has to be a text of at least ${LEAST_PASSWORD} characters`,
      );
    }
    const { options: resolved, settings } = await resolveConfig({
      flags: options.redis,
    });
    // Who only asks for help loads nothing of it.
    const { dashboard } = await import("../dashboard/mod.ts");
    // It only sends: to start it would take messages away from the consumers.
    await using backend = new RedisBackend(resolved);
    await using bus = options.bus
      ? await unlessAborted(HubBus.open(hubOptions(resolved)), signal)
      : undefined;
    await using page = dashboard({
      backend,
      bus: bus ?? false,
      settings,
      readOnly,
      hosts: names,
      ...(token !== undefined && { token }),
      ...(basePath !== undefined && { basePath }),
    });
    const ended = new AbortController();
    const server = serve(host, options.port, ended.signal, page);
    const { port: taken } = server.addr as Deno.NetAddr;
    await printLine(`http://${urlHost(host)}:${taken}${basePath ?? ""}/`);
    note("Ctrl-C ends it.");
    whenAborted(signal, () => ended.abort());
    await server.finished;
  },
});

/** Listens, and says of an address that cannot be used which one it is. */
function serve(
  hostname: string,
  port: number,
  signal: AbortSignal,
  page: Deno.ServeHandler,
): Deno.HttpServer {
  const onListen = (): void => {};
  try {
    return Deno.serve({ hostname, port, signal, onListen }, page);
  } catch (cause) {
    const attempted = `listen on port ${port} of ${hostname}`;
    if (cause instanceof Deno.errors.AddrInUse) {
      throw new Error(
        `Cannot ${attempted}: another program does; choose another --port, or 0 for any that is free`,
        { cause },
      );
    }
    if (cause instanceof Deno.errors.AddrNotAvailable) {
      throw new UsageError(
        `Cannot ${attempted}: this host has no such address; --host takes one of its own`,
        { cause },
      );
    }
    throw toldLack(cause, {
      attempted,
      deed: "listen there",
      flag: `--allow-net=${formatAddress({ host: hostname, port })}`,
      instead: "choose another --host or --port",
    });
  }
}

function urlHost(host: string): string {
  if (host === "0.0.0.0" || host === "::") return "127.0.0.1";
  return host.includes(":") ? `[${host}]` : host;
}
