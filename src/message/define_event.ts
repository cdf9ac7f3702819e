import { SCHEMA } from "../kinds.ts";
import { checkValue } from "../options.ts";
import { Event } from "./event.ts";
import type { MessageFields } from "./message.ts";
import { fitted, type Schema } from "./schema.ts";

/**
 * A type of events, as {@linkcode defineEvent} makes it: called with the `args`
 * of an event it makes one, and {@linkcode Bus.on} and
 * {@linkcode Bus.registerHandler} take it in place of the type's name.
 */
export interface EventDefinition<Args, Input = Args> {
  /**
   * Makes an event of this type.
   *
   * @param args What belongs to it besides its type.
   * @param fields Its target, and what else is not to be filled in.
   * @throws {SchemaError} If the `args` do not fit the schema.
   */
  (args: Input, fields?: MessageFields): Event<Input>;
  /** The type's name, as in the events' `args.type`. */
  readonly type: string;
  /** Makes sure that the `args` are right, where there is one. */
  readonly schema: Schema<Args> | undefined;
}

/**
 * Says once what a type of events is called and what belongs to it, to send such
 * events and to listen to them with their types.
 *
 * @param type The type's name, as in the events' `args.type`.
 * @param schema What the `args` have to be besides their `type`, also in events
 * that come from elsewhere: those that do not fit count as malformed. Without
 * one they are taken for what the type argument says.
 * @returns A function that makes events of this type.
 * @throws {TypeError} If the name is empty or no text, or the schema is none.
 *
 * @example With Zod, Valibot, ArkType, or whatever speaks Standard Schema
 * ```ts
 * import { Bus, defineEvent } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 * import { z } from "zod";
 *
 * const Motion = defineEvent("custom.Motion", z.object({ room: z.string() }));
 *
 * await using bus = new Bus({ name: "example/define", deviceId: "livingroom" });
 * const rooms: string[] = [];
 * bus.on(Motion, (event) => rooms.push(event.args.room.toUpperCase()));
 * await bus.post(Motion({ room: "hall" }));
 * await bus.flush();
 * assert.deepEqual(rooms, ["HALL"]);
 * assert.throws(() => Motion({ room: 5 as never }), { name: "MessageError" });
 * ```
 *
 * @example Without a schema
 * ```ts
 * import { defineEvent } from "@platypush/redis/bus";
 *
 * interface Door { open: boolean }
 * const Door = defineEvent<Door>("custom.Door");
 * console.assert(Door({ open: true }).args.open);
 * ```
 */
export function defineEvent<Args, Input = unknown>(
  type: string,
  schema?: Schema<Args, Input>,
): EventDefinition<Args, unknown extends Input ? Args : Input> {
  if (typeof type !== "string" || type === "") {
    throw new TypeError(
      "Cannot define the event: expected the name of its type, such as `custom.Motion`",
    );
  }
  if (schema !== undefined) {
    checkValue("define the event", "schema", schema, SCHEMA);
  }
  const make = (args: object, fields: MessageFields = {}): Event => {
    if (schema !== undefined) {
      const fitting = fitted(schema, args, "The event's args");
      if (fitting instanceof Promise) {
        fitting.catch(() => {});
        throw new TypeError(
          `Cannot make the event "${type}": its schema takes its time; make it with \`new Event\``,
        );
      }
    }
    return new Event({ ...fields, args: { ...args, type } });
  };
  return Object.assign(make, { type, schema }) as EventDefinition<
    Args,
    unknown extends Input ? Args : Input
  >;
}

/** An {@linkcode EventDefinition} of whatever `args`. */
export type AnyDefinition =
  & ((args: never) => Event)
  & Pick<EventDefinition<unknown>, "type" | "schema">;

/** Tells whether something is what {@linkcode defineEvent} makes. */
export function isDefinition(value: unknown): value is AnyDefinition {
  return typeof value === "function" && Object.hasOwn(value, "schema") &&
    Object.hasOwn(value, "type");
}
