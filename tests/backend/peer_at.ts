import type { ServiceInfo } from "../../mod.ts";

const TYPE = "_platypush-redis._tcp.local.";

/** A device id that no other test advertises. */
export function newDeviceId(): string {
  return `test ${crypto.randomUUID().slice(0, 8)}`;
}

/** A peer as it would be found, on this host. */
export function peerAt(
  port: number,
  parts: Partial<ServiceInfo> = {},
): ServiceInfo {
  return {
    type: TYPE,
    name: `kitchen.${TYPE}`,
    port,
    addresses: ["127.0.0.1"],
    server: "kitchen.local.",
    host_ttl: 120,
    other_ttl: 4500,
    priority: 0,
    weight: 0,
    properties: {},
    deviceId: "kitchen",
    queue: undefined,
    redisUrl: `redis://127.0.0.1:${port}`,
    ...parts,
  };
}
