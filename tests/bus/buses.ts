import { Bus } from "../../src/bus/mod.ts";
import type { BusOptions } from "../../src/bus/mod.ts";

let names = 0;

export function open(options: BusOptions = {}): Bus {
  return new Bus({ name: `test/bus/${names++}`, deviceId: "hall", ...options });
}

export function event(
  n: number,
  type = "custom.Number",
): Record<string, unknown> {
  return { type: "event", args: { type, n } };
}
