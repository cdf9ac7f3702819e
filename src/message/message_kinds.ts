import { isRecord, kindOf } from "./json_value.ts";
import type { Message, MessageClass, MessageFields } from "./message.ts";
import { MessageError } from "./message_error.ts";

/**
 * A message as the object on the wire, as {@linkcode Message.toJSON} gives it.
 */
export type WireMessage = Record<string, unknown>;

/**
 * Says in short what a message is about, for people: {@linkcode summarize}.
 */
export interface MessageSummary {
  /** The kind of message, as people call it: `event`. */
  readonly label: string;
  /** Its subject: an event's type, a request's action, a response's id. */
  readonly subject: string;
  /** Its details: values by their names, or a list of values. */
  readonly details: Readonly<Record<string, unknown>> | readonly unknown[];
  /** True if it tells of a failure. */
  readonly failed: boolean;
}

/** A row of the table: all that is said of a kind of messages anywhere. */
interface MessageKind<Kind extends Message> {
  /** Its `type` on the wire. */
  readonly wireName: string;
  /** Its class. */
  readonly class: MessageClass<Kind>;
  /** The word for it in the lines of the command line. */
  readonly label: string;
  /** Its attributes, besides those of all messages. */
  readonly attributes: readonly string[];
  /**
   * The name of its subject, such as `action`; spans carry that as
   * `platypush.<wireName>.<subjectName>`. None where the subject is the id,
   * which they carry anyway.
   */
  readonly subjectName?: string;
  /**
   * Builds one from an object of JSON values.
   *
   * @param fields Those that messages of all kinds have.
   * @param wire The object, for the others.
   */
  build(fields: MessageFields, wire: WireMessage): Kind;
  /** Says in short what one is about. */
  summarize(message: Kind): Omit<MessageSummary, "label">;
}

/**
 * The table of the kinds of messages, by their `type` on the wire. Each class
 * enters its row itself, since the base class cannot import what is derived
 * from it.
 */
export const kinds: Map<unknown, MessageKind<Message>> = new Map();

/** Enters a kind of messages into the table. */
export function defineKind<Kind extends Message>(row: MessageKind<Kind>): void {
  // Only messages of the kind are ever given to the row.
  kinds.set(row.wireName, row as unknown as MessageKind<Message>);
}

/** Lists the rows of those kinds that a class stands for: its own, or that of its bases or of what derives from it. */
export function kindsOfClass(type: MessageClass): MessageKind<Message>[] {
  return [...kinds.values()].filter(({ class: kind }) =>
    kind === type || type.prototype instanceof kind ||
    kind.prototype instanceof type
  );
}

/** Says why a value is a message of none of the kinds. */
export function unknownKind(value: unknown): MessageError {
  if (!isRecord(value)) {
    return new MessageError(
      `The message is ${kindOf(value)}, expected an object`,
    );
  }
  const { type } = value;
  const names = [...kinds.keys()].map((name) => JSON.stringify(name));
  return new MessageError(
    `The message's "type" is ${
      typeof type === "string"
        ? JSON.stringify(type.slice(0, 40))
        : kindOf(type)
    }, expected ${names.slice(0, -1).join(", ")} or ${names.at(-1)}`,
  );
}

/**
 * Says in short what a message is about, as `platypush-redis listen` prints it.
 *
 * @param message The message, of any kind.
 * @returns Its kind, its subject and its details; not a copy of these.
 * @throws {TypeError} It is no message.
 *
 * @example
 * ```ts
 * import { Request, summarize } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const request = new Request({ action: "light.on", args: { room: "hall" } });
 * assert.deepEqual(summarize(request), {
 *   label: "request",
 *   subject: "light.on",
 *   details: { room: "hall" },
 *   failed: false,
 * });
 * ```
 */
export function summarize(message: Message): MessageSummary {
  const kind = kinds.get(message?.type);
  if (kind === undefined) {
    throw new TypeError(
      "Cannot summarize: expected a message, such as an `Event`",
    );
  }
  return { label: kind.label, ...kind.summarize(message) };
}
