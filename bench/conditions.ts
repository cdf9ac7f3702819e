/**
 * What a message costs that none of many hooks wants.
 *
 *     deno task bench:conditions
 *
 * Each round measures every number of hooks once, so that a machine that grows
 * slower or faster meanwhile favours none.
 */
import { createLogger } from "../src/logger.ts";
import { readCondition } from "../src/message/condition.ts";
import { HookTable } from "../src/message/hook_table.ts";
import { type Condition, Event } from "../src/message/mod.ts";
import { Comparison, report } from "./report.ts";
import { CLIMATE, sensorEvent } from "./sensor_event.ts";

const ROUNDS = 15;
const MESSAGES = 5_000;
const COUNTS = [1, 10, 100, 1_000, 10_000] as const;

const event = Event.build(sensorEvent(CLIMATE));
const SPEECH = "platypush.message.event.assistant.SpeechRecognizedEvent";
const said = new Event({
  args: { type: SPEECH, phrase: "turn the heating on in the living room" },
});
const logger = createLogger("message");

const label = (count: number): string =>
  `${count.toLocaleString("en")} ${count === 1 ? "hook" : "hooks"}`;

/** Hooks as a home has them: on classes, on rooms, on numbers, on what is said. */
const kinds: Readonly<Record<string, (index: number) => Condition>> = {
  "another class": (index) => ({ type: `custom.Type${index % 50}` }),
  "another room": (index) => ({ type: event.args.type, room: `room ${index}` }),
  "another number, nested": (index) => ({
    data: { pressure: index },
    type: event.args.type,
  }),
  "another name, nested, over a limit": (index) => ({
    data: { [`sensor ${index}`]: { $gt: 21 } },
    type: event.args.type,
  }),
  "another list": (index) => ({
    type: event.args.type,
    rooms: ["hall", `room ${index}`],
  }),
  "another class, and an expression": (index) => ({
    type: `custom.Type${index % 50}`,
    room: { $regex: `^room ${index}$` },
  }),
  "the same class, and another literal": (index) => ({
    type: event.args.type,
    source: { $regex: `^sensor\\.kitchen_${index}\\.` },
  }),
  "the same class, and alternatives": (index) => ({
    type: event.args.type,
    source: { $regex: `temperature_${index}$|humidity_${index}$` },
  }),
  "the same class, and texts in a row": (index) => ({
    type: event.args.type,
    room: { $regex: `.*Living.*door_${index}.*window.*` },
  }),
  "the same class, and whatever case": (index) => ({
    type: event.args.type,
    room: { $regex: `(?i)^LIVING ROOM ${index}$` },
  }),
  "the same class, and looking ahead": (index) => ({
    type: event.args.type,
    room: { $regex: `^(?=.*door)(?=.*window_${index})` },
  }),
  "another phrase": (index) => ({
    type: SPEECH,
    phrase: `turn (on|off) the lamp_${index} in the \${room}`,
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

function measure(table: HookTable<number>, event: Event): number {
  const start = performance.now();
  for (let index = 0; index < MESSAGES; index++) table.choose(event);
  return (performance.now() - start) / MESSAGES * 1e6;
}

const comparison = new Comparison(/hook/);
for (const [name, condition] of Object.entries(kinds)) {
  const tables = COUNTS.map((count) => tableOf(count, condition));
  const sent = condition(0).type === SPEECH ? said : event;
  for (let round = -3; round < ROUNDS; round++) {
    for (const [at, table] of tables.entries()) {
      const time = measure(table, sent);
      // The first rounds are for the compiler.
      if (round >= 0) comparison.add(label(COUNTS[at]!), name, time, "ns");
    }
  }
}
await report(
  "conditions",
  comparison.rows((contender) => ({
    to: label(10),
    ...(contender === label(10_000) && { ratio: "≤ 1.5" }),
  })),
);
