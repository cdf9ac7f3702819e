import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { withDefault } from "@optique/core/modifiers";
import { option } from "@optique/core/primitives";
import { Request, type RequestFields, type Response } from "../../mod.ts";
import { actionsIn } from "../backend/inspection.ts";
import { REQUEST_OPTIONS } from "../backend/message_sender.ts";
import { asRecord, isRecord } from "../message/json_value.ts";
import { unlessAborted, whenAborted } from "../waiting.ts";
import { type Command, defineCommand } from "./command.ts";
import { table } from "./table.ts";
import { jsonLine, printable, printLines, type Screen } from "./print.ts";
import {
  beforeResponse,
  type Destination,
  destinationOptions,
  needsOf,
  openRequester,
  targetOption,
  tellInterruption,
  withHub,
} from "./sender.ts";
import { tokenOf, tokenOption } from "./token.ts";
import { helpOf, seconds } from "./values.ts";

/** The time to wait where nobody says another, in seconds. */
const WAIT = REQUEST_OPTIONS.responseTimeout.default;

/** `actions`: lists what a device can do. */
export const actionsCommand: Command = defineCommand("actions", {
  brief: "List what a device can do",
  usage: "[OPTION]…",
  examples: [
    "platypush-redis actions --to lamp",
    "platypush-redis actions --bus --target livingroom",
    "platypush-redis actions --target lamp --json | jq -r .action",
  ],
  options: object({
    all: option("--all", {
      description:
        message`Of a Platypush, also what it could do with plugins that are not enabled`,
    }),
    wait: withDefault(
      option("--wait", seconds(), {
        description: helpOf("How long to wait for the response", WAIT),
      }),
      WAIT,
    ),
    json: option("--json", {
      description: message`One JSON object a line, with the schemas`,
    }),
    token: tokenOption(),
    target: targetOption(),
    destination: destinationOptions(),
  }),
  needs: ({ wait, destination }) => needsOf(destination, {}, wait),
  run: async (options, surroundings) => {
    const { all, json } = options;
    const [plugins, enabled] = await ask(options, surroundings.signal);
    if (plugins.errors.length > 0) {
      throw new Error(
        `"${plugins.origin}" does not tell what it can do: ${
          plugins.errors.map((error) => text(error)).join("; ")
        }`,
      );
    }
    if (!isRecord(plugins.output)) {
      throw new Error(
        `"${plugins.origin}" has answered what lists no actions, expected an object with plugins`,
      );
    }
    // Older ones do not know which are enabled.
    const names = all || !Array.isArray(enabled.output)
      ? undefined
      : enabled.output;
    const actions = actionsOf(plugins.output, names);
    await printLines(
      json ? actions.map(jsonLine) : tableOf(actions, surroundings),
    );
  },
});

/** Asks for all plugins, and for those that are enabled. */
async function ask(
  options: {
    readonly wait: number;
    readonly token: string | undefined;
    readonly target: string | undefined;
    readonly destination: Destination;
  },
  signal: AbortSignal,
): Promise<[plugins: Response, enabled: Response]> {
  const { wait: responseTimeout, target, destination } = options;
  const isOwn = destination.to === undefined && target === undefined;
  const token = await tokenOf(options, isOwn);
  const askBoth = (
    whom: { readonly target: string; readonly origin: string },
    send: (request: Request) => Promise<Response>,
  ): Promise<[Response, Response]> =>
    tellInterruption(
      bothResponses({ ...whom, token: token ?? null }, send),
      signal,
      beforeResponse,
    );
  if (destination.bus) {
    return await withHub(
      destination.redis,
      signal,
      (bus, origin) =>
        askBoth(
          { target: target ?? origin, origin },
          (request) =>
            unlessAborted(
              bus.sendRequest(request, { responseTimeout }),
              signal,
            ),
        ),
    );
  }
  const requester = await openRequester(destination, signal, responseTimeout);
  await using backend = requester.backend;
  whenAborted(signal, () => backend.stop());
  return await askBoth(
    { target: target ?? requester.target, origin: backend.deviceId },
    (request) =>
      backend.sendRequest(request, { responseTimeout: requester.left }),
  );
}

/** Sends both requests; each is taken back by itself where nobody has answered it. */
async function bothResponses(
  fields: Omit<RequestFields, "action">,
  send: (request: Request) => Promise<Response>,
): Promise<[Response, Response]> {
  const both = [
    send(new Request({ ...fields, action: "inspect.get_all_plugins" })),
    send(new Request({ ...fields, action: "inspect.get_enabled_plugins" })),
  ] as const;
  await Promise.allSettled(both);
  return await Promise.all(both);
}

type ActionLine = Record<string, unknown> & { readonly action: string };

function actionsOf(
  plugins: Record<string, unknown>,
  enabled: readonly unknown[] | undefined,
): ActionLine[] {
  return actionsIn(plugins)
    .filter(({ plugin }) => enabled === undefined || enabled.includes(plugin))
    .map(({ name: action, about: { name: _name, ...rest } }) => ({
      action,
      ...rest,
    }))
    .sort((a, b) => a.action < b.action ? -1 : 1);
}

function tableOf(
  actions: readonly ActionLine[],
  screen: Screen,
): string[] {
  const rows = actions.map((action) =>
    [
      action.action,
      argumentsOf(action),
      text(action["doc"]).trim().split("\n", 1)[0]!,
    ].map(printable)
  );
  const titles = ["ACTION", "ARGUMENTS", "DESCRIPTION"];
  return table(titles.map((title) => ({ title })), rows, screen);
}

/** Writes arguments as Python does: `room: str, level: int = 100`. */
function argumentsOf({ args, has_kwargs }: ActionLine): string {
  const all = Object.entries(asRecord(args)).map(
    ([name, about]) => {
      const { type, required, default: value } = asRecord(about);
      const typed = type ? `${name}: ${text(type)}` : name;
      if (required) return typed;
      const none = value === null || value === undefined;
      return `${typed} = ${none ? "None" : JSON.stringify(value)}`;
    },
  );
  if (has_kwargs) all.push("…");
  return all.join(", ");
}

function text(value: unknown): string {
  if (typeof value === "string") return value;
  return value === undefined || value === null ? "" : JSON.stringify(value);
}
