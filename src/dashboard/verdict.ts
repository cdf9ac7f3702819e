import { RedisError } from "../redis/mod.ts";
import type { Desk } from "./page.ts";
import type { QueueReading } from "./survey.ts";
import { amount, span } from "../units.ts";
import { pausedFor } from "./words.ts";

/** Something that is not as it should be, and what to do about it. */
interface Concern {
  readonly level: "warning" | "failure";
  readonly text: string;
  readonly advice: string;
}

/** Says in one glance how everything stands. */
interface Verdict {
  readonly level: "ok" | "warning" | "failure" | "unknown";
  readonly title: string;
  readonly troubles: readonly Concern[];
}

/** Messages that wait for longer are in trouble, in seconds. */
const LONG_WAIT = 60;

/** Judges what was read and found last. */
export function verdictOf({ survey, checkup, bus }: Desk): Verdict {
  const reading = survey.current;
  if (reading === undefined) {
    return { level: "unknown", title: "Looking…", troubles: [] };
  }
  const findings = checkup.findings ?? [];
  // What the queues are like is known better than a minute ago.
  const found = findings.filter(({ status, check }) =>
    status !== "ok" && !(check === "queue" && status === "warning")
  )
    .map(({ status, message, advice }): Concern => ({
      level: status === "failure" ? "failure" : "warning",
      text: message,
      advice: advice?.replace(/(?<!\.)$/, ".") ?? "",
    }));
  if (reading.error !== undefined) return faultOf(reading.error);
  const isHere = (bus?.subscribers ?? 0) > 0;
  const troubles = [
    ...reading.unread.map(({ queue, error }): Concern => ({
      level: "failure",
      text: `${queue} cannot be read: ${error.message}.`,
      advice: "This page shows it again as soon as it can.",
    })),
    ...reading.queues.flatMap((queue) => troublesOf(queue, isHere)),
    ...found,
  ].toSorted((a, b) => a.level.localeCompare(b.level));
  if (troubles.length === 0) {
    return { level: "ok", title: "All is well", troubles };
  }
  const isBroken = troubles.some(({ level }) => level === "failure");
  return {
    level: isBroken ? "failure" : "warning",
    title: isBroken
      ? "Something does not work"
      : troubles.length === 1
      ? "One thing to look at"
      : `${troubles.length} things to look at`,
    troubles,
  };
}

/** Names what is wrong with a server of which nothing could be read. */
const FAULTS: Readonly<Record<RedisError["code"], string>> = {
  "connection": "Redis does not answer",
  "closed": "Redis does not answer",
  "tls": "There is no secure connection to Redis",
  "unavailable": "Redis is not ready",
  "readonly": "Redis is not ready",
  "moved": "Redis is not ready",
  "memory": "Redis is out of memory",
  "auth": "Redis does not let this user in",
  "permission": "This user lacks rights in Redis",
  "wrong-type": "A key in Redis is of another type",
  "unsupported": "This server is not one that works here",
  "no-script": "Redis refuses what is asked",
  "taken": "Redis refuses what is asked",
  "reply": "Redis refuses what is asked",
};

function faultOf(error: Error): Verdict {
  const code = error instanceof RedisError ? error.code : undefined;
  const advice = code === "connection"
    ? "Start the server, or set the address at which it is."
    : "";
  return {
    level: "failure",
    title: code === undefined ? "Something went wrong here" : FAULTS[code],
    troubles: [{
      level: "failure",
      text: `${error.message}.`,
      advice: `${advice} This page goes on as soon as it can.`.trim(),
    }],
  };
}

function troublesOf(
  { queue, length, consumers, age, deadLetters, pause }: QueueReading,
  isHere: boolean,
): Concern[] {
  const troubles: Concern[] = [];
  const dead = consumers.filter(({ heartbeat }) => heartbeat === undefined);
  const alive = consumers.length - dead.length;
  if (pause !== undefined) {
    troubles.push({
      level: "warning",
      text: `${queue} ${pausedFor(pause)}: nothing is taken from it.`,
      advice: "Resume it on the page with the queues when it may go on.",
    });
  } else if (length > 0 && alive === 0 && !isHere) {
    troubles.push({
      level: "failure",
      text: `${amount(length, "message")} in ${queue} ${
        length === 1 ? "waits" : "wait"
      }, and nobody takes them.`,
      advice: "Start a consumer of this queue.",
    });
  } else if (age !== undefined && age > LONG_WAIT) {
    troubles.push({
      level: "warning",
      text: `The oldest message in ${queue} has waited for ${span(age)}.`,
      advice:
        "A handler is slow, or nobody subscribes to the bus. Look which, or start one more consumer.",
    });
  }
  for (const { name, inFlight } of dead) {
    troubles.push({
      level: "warning",
      text: `The consumer ${name} gives no sign of life, and has ${
        amount(inFlight, "message")
      } in hand.`,
      advice: alive > 0
        ? "Another consumer puts them back within a minute."
        : "The next consumer that starts puts them back.",
    });
  }
  if (deadLetters.count > 0) {
    troubles.push({
      level: "warning",
      text: `${
        amount(deadLetters.count, "message")
      } of ${queue} could not be handled.`,
      advice: "Look at the dead letters: retry them, mend them, or purge them.",
    });
  }
  return troubles;
}
