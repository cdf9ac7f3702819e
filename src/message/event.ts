import { type Condition, conditionOf, type EventMatch } from "./condition.ts";
import { isRecord, jsonValue, kindOf } from "./json_value.ts";
import { defineKind, type WireMessage } from "./message_kinds.ts";
import { Message, type MessageFields } from "./message.ts";
import { MessageError } from "./message_error.ts";

/** The fields that an {@linkcode Event} is made with. */
export interface EventFields extends MessageFields {
  /** Its content: its type, and whatever else belongs to that. */
  // deno-lint-ignore no-explicit-any -- an interface, too, may say what they are
  args: Record<string, any> & {
    /** The full name of the event's class in Platypush, or a name of your own. */
    type: string;
  };
}

/**
 * Something has happened: a sensor has measured, a button was pressed.
 *
 * What belongs to it is anything, as the data of the web's `MessageEvent`, as
 * long as nobody says more: `Event<Motion>`, `bus.on<Motion>(...)`, a
 * {@linkcode Schema}, or {@linkcode defineEvent}.
 *
 * @example
 * ```ts
 * import { Event } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const event = new Event({
 *   args: {
 *     type: "platypush.message.event.sensor.SensorDataChangeEvent",
 *     data: { temperature: 21.5 },
 *   },
 * });
 * assert.equal(event.origin, Deno.hostname());
 * ```
 */
// deno-lint-ignore no-explicit-any -- as the data of the web's MessageEvent
export class Event<Args = any> extends Message {
  /** The kind of message. */
  declare readonly type: "event";
  /** Its content. */
  declare args: Args & { readonly type: string };

  /**
   * Makes an event; what is missing is filled in.
   *
   * @param fields What it is made with; only `args` with a `type` is needed.
   * @param checked Whether `fields` is known to hold only JSON values, as what
   * `JSON.parse` returns does; it is then taken without another look.
   * @throws {MessageError} If a value has the wrong type.
   * @throws {Deno.errors.NotCapable} If a device's id is missing, and the host's
   * name may not be read (`--allow-sys=hostname`).
   */
  constructor(fields: EventFields, checked = false) {
    super("event", fields);
    const args = checked ? fields.args : jsonValue(fields.args, 1);
    const type = (args as Partial<EventFields["args"]> | undefined)?.type;
    if (typeof type !== "string" || type === "" || Array.isArray(args)) {
      throw untyped(args);
    }
    this.args = args as Args & { readonly type: string };
  }

  /**
   * Tells whether the event is one that a hook is meant for.
   *
   * @param condition What its `args` have to be, as
   * {@linkcode compileCondition} describes. It is read when it is first used;
   * later changes to the object have no effect.
   * @returns Whether everything in the condition holds.
   * @throws {RegexError} If a regular expression in it cannot be used.
   *
   * @example
   * ```ts
   * import { Event } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * const event = new Event({ args: { type: "custom.Door", opened: 3 } });
   * assert.ok(event.matches({ type: "custom.Door", opened: { $gt: 2 } }));
   * ```
   */
  matches(condition: Condition): boolean {
    return this.match(condition) !== undefined;
  }

  /**
   * Tells how well the event meets a hook's condition, and what the names in
   * its phrase stand for.
   *
   * @param condition What its `args` have to be, as for
   * {@linkcode Event.matches}.
   * @returns The score and the captures, or `undefined` if it does not match.
   * @throws {RegexError} If a regular expression in it cannot be used.
   *
   * @example
   * ```ts
   * import { Event } from "@platypush/redis";
   * import assert from "node:assert/strict";
   *
   * const type = "platypush.message.event.assistant.SpeechRecognizedEvent";
   * const event = new Event({ args: { type, phrase: "please play some jazz" } });
   * const match = event.match({ type, phrase: "play some ${genre}" });
   * assert.deepEqual(match, { score: 3, captures: { genre: "jazz" } });
   * ```
   */
  match(condition: Condition): EventMatch | undefined {
    return conditionOf(condition).match(this);
  }

  /**
   * Gives what an event has on the wire besides the common fields.
   *
   * @returns Its `args`, not a copy of them.
   */
  protected override content(): WireMessage {
    return { args: this.args };
  }
}

/** Says what is wrong with the `args` of an event that has no type. */
function untyped(args: unknown): MessageError {
  return new MessageError(
    isRecord(args)
      ? `The event's "args.type" is ${
        kindOf(args["type"])
      }, expected the name of the event's type`
      : `The event's "args" is ${
        kindOf(args)
      }, expected an object with the event's "type"`,
  );
}

defineKind<Event>({
  wireName: "event",
  class: Event,
  label: "event",
  attributes: ["args"],
  subjectName: "type",
  build: (fields, wire) =>
    new Event({
      ...fields,
      args: wire["args"],
    } as EventFields, true),
  summarize: ({ args: { type, ...details } }) => ({
    subject: type,
    details,
    failed: false,
  }),
});
