/**
 * Names: the labels of which they are made (RFC 6763, section 4.1), the types
 * of services (section 7), and the next name when one is taken.
 *
 * @module
 */

import { readHostName } from "../permission.ts";

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The most bytes in one label of a name (RFC 6763, section 4.1.1). */
export const MAX_LABEL = 63;

/** The name under which all service types are listed (RFC 6763, section 9). */
export const ALL_TYPES = "_services._dns-sd._udp.local";

/**
 * Splits a name into its labels. A dot inside of an instance's name is part
 * of it: only what follows is split (RFC 6763, section 4.1.1).
 */
export function labelsOf(name: string): string[] {
  const instance = /^(.+)\.(_[^.]+\._(?:tcp|udp)\.[^.]+)$/is.exec(name);
  if (instance === null || /\._sub$/i.test(instance[1]!)) {
    return name.split(".");
  }
  return [instance[1]!, ...instance[2]!.split(".")];
}

/**
 * Cuts a text so that it fits a label, never inside of a character as a
 * reader sees it.
 *
 * @param max The most bytes of UTF-8 that may remain.
 * @returns The text, or its beginning.
 */
export function cutLabel(text: string, max: number = MAX_LABEL): string {
  const target = new Uint8Array(max);
  if (encoder.encodeInto(text, target).read === text.length) return text;
  let length = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const size = encoder.encode(segment).length;
    if (length + size > max) break;
    length += size;
  }
  return decoder.decode(encoder.encode(text).subarray(0, length)).trimEnd();
}

/** `name` -> `name (2)` -> `name (3)`, cut so that it still fits its label. */
export function nextInstance(instance: string): string {
  const [, base = instance, number = "1"] =
    /^(.*) \((\d{1,6})\)$/s.exec(instance) ?? [];
  const suffix = ` (${Number(number) + 1})`;
  return cutLabel(base, MAX_LABEL - suffix.length) + suffix;
}

/** `host` -> `host-2` -> `host-3`, cut so that it still fits its label. */
export function nextHost(host: string): string {
  const [, base = host, number = "1"] = /^(.*)-(\d{1,6})$/.exec(host) ?? [];
  const suffix = `-${Number(number) + 1}`;
  return cutLabel(base, MAX_LABEL - suffix.length) + suffix;
}

/** The ending that tells our name of the host from that of another stack on it. */
const OURS = "-platypush";

/**
 * A name of this host, one label that every resolver accepts. It is one of our
 * own: another stack on the host, such as Avahi, has the plain one, and would
 * give it up where it hears other addresses under it than those it announces.
 */
export function hostLabel(attempted: string, instead: string): string {
  const label = readHostName(attempted, instead).split(".", 1)[0]!
    .replace(/[^A-Za-z0-9-]+/g, "-").replace(/^-+|-+$/g, "");
  return (cutLabel(label, MAX_LABEL - OURS.length) || "host") + OURS;
}

/** The type to which a subtype belongs (RFC 6763, section 7.1); of another type, itself. */
export function baseOf(type: string): string {
  return type.replace(/^[^.]+\._sub\./i, "");
}

/**
 * Completes the type of a service (RFC 6763, section 7).
 *
 * @param type A name such as `platypush-redis`, or a type such as
 * `_platypush-redis._tcp` or `_platypush-redis._tcp.local.`, which says itself
 * what the service runs on; before that, a subtype may stand, as in
 * `_printer._sub._http._tcp`.
 * @param protocol What the service runs on; a whole type says so itself.
 * @returns The type with a dot at its end.
 * @throws {TypeError} The name is not one that a service may have.
 *
 * @example
 * ```ts
 * import { serviceType } from "@platypush/redis/zeroconf";
 * import assert from "node:assert/strict";
 *
 * assert.equal(serviceType("platypush-redis"), "_platypush-redis._tcp.local.");
 * assert.equal(serviceType("_http._tcp"), "_http._tcp.local.");
 * ```
 */
export function serviceType(
  type: string,
  protocol: "tcp" | "udp" = "tcp",
): string {
  if (typeof type !== "string") {
    throw new TypeError(
      'Cannot use the service type: expected a text, such as "platypush-redis"',
    );
  }
  const [, subtype = "", rest = type] = /^([^.]+\._sub\.)(.*)$/i.exec(type) ??
    [];
  const [, whole] = /^(_[^.]+\._(?:tcp|udp))(?:\.local)?\.?$/i.exec(rest) ?? [];
  const complete = `${
    whole ?? `_${rest.replace(/^_/, "")}._${protocol}`
  }.local.`;
  const name = complete.slice(1, complete.lastIndexOf("._"));
  if (!/^[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/i.test(name)) {
    throw new TypeError(
      `Cannot use "${type}" as a service type: expected letters, digits and hyphens, such as "platypush-redis"`,
    );
  }
  if (encoder.encode(subtype).length > MAX_LABEL + "._sub.".length) {
    throw new TypeError(
      `Cannot use "${type}" as a service type: its subtype takes more than ${MAX_LABEL} bytes`,
    );
  }
  return subtype + complete;
}
