import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { optional } from "@optique/core/modifiers";
import type { Parser } from "@optique/core/parser";
import { option } from "@optique/core/primitives";
import type { ValueParser } from "@optique/core/valueparser";
import type { ScheduleOptions } from "../../mod.ts";
import { LONGEST_DELAY, SCHEDULE_OPTIONS } from "../redis/delayed.ts";
import { UsageError } from "./program.ts";
import type { Destination } from "./sender.ts";
import { duration, filled, helpOf, value } from "./values.ts";

/** Says when a message is due; at most one of them may be given. */
export type When = Pick<ScheduleOptions, "delay" | "at">;

/** Says which messages are sent only once, and for how long. */
type Deduplication = Pick<
  ScheduleOptions,
  "deduplicate" | "deduplicateFor"
>;

/** The options that say when a message is due. */
export function whenOptions(): Parser<"sync", When, unknown> {
  return object("When it is sent", {
    delay: optional(option("--delay", duration(), {
      description:
        message`Put it into the queue after this time, such as 90s, 15m, 2h or 7d; seconds without a unit`,
    })),
    at: optional(option("--at", time(), {
      description:
        message`Put it into the queue at this local time, such as 07:30, the next one, or YYYY-MM-DDTHH:MM`,
    })),
  });
}

/** The options that keep out messages which were sent before. */
export function onceOptions(): Parser<"sync", Deduplication, unknown> {
  return object("What is sent once", {
    deduplicate: optional(
      option("--deduplicate", filled("KEY", "any key", "front-door"), {
        description:
          message`Send it unless another one with this key was sent to the queue shortly before`,
      }),
    ),
    deduplicateFor: optional(option("--deduplicate-for", duration(), {
      description: helpOf(
        "How long after it is due the key keeps others out",
        SCHEDULE_OPTIONS.deduplicateFor.default,
      ),
    })),
  });
}

/**
 * Puts together what was said of one message.
 *
 * @param destination Where it goes; only our own queue keeps something for later.
 * @throws {UsageError} It cannot all be meant.
 */
export function scheduleOf(
  { to, bus }: Destination,
  { delay, at }: When,
  { deduplicate, deduplicateFor }: Deduplication = {},
): ScheduleOptions {
  if (delay !== undefined && at !== undefined) {
    throw new UsageError(
      "--delay and --at both say when; leave out the one that is not meant",
    );
  }
  if (deduplicateFor !== undefined && deduplicate === undefined) {
    throw new UsageError(
      "--deduplicate-for says how long a key counts, and there is none; give --deduplicate, too",
    );
  }
  const lengths = { "--delay": delay, "--deduplicate-for": deduplicateFor };
  for (const [name, seconds = 0] of Object.entries(lengths)) {
    if (seconds > LONGEST_DELAY) {
      throw new UsageError(
        `${name} is longer than a year, the longest there is`,
      );
    }
  }
  const given = Object.entries({
    "--delay": delay,
    "--at": at,
    "--deduplicate": deduplicate,
  }).flatMap(([name, value]) => value === undefined ? [] : [name]);
  const elsewhere = to !== undefined ? "--to" : bus ? "--bus" : undefined;
  if (elsewhere !== undefined && given.length > 0) {
    throw new UsageError(
      `${
        given.join(" and ")
      } is for our own queue, and ${elsewhere} sends elsewhere; leave out what is not meant`,
    );
  }
  return { delay, at, deduplicate, deduplicateFor };
}

/** A time of the day, which is the next one, or of a date; local where no zone is named. */
export function time(): ValueParser<"sync", Date> {
  return value({
    metavar: "TIME",
    expected: "YYYY-MM-DDTHH:MM, or a time of the day",
    example: "07:30",
    read: (text) => {
      const date = nextTime(text) ?? dateTime(text);
      if (date === undefined) return undefined;
      const wait = date.getTime() - Date.now();
      if (wait < 0) throw new UsageError(`${text} is over`);
      if (wait > LONGEST_DELAY * 1000) {
        throw new UsageError(
          `${text} is more than a year ahead, the longest there is`,
        );
      }
      return date;
    },
  });
}

const CLOCK = /^(\d{1,2}):(\d\d)(?::(\d\d))?$/;
const DATE_TIME =
  /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?$/i;

/** Finds the next moment at which the clock here shows this time. */
function nextTime(text: string): Date | undefined {
  const [match, ...parts] = CLOCK.exec(text) ?? [];
  if (match === undefined) return undefined;
  const [hour, minute, second = 0] = parts.map((part) => Number(part ?? 0));
  if (hour! > 23 || minute! > 59 || second > 59) return undefined;
  const now = new Date();
  const next = new Date(now);
  next.setHours(hour!, minute, second, 0);
  if (next < now) next.setDate(next.getDate() + 1);
  return next;
}

function dateTime(text: string): Date | undefined {
  const [match, year, month, day, hour] = DATE_TIME.exec(text) ?? [];
  if (match === undefined || Number(hour) > 23) return undefined;
  // A day that the month does not have would become one of the next month.
  const lastDay = new Date(Date.UTC(Number(year), Number(month), 0));
  if (Number(day) > lastDay.getUTCDate()) return undefined;
  const date = new Date(match.toUpperCase().replace(" ", "T"));
  return Number.isNaN(date.getTime()) ? undefined : date;
}
