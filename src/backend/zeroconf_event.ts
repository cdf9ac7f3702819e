import { Event } from "../message/mod.ts";
import type { ServiceChange } from "../zeroconf/mod.ts";

const KINDS: Readonly<
  Record<ServiceChange["kind"], [name: string, verb: string]>
> = {
  added: ["ZeroconfServiceAddedEvent", "add"],
  updated: ["ZeroconfServiceUpdatedEvent", "update"],
  removed: ["ZeroconfServiceRemovedEvent", "remove"],
};

/**
 * Puts what has become of a service into one of Platypush's three Zeroconf
 * events.
 *
 * @param change What has become of the service.
 * @param deviceId The device whose event it is. Default: the host's name.
 * @returns The event, of a type `platypush.message.event.zeroconf.*`.
 * @throws {TypeError} It is no change.
 * @throws {Deno.errors.NotCapable} If the host's name is needed and may not be
 * read (`--allow-sys=hostname`).
 *
 * @example
 * ```ts
 * import { Bus, browse, zeroconfEvent } from "@platypush/redis";
 *
 * async function watch(bus: Bus, signal: AbortSignal) {
 *   for await (const change of browse({ signal })) {
 *     await bus.post(zeroconfEvent(change));
 *   }
 * }
 * console.assert(watch.length === 2);
 * ```
 */
export function zeroconfEvent(change: ServiceChange, deviceId?: string): Event {
  const [name, verb] = KINDS[change?.kind] ?? [];
  if (name === undefined) {
    throw new TypeError(
      "Cannot make an event of the change: expected { kind, service }, as `browse()` tells it",
    );
  }
  const { service } = change;
  return new Event({
    ...(deviceId !== undefined && { target: deviceId, origin: deviceId }),
    args: {
      type: `platypush.message.event.zeroconf.${name}`,
      service_event: verb,
      service_type: service.type,
      service_name: service.name,
      service_info: {
        addresses: service.addresses,
        port: service.port,
        host_ttl: service.host_ttl,
        other_ttl: service.other_ttl,
        priority: service.priority,
        properties: service.properties,
        server: service.server,
        weight: service.weight,
      },
    },
  });
}
