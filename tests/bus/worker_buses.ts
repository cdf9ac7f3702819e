import { Bus, type BusOptions } from "../../src/bus/mod.ts";

export function open(options: BusOptions = {}): Bus {
  return new Bus({
    name: `test/workers/${crypto.randomUUID()}`,
    deviceId: "hall",
    plain: false,
    ...options,
  });
}

export function events(
  count: number,
  from = "main",
): Record<string, unknown>[] {
  return Array.from({ length: count }, (_, n) => ({
    type: "event",
    args: { type: "custom.Number", from, n },
  }));
}
