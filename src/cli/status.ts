import { object } from "@optique/core/constructs";
import { message } from "@optique/core/message";
import { option } from "@optique/core/primitives";
import { type QueueStatus, queueStatus } from "../../mod.ts";
import { type Command, defineCommand } from "./command.ts";
import { table } from "./table.ts";
import {
  jsonLine,
  printable,
  printLine,
  printLines,
  type Screen,
} from "./print.ts";
import { type Limits, nearLimit } from "../doctor/near_limit.ts";
import { size, span } from "../units.ts";
import { redisOptions, resolvePlace } from "./redis_options.ts";

/** `status`: prints how the queue, its consumers and its server stand. */
export const statusCommand: Command = defineCommand("status", {
  brief: "Tell how the queue, its consumers and its server stand",
  usage: "[OPTION]…",
  examples: [
    "platypush-redis status",
    "platypush-redis status --json | jq .deadLetters.count",
  ],
  options: object({
    json: option("--json", {
      description:
        message`One JSON object a queue; times are in seconds, sizes in bytes`,
    }),
    redis: redisOptions(),
  }),
  needs: ({ redis }) => ({ redis, deeds: ["survey"] }),
  run: async ({ json, redis }, surroundings) => {
    const { signal } = surroundings;
    const { redisArgs, queues, limits } = await resolvePlace(redis);
    for (const [index, queue] of queues.entries()) {
      const status = await queueStatus(redisArgs, { queue, signal });
      if (!json && index > 0) await printLine("");
      await printLines(
        json ? [jsonLine(status)] : describe(status, limits, surroundings),
      );
    }
  },
});

function describe(
  status: QueueStatus,
  limits: Limits,
  screen: Screen,
): string[] {
  const { server, deadLetters, consumers } = status;
  const facts: [name: string, value: string][] = [
    ["queue", status.queue],
    ...status.pause === undefined
      ? []
      : [["paused", pauseOf(status.pause)] as [string, string]],
    ["waiting", String(status.length)],
    ["retrying", String(status.retrying)],
    ["delayed", String(status.delayed)],
    ["in hand", String(status.inFlight)],
    [
      "dead letters",
      deadLetters.oldest === undefined
        ? String(deadLetters.count)
        : `${deadLetters.count}, the oldest for ${span(deadLetters.oldest)}${
          nearly("deadLetters", deadLetters, limits)
        }${besideThem(deadLetters)}`,
    ],
    ...status.missed.map((missed): [string, string] => [
      "missed",
      `${missed.count}, by the subscriber ${missed.subscriber}${
        nearly("missed", missed, limits)
      }`,
    ]),
    ["server", `${server.name} ${server.version} at ${server.address}`],
    ["memory", memoryOf(status)],
  ];
  const lines = facts.map(([name, value]) =>
    `${screen.paint("dim", name.padEnd(14))}${printable(value)}`
  );
  if (consumers.length === 0) return lines;
  const rows = consumers.map(({ name, heartbeat, inFlight }) => [
    printable(name),
    heartbeat === undefined ? "dead" : `${span(heartbeat)} left`,
    String(inFlight),
  ]);
  const columns = [
    { title: "CONSUMER" },
    { title: "HEARTBEAT" },
    { title: "IN HAND", align: "right" },
  ] as const;
  return [...lines, "", ...table(columns, rows, screen)];
}

function nearly(...kept: Parameters<typeof nearLimit>): string {
  const near = nearLimit(...kept);
  return near === undefined ? "" : `; they ${near}`;
}

function besideThem(
  { textBytes = 0 }: QueueStatus["deadLetters"],
): string {
  return textBytes === 0
    ? ""
    : `; the text of one takes ${size(textBytes)} more`;
}

function pauseOf({ since, by }: NonNullable<QueueStatus["pause"]>): string {
  return `for ${span(Math.max(0, Date.now() / 1000 - since))}, by ${by}`;
}

function memoryOf({ server }: QueueStatus): string {
  const { usedMemory, maxMemory } = server;
  if (usedMemory === undefined) return "unknown";
  return maxMemory === undefined
    ? `${size(usedMemory)}, without a limit`
    : `${size(usedMemory)} of ${size(maxMemory)}`;
}
