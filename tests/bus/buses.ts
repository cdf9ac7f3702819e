import { Bus, type BusOptions } from "../../src/bus/mod.ts";

export function open(options: BusOptions = {}): Bus {
  return new Bus({
    name: `test/bus/${crypto.randomUUID()}`,
    deviceId: "hall",
    ...options,
  });
}

export function event(
  n: number,
  type = "custom.Number",
): Record<string, unknown> {
  return { type: "event", args: { type, n } };
}
