import type { DnsMessage } from "../../src/zeroconf/dns_message.ts";
import { Cable, Host, TYPE } from "./helpers.ts";

export const NAME = `livingroom.${TYPE}`;

export function isProbe({ type, authorities }: DnsMessage): boolean {
  return type === "query" && (authorities?.length ?? 0) > 0;
}

/** A host whose service is announced and has not been heard of for a while. */
export function announced(): {
  cable: Cable;
  host: Host;
  service: ReturnType<Host["register"]>;
} {
  const cable = new Cable();
  const host = new Host(cable, "192.0.2.1");
  const service = host.register("livingroom", 6379, ["queue=q"]);
  cable.clock.advance(20_000);
  return { cable, host, service };
}
