import { Buffer } from "node:buffer";
import {
  DEAD_LETTER_REASONS,
  type DeadLetter,
  type DeadLetterFilter,
  DeadLetters,
} from "../../mod.ts";
import { hasPayload, isWhole } from "../redis/dead_letter.ts";
import { table } from "./table.ts";
import {
  jsonLine,
  note,
  type Paint,
  printable,
  printLine,
  printLines,
  type Screen,
} from "./print.ts";
import { ProgressLine } from "./progress_line.ts";
import { span } from "../units.ts";
import { object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { argument, option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import {
  type RedisOptions,
  redisOptions,
  resolvePlace,
} from "./redis_options.ts";
import { count, duration } from "./values.ts";
import { ExitCode, UsageError } from "./program.ts";
import { whenAborted } from "../waiting.ts";
import { type Command, defineCommand, defineCommandGroup } from "./command.ts";

/** `dead list`: prints a table of the dead letters. */
const deadListCommand: Command = defineCommand("list", {
  brief: "List them, the oldest first",
  usage: "[OPTION]…",
  examples: [
    "platypush-redis dead list --reason failed --newer-than 1h",
    "platypush-redis dead list --json | jq .message",
  ],
  options: object({
    json: option("--json", {
      description: message`One JSON object a line, the message included`,
    }),
    limit: optional(option("--count", count(), {
      description: message`End after so many`,
    })),
    filter: deadFilterOptions(),
    redis: redisOptions(),
  }),
  needs: ({ redis }) => ({ redis, deeds: ["list dead letters"] }),
  run: async (
    { json, limit = Infinity, filter, redis },
    surroundings,
  ) => {
    await using dead = await openDead(redis, surroundings.signal);
    const rows: string[][] = [];
    let found = 0;
    for await (const letter of dead.list(filterOf(filter))) {
      if (json) await printLine(deadLetterJson(letter));
      else rows.push(rowOf(letter));
      if (++found >= limit) break;
    }
    if (found === 0) {
      const isAny = Object.keys(filterOf(filter)).length === 0;
      note(`There are no ${isAny ? "" : "such "}dead letters.`);
      Deno.exitCode = ExitCode.No;
    }
    await printLines(tableOf(rows, surroundings));
  },
});

const COLUMNS = [
  { title: "QUEUE" },
  { title: "INDEX", align: "right" },
  { title: "ID" },
  { title: "AGE", align: "right" },
  { title: "REASON" },
  { title: "DELIVERIES", align: "right" },
  { title: "ERROR" },
] as const;

function rowOf(
  { queue, index, id, time, reason, deliveries, error }: DeadLetter,
): string[] {
  return [
    printable(queue),
    String(index),
    printable(id),
    time > 0 ? span(Math.max(0, Date.now() / 1000 - time)) : "?",
    printable(reason),
    String(deliveries),
    printable(error),
  ];
}

/** Lays rows out as a table, which names the queue only where there are several. */
function tableOf(
  rows: readonly (readonly string[])[],
  screen: Screen,
): readonly string[] {
  if (rows.length === 0) return [];
  const queues = new Set(rows.map(([queue]) => queue));
  return queues.size > 1
    ? table(COLUMNS, rows, screen)
    : table(COLUMNS.slice(1), rows.map((row) => row.slice(1)), screen);
}

/** `dead show`: prints dead letters with their messages. */
const deadShowCommand: Command = defineCommand("show", {
  brief: "Show some of them with their messages",
  usage: "INDEX|ID… [OPTION]…",
  examples: [
    "platypush-redis dead show 0",
    "platypush-redis dead show 0 --json | jq -r .message | jq",
  ],
  options: object({
    names: deadNames(),
    json: option("--json", { description: message`One JSON object a line` }),
    redis: redisOptions(),
  }),
  needs: ({ redis }) => ({ redis, deeds: ["list dead letters"] }),
  run: async ({ names, json, redis }, { signal, paint }) => {
    if (names.length === 0) {
      throw new UsageError("Say which: an index or an id. See --help");
    }
    await using dead = await openDead(redis, signal);
    const id = await idsNamed(dead, names);
    const missing = new Set(names);
    let found = 0;
    for await (const letter of dead.list({ id })) {
      if (!json && found > 0) await printLine("");
      await printLines(
        json ? [deadLetterJson(letter)] : describe(letter, paint),
      );
      missing.delete(letter.id);
      missing.delete(String(letter.index));
      found++;
    }
    if (missing.size === 0) return;
    const named = [...missing].map((name) => `"${name}"`).join(", ");
    note(
      `There is no dead letter ${named}; \`dead list\` shows those there are.`,
    );
    Deno.exitCode = ExitCode.No;
  },
});

function describe(letter: DeadLetter, paint: Paint): string[] {
  const text = textOf(letter);
  const facts: [name: string, value: string][] = [
    ["index", String(letter.index)],
    ["id", letter.id],
    ["queue", letter.queue],
    ["reason", letter.reason],
    ["error", letter.error],
    ["time", new Date(letter.time * 1000).toISOString()],
    ["deliveries", String(letter.deliveries)],
    ["bytes", String(letter.size)],
    !isWhole(letter)
      ? ["message", "only its size is left: a newer one has taken the place"]
      : letter.key !== undefined
      ? ["key", letter.key]
      : text === undefined
      ? ["base64", base64Of(letter)]
      : ["message", text],
  ];
  return facts.map(([name, value]) =>
    `${paint("dim", name.padEnd(12))}${printable(value)}`
  );
}

/** After so many seconds people want to see how far it is. */
const PATIENCE = 0.5;

/** The parts of a command that changes dead letters. */
interface DeadChange {
  /** The method of `DeadLetters` that it calls. */
  readonly action: "requeue" | "purge";
  /** The same, once it is done. */
  readonly done: string;
  /** One line for the list of commands. */
  readonly brief: string;
}

/** Defines a command that does something to the dead letters that are meant. */
function defineDeadChange(
  { action, done, brief }: DeadChange,
): Command {
  return defineCommand(action, {
    brief,
    usage: "[INDEX|ID]… [OPTION]…",
    examples: [
      `platypush-redis dead ${action} 0 3`,
      `platypush-redis dead ${action} --reason foreign --older-than 7d`,
      `platypush-redis dead ${action} --all`,
    ],
    options: object({
      names: deadNames(),
      all: option("--all", { description: message`All of them` }),
      filter: deadFilterOptions(),
      json: option("--json", {
        description: message`The number as a JSON object`,
      }),
      redis: redisOptions(),
    }),
    needs: ({ redis }) => ({ redis, deeds: [`${action} dead letters`] }),
    run: async ({ names, all, filter, json, redis }, { signal }) => {
      const chosen = filterOf(filter);
      const isChosen = names.length > 0 || Object.keys(chosen).length > 0;
      if (isChosen === all) {
        throw new UsageError(
          all
            ? `--all means all of them; leave it out where only some are to be ${done}`
            : `Say which: an index, an id, --reason, --older-than, --newer-than, or --all. See --help`,
        );
      }
      await using dead = await openDead(redis, signal);
      const which: "all" | DeadLetterFilter = all
        ? "all"
        : names.length > 0
        ? { ...chosen, id: await idsNamed(dead, names) }
        : chosen;
      const count = await change(dead, which, { action, done });
      await printLine(
        json ? JSON.stringify({ [done]: count }) : `${count} ${done}`,
      );
      // All of none is done, too.
      const least = all ? 0 : Math.max(1, new Set(names).size);
      if (count >= least) return;
      Deno.exitCode = ExitCode.No;
      const hint = hintFor(names);
      note(
        names.length > 1
          ? `Not all that are named were there to be ${done}; ${hint}`
          : `There is no such dead letter; ${hint}`,
      );
    },
  });
}

/** Does it, and shows how far it is. */
async function change(
  dead: DeadLetters,
  which: "all" | DeadLetterFilter,
  { action, done }: Pick<DeadChange, "action" | "done">,
): Promise<number> {
  using progress = new ProgressLine(PATIENCE);
  return await dead[action](which, {
    onProgress: (count, part) => progress.show(`${count} ${done}`, part),
  });
}

/** `dead purge`: removes messages for good. */
const deadPurgeCommand: Command = defineDeadChange({
  action: "purge",
  done: "purged",
  brief: "Remove some of them for good",
});

/** `dead requeue`: puts messages back at the end of the queue. */
const deadRequeueCommand: Command = defineDeadChange({
  action: "requeue",
  done: "requeued",
  brief: "Put some of them back at the end of the queue",
});

/** `dead`: looks after the messages that could not be handled. */
export const deadCommand: Command = defineCommandGroup("dead", {
  brief: "Look after the messages that could not be handled",
  examples: [
    "platypush-redis dead list --reason failed",
    "platypush-redis dead show 0",
    "platypush-redis dead requeue --newer-than 2h",
    "platypush-redis dead purge --older-than 30d",
  ],
  commands: [
    deadListCommand,
    deadShowCommand,
    deadRequeueCommand,
    deadPurgeCommand,
  ],
});

/** The time to wait for a server that does not answer, in seconds. */
const CONNECTION_TIMEOUT = 3;

/**
 * Opens the dead letters of the queue, or of all that are configured; dispose of
 * them.
 */
async function openDead(
  options: RedisOptions,
  signal: AbortSignal,
): Promise<DeadLetters> {
  const { redisArgs, queues } = await resolvePlace(options);
  const dead = new DeadLetters(redisArgs, {
    queue: queues,
    connectionTimeout: CONNECTION_TIMEOUT,
  });
  whenAborted(signal, () => dead.close());
  return dead;
}

/** A choice of dead letters; one is meant if all that is given holds. */
interface DeadFilterOptions {
  readonly reasons: readonly DeadLetter["reason"][];
  readonly olderThan: number | undefined;
  readonly newerThan: number | undefined;
}

/** The options that say which dead letters are meant, by reason and age. */
function deadFilterOptions(): Parser<
  "sync",
  DeadFilterOptions,
  unknown
> {
  return object("Which ones", {
    reasons: multiple(
      option(
        "--reason",
        choice(DEAD_LETTER_REASONS, { metavar: "REASON", suggest: "nearest" }),
        {
          description: message`Those with this reason: ${
            text(DEAD_LETTER_REASONS.join(", "))
          }. Repeatable: any of them`,
        },
      ),
    ),
    olderThan: optional(option("--older-than", duration(), {
      description:
        message`Those that have been dead letters for longer, such as 90s, 15m, 2h or 7d`,
    })),
    newerThan: optional(option("--newer-than", duration(), {
      description: message`Those that have not been dead letters for longer`,
    })),
  });
}

/** The names of dead letters: whole numbers are indexes, all else is an id. */
function deadNames(): Parser<"sync", readonly string[], unknown> {
  return multiple(argument(string({ metavar: "INDEX|ID" }), {
    description:
      message`Its index, as dead list shows it (it changes as others come and go), or its id`,
  }));
}

/** Turns the options into a filter. */
function filterOf(
  { reasons, olderThan, newerThan }: DeadFilterOptions,
): DeadLetterFilter {
  return {
    ...(reasons.length > 0 && { reason: reasons }),
    ...(olderThan !== undefined && { olderThan }),
    ...(newerThan !== undefined && { newerThan }),
  };
}

/** Says what may have been meant by names of which none, or not all, were there. */
function hintFor(names: readonly string[]): string {
  if (names.includes("all")) return "--all means all of them.";
  const reason = names.find((name) =>
    DEAD_LETTER_REASONS.some((reason) => reason === name)
  );
  return reason === undefined
    ? "`dead list` shows those there are."
    : `--reason ${reason} means those with this reason.`;
}

/** Looks up the ids of dead letters, each as often as it is named. */
async function idsNamed(
  dead: DeadLetters,
  names: readonly string[],
): Promise<readonly string[]> {
  const isIndex = (name: string): boolean => /^\d{1,9}$/.test(name);
  const ids = names.filter((name) => !isIndex(name));
  const index = names.filter(isIndex).map(Number);
  if (index.length === 0) return ids;
  const found = await Array.fromAsync(dead.list({ index }), ({ id }) => id);
  return [...found, ...ids.filter((id) => !found.includes(id))];
}

/**
 * Writes a dead letter as one line of JSON: with the message as text under
 * `message`, or under `base64` where it is not UTF-8, or with the `key` where it is
 * kept apart.
 */
function deadLetterJson(letter: DeadLetter): string {
  const { payload: _, ...rest } = letter;
  const message = textOf(letter);
  const whole = !hasPayload(letter)
    ? rest
    : message === undefined
    ? { ...rest, base64: base64Of(letter) }
    : { ...rest, message };
  return jsonLine(whole);
}

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The message of a dead letter as text, or `undefined` where it is not UTF-8. */
function textOf({ payload }: DeadLetter): string | undefined {
  try {
    return decoder.decode(payload);
  } catch {
    return undefined;
  }
}

/** The message of a dead letter in base64. */
function base64Of({ payload }: DeadLetter): string {
  return Buffer.from(payload).toString("base64");
}
