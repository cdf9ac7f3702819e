import { PLATYPUSH_TYPES } from "./platypush_types.ts";

/** The class from which all events derive. */
export const ANY_EVENT = "platypush.message.event.Event";

/** The class whose texts are compared with phrases. */
const SPEECH = "platypush.message.event.assistant.SpeechRecognizedEvent";

const MODULE = "platypush.message.event.";
const ALIAS = "platypush.events.";

let known: Map<string, readonly string[]> | undefined;

/** Gives the direct bases of each type, beside {@linkcode ANY_EVENT}. */
function basesOfAll(): Map<string, readonly string[]> {
  return known ??= new Map(
    PLATYPUSH_TYPES.trim().split("\n").map((line) => {
      const [name, ...bases] = line.split(" ").map((each) => MODULE + each);
      return [name!, bases];
    }),
  );
}

const ancestors = new Map<string, ReadonlySet<string>>();
/** Names come from outside, so that those which are remembered have a limit. */
const MAX_REMEMBERED = 10_000;

/**
 * Says which types of events a type of your own is derived from, as a class
 * would in Platypush: a hook on one of them is called for it too.
 *
 * Platypush's own 441 classes are known. The types of this thread count, so a
 * worker defines what its hooks are to know.
 *
 * @param name The type's name, as in the events' `args.type`.
 * @param options `extends`: the name of the type, or the names of the types,
 * that it is derived from. A name that is nowhere defined is derived from
 * `platypush.message.event.Event` alone.
 * @returns The name.
 * @throws {TypeError} If a name is empty or no text, is one of Platypush's own,
 * or if the type would be derived from itself.
 *
 * @example
 * ```ts
 * import { compileCondition, defineEventType, Event } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * defineEventType("my.DoorOpened", { extends: "my.DoorEvent" });
 * const isOfDoor = compileCondition({ type: "my.DoorEvent" });
 * assert.ok(isOfDoor(new Event({ args: { type: "my.DoorOpened" } })));
 * ```
 */
export function defineEventType(
  name: string,
  options: { readonly extends: string | readonly string[] },
): string {
  const own = canonicalType(checkName(name));
  const others = [options?.extends].flat().map(checkName).map(canonicalType);
  if (own === ANY_EVENT || own.startsWith(MODULE) && basesOfAll().has(own)) {
    throw new TypeError(
      `Cannot define the event type ${
        JSON.stringify(name)
      }: it is one of Platypush's own; use another name`,
    );
  }
  if (others.some((other) => typesOf(other).has(own))) {
    throw new TypeError(
      `Cannot define the event type ${
        JSON.stringify(name)
      }: it would be derived from itself`,
    );
  }
  basesOfAll().set(own, others);
  ancestors.clear();
  return name;
}

function checkName(name: unknown): string {
  if (typeof name === "string" && name !== "") return name;
  throw new TypeError(
    `Cannot define an event type: ${
      name === ""
        ? "a name is empty"
        : name === undefined
        ? "a name is missing, its own or in `extends`"
        : `a name is of the type ${typeof name}`
    }, expected the name of a type`,
  );
}

/** Gives the full name of a type that is written with Platypush's short alias. */
export function canonicalType(name: string): string {
  return name.startsWith(ALIAS) ? MODULE + name.slice(ALIAS.length) : name;
}

/** Lists the type and all that it is derived from. */
export function typesOf(name: string): ReadonlySet<string> {
  const known = ancestors.get(name);
  if (known !== undefined) return known;
  const types = new Set<string>();
  const waiting = [canonicalType(name)];
  for (const type of waiting) {
    if (types.has(type)) continue;
    types.add(type);
    waiting.push(...basesOfAll().get(type) ?? []);
  }
  types.add(ANY_EVENT);
  if (ancestors.size >= MAX_REMEMBERED) ancestors.clear();
  ancestors.set(name, types);
  return types;
}

/** Tells whether the texts of such events are compared with phrases. */
export function hasPhrases(name: string): boolean {
  return typesOf(name).has(SPEECH);
}

/** Tells whether a type is one of Platypush's namespace, and not one that is known. */
export function isUnknownType(name: string): boolean {
  return name.startsWith(MODULE) && name !== ANY_EVENT &&
    !basesOfAll().has(name);
}

/** Lists the names of all types that are known. */
export function knownTypes(): string[] {
  return [ANY_EVENT, ...basesOfAll().keys()];
}
