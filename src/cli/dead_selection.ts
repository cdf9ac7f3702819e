import { object } from "@optique/core/constructs";
import { message, text } from "@optique/core/message";
import { multiple, optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { argument, option } from "@optique/core/primitives";
import { choice, string } from "@optique/core/valueparser";
import {
  DEAD_LETTER_REASONS,
  type DeadLetter,
  type DeadLetterFilter,
  DeadLetters,
} from "../../mod.ts";
import { type RedisOptions, resolvePlace } from "./redis_options.ts";
import { age } from "./values.ts";
import { whenAborted } from "./when_aborted.ts";

/** The time to wait for a server that does not answer, in seconds. */
const CONNECTION_TIMEOUT = 3;

/** Says which dead letters are meant. */
export interface DeadFilterOptions {
  readonly reasons: readonly DeadLetter["reason"][];
  readonly olderThan: number | undefined;
  readonly newerThan: number | undefined;
}

/** Which dead letters are meant, by reason and age. */
export function deadFilterOptions(): Parser<
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
    olderThan: optional(option("--older-than", age(), {
      description:
        message`Those that have been dead letters for longer, such as 90s, 15m, 2h or 7d`,
    })),
    newerThan: optional(option("--newer-than", age(), {
      description: message`Those that have not been dead letters for longer`,
    })),
  });
}

/** The names of dead letters: whole numbers are indexes, all else is an id. */
export function deadNames(): Parser<"sync", readonly string[], unknown> {
  return multiple(argument(string({ metavar: "INDEX|ID" }), {
    description:
      message`Its index, as dead list shows it (it changes as others come and go), or its id`,
  }));
}

/** Turns the options into a filter. */
export function filterOf(
  { reasons, olderThan, newerThan }: DeadFilterOptions,
): DeadLetterFilter {
  return {
    ...(reasons.length > 0 && { reason: reasons }),
    ...(olderThan !== undefined && { olderThan }),
    ...(newerThan !== undefined && { newerThan }),
  };
}

/** Looks up the ids of dead letters, those of indexes all at one time. */
export async function idsOf(
  dead: DeadLetters,
  names: readonly string[],
): Promise<readonly string[]> {
  const isIndex = (name: string): boolean => /^\d{1,9}$/.test(name);
  const ids = names.filter((name) => !isIndex(name));
  const index = names.filter(isIndex).map(Number);
  if (index.length === 0) return ids;
  const found = await Array.fromAsync(dead.list({ index }), ({ id }) => id);
  return [...new Set([...ids, ...found])];
}

/**
 * Opens the dead letters of the queue, or of all that are configured; dispose of
 * them.
 */
export async function openDead(
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
