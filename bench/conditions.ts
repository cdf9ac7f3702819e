/**
 * What a message costs that none of many hooks wants.
 *
 *     deno run bench/conditions.ts
 *
 * Each round measures every number of hooks once, so that a machine that grows
 * slower or faster meanwhile favours none. The medians of the rounds are
 * printed.
 */
// deno-lint-ignore-file no-console
import { createLogger } from "../src/logger.ts";
import { readCondition } from "../src/message/condition.ts";
import { HookTable } from "../src/message/hook_table.ts";
import { type Condition, Event } from "../src/message/mod.ts";
import { median } from "./report.ts";
import { CLIMATE, sensorEvent } from "./sensor_event.ts";

const ROUNDS = 15;
const MESSAGES = 5_000;
const COUNTS = [0, 10, 100, 1_000, 10_000] as const;

const event = Event.build(sensorEvent(CLIMATE));
const logger = createLogger("message");

/** Hooks as a home has them: on classes, on rooms, on numbers. */
const kinds: Readonly<Record<string, (index: number) => Condition>> = {
  "another class": (index) => ({ type: `custom.Type${index % 50}` }),
  "another room": (index) => ({ type: event.args.type, room: `room ${index}` }),
  "another number, nested": (index) => ({
    data: { pressure: index },
    type: event.args.type,
  }),
  "another class, and an expression": (index) => ({
    type: `custom.Type${index % 50}`,
    room: { $regex: `^room ${index}$` },
  }),
  "the same class, and an expression": (index) => ({
    type: event.args.type,
    room: { $regex: `^room ${index}$` },
  }),
};

function tableOf(
  count: number,
  condition: (index: number) => Condition,
): HookTable<number> {
  const table = new HookTable<number>();
  for (let index = 0; index < count; index++) {
    table.add(index, readCondition(condition(index), logger), 0);
  }
  return table;
}

function measure(table: HookTable<number>, messages: number): number {
  const start = performance.now();
  for (let index = 0; index < messages; index++) table.choose(event);
  return (performance.now() - start) / messages * 1e6;
}

console.log(
  "hooks".padEnd(34) + COUNTS.map((count) => `${count}`.padStart(12)).join(""),
);
for (const [name, condition] of Object.entries(kinds)) {
  const tables = COUNTS.map((count) => tableOf(count, condition));
  const times = COUNTS.map((): number[] => []);
  for (let round = -3; round < ROUNDS; round++) {
    for (const [index, table] of tables.entries()) {
      const messages = name.startsWith("the same")
        ? Math.min(MESSAGES, Math.ceil(1e5 / COUNTS[index]!))
        : MESSAGES;
      const time = measure(table, messages);
      // The first rounds are for the compiler.
      if (round >= 0) times[index]!.push(time);
    }
  }
  console.log(
    name.padEnd(34) +
      times.map((list) => `${median(list).toFixed(0)} ns`.padStart(12)).join(
        "",
      ),
  );
}
