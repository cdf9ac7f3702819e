import type { Message } from "./message.ts";

/**
 * A message as the object on the wire, as {@linkcode Message.toJSON} gives it.
 */
export type WireMessage = Record<string, unknown>;

/** Builds one kind of message from an object of JSON values. */
export type Reader = (wire: WireMessage, deviceId?: string) => Message;

/**
 * How each kind of message is built, by the `type` on the wire. Every class
 * enters itself, since the base class cannot import what is derived from it.
 */
export const readers: Map<unknown, Reader> = new Map();

/** The device's id in place of a missing or empty one, which Platypush takes for the same. */
export function orDevice(value: unknown, deviceId?: string): unknown {
  return value === undefined || value === null || value === ""
    ? deviceId
    : value;
}
