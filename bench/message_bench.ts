/**
 * What building a message costs over the bare `JSON.parse` of its bytes.
 *
 *     deno run bench/message_bench.ts
 *
 * Each round measures every way once, in an order that rotates, so that a
 * machine that grows slower or faster meanwhile favours none. The medians of
 * the rounds are printed, and their ratio to the bare parsing.
 */
// deno-lint-ignore-file no-console
import { Event, Message } from "../src/message/mod.ts";
import { median } from "./report.ts";
import { CLIMATE, sensorEvent } from "./sensor_event.ts";

const ROUNDS = 31;
const MESSAGES = 20_000;

const text = JSON.stringify(sensorEvent(CLIMATE));
const bytes = new TextEncoder().encode(text);
const python =
  "{'type': 'event', 'target': 'livingroom', 'origin': 'livingroom', 'id': '0123456789abcdef0123456789abcdef', '_timestamp': 1795450970.94, 'args': {'type': 'platypush.message.event.sensor.SensorDataChangeEvent', 'data': {'temperature': 21.5, 'humidity': 40.25, 'pressure': 1013.2}, 'source': 'sensor.bme280', 'room': 'Living room, beside the window', 'labels': ['indoor', 'climate']}}";
const decoder = new TextDecoder();
const event = Event.build(text);
const object = JSON.parse(text);

const BASE = "JSON.parse(decode(bytes))";
const ways: Record<string, () => unknown> = {
  [BASE]: () => JSON.parse(decoder.decode(bytes)),
  "Message.build(bytes)": () => Message.build(bytes),
  "Message.build(string)": () => Message.build(text),
  "Message.build(object)": () => Message.build(object),
  "Message.build(Python literal)": () => Message.build(python),
  "JSON.stringify(object)": () => JSON.stringify(object),
  "event.toString()": () => event.toString(),
};

function measure(build: () => unknown): number {
  const start = performance.now();
  for (let index = 0; index < MESSAGES; index++) build();
  return (performance.now() - start) / MESSAGES * 1e6;
}

const names = Object.keys(ways);
const times = new Map<string, number[]>(names.map((name) => [name, []]));
for (let round = -3; round < ROUNDS; round++) {
  for (let index = 0; index < names.length; index++) {
    const name = names[(index + ROUNDS + round) % names.length]!;
    const time = measure(ways[name]!);
    // The first rounds are for the compiler.
    if (round >= 0) times.get(name)!.push(time);
  }
}

console.log(`${bytes.length} bytes, ${ROUNDS} rounds of ${MESSAGES} messages`);
const base = median(times.get(BASE)!);
console.log("".padEnd(32) + "median".padStart(10) + "ratio".padStart(8));
for (const [name, values] of times) {
  const time = median(values);
  console.log(
    name.padEnd(32) + `${time.toFixed(0)} ns`.padStart(10) +
      (time / base).toFixed(2).padStart(8),
  );
}
