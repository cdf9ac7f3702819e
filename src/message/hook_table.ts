import type {
  CompiledCondition,
  ConditionKey,
  EventMatch,
} from "./condition.ts";
import type { Event } from "./event.ts";
import { hasPhrases, typesOf } from "./event_types.ts";
import { isRecord } from "./json_value.ts";
import { LiteralIndex } from "./literal_index.ts";
import { foldSaid } from "./phrase.ts";
import { foldCase } from "./python_text.ts";

/** A hook of the table. */
interface HookEntry<Hook> {
  readonly hook: Hook;
  readonly condition: CompiledCondition;
  readonly priority: number;
  /** The later it was added, the greater. */
  readonly order: number;
  /** The thing it is found by, if it is by anything but its class. */
  key?: ConditionKey;
  isIn: boolean;
}

/** A hook that is to be called for an event, and how the event matches it. */
export interface ChosenHook<Hook> {
  readonly hook: Hook;
  readonly match: EventMatch;
  /** False once the hook was removed: then it is not called any more. */
  isIn(): boolean;
}

/** The hooks that ask for something at the same place of the `args`. */
class PathIndex<Hook> {
  readonly path: readonly string[];
  readonly #byValue = new Map<unknown, Set<HookEntry<Hook>>>();
  readonly #patterns = new LiteralIndex<HookEntry<Hook>>();
  readonly #phrases = new LiteralIndex<HookEntry<Hook>>();
  /** Phrases that are found by their value elsewhere, and by nothing in what was said. */
  readonly #vaguePhrases = new Set<HookEntry<Hook>>();

  constructor(path: readonly string[]) {
    this.path = path;
  }

  get isEmpty(): boolean {
    return this.#byValue.size === 0 && this.#patterns.all.size === 0 &&
      this.#phrases.all.size === 0;
  }

  /** Counts the hooks that are found by the same as a key. */
  count(key: ConditionKey): number {
    return key.literals === undefined
      ? this.#byValue.get(asKey(key.value))?.size ?? 0
      : this.#byLiteral(key).count(key.literals);
  }

  add(entry: HookEntry<Hook>, key: ConditionKey): void {
    if (key.literals !== undefined) {
      this.#byLiteral(key).add(key.literals, entry);
      return;
    }
    if (key.isPhrase) this.#vaguePhrases.add(entry);
    const value = asKey(key.value);
    const entries = this.#byValue.get(value);
    if (entries === undefined) this.#byValue.set(value, new Set([entry]));
    else entries.add(entry);
  }

  delete(entry: HookEntry<Hook>, key: ConditionKey): void {
    if (key.literals !== undefined) {
      this.#byLiteral(key).delete(key.literals, entry);
      return;
    }
    this.#vaguePhrases.delete(entry);
    const value = asKey(key.value);
    const entries = this.#byValue.get(value)!;
    entries.delete(entry);
    if (entries.size === 0) this.#byValue.delete(value);
  }

  #byLiteral({ isPhrase }: ConditionKey): LiteralIndex<HookEntry<Hook>> {
    return isPhrase ? this.#phrases : this.#patterns;
  }

  /**
   * Calls back for each hook that asks for what an event has here.
   *
   * @param isSaid True if a text is what was said, to which a text is a phrase.
   */
  candidates(
    value: unknown,
    isSaid: boolean,
    found: (entry: HookEntry<Hook>) => void,
  ): void {
    if (typeof value === "string" && isSaid) {
      this.#vaguePhrases.forEach(found);
      if (this.#phrases.all.size > 0) {
        this.#phrases.find(foldSaid(value), found);
      }
    }
    this.#byValue.get(asKey(value))?.forEach((entry) => {
      if (!isSaid || !entry.key!.isPhrase) found(entry);
    });
    if (this.#patterns.all.size === 0) return;
    if (typeof value === "string") {
      this.#patterns.find(foldCase(value), found);
    } else if (value !== undefined) {
      // None of them matches; one says so in the log.
      found(this.#patterns.all.values().next().value!);
    }
  }
}

/** The hooks on one class of events. */
class TypeIndex<Hook> {
  /** By the first name of the path. */
  readonly #places = new Map<string, PathIndex<Hook>[]>();
  /** Those that ask for nothing that they could be found by. */
  readonly #others = new Set<HookEntry<Hook>>();

  add(entry: HookEntry<Hook>): void {
    // Of what a hook asks for, what the fewest others do tells most.
    let fewest = Infinity;
    for (const key of entry.condition.keys) {
      const count = this.#placeOf(key)?.count(key) ?? 0;
      if (count >= fewest) continue;
      fewest = count;
      entry.key = key;
    }
    const { key } = entry;
    if (key === undefined) {
      this.#others.add(entry);
      return;
    }
    let place = this.#placeOf(key);
    if (place === undefined) {
      const [first] = key.path;
      const places = this.#places.get(first!);
      place = new PathIndex(key.path);
      if (places === undefined) this.#places.set(first!, [place]);
      else places.push(place);
    }
    place.add(entry, key);
  }

  delete(entry: HookEntry<Hook>): void {
    this.#others.delete(entry);
    const { key } = entry;
    if (key === undefined) return;
    const place = this.#placeOf(key)!;
    place.delete(entry, key);
    if (!place.isEmpty) return;
    const [first] = key.path;
    const places = this.#places.get(first!)!;
    places.splice(places.indexOf(place), 1);
    if (places.length === 0) this.#places.delete(first!);
  }

  #placeOf({ path }: ConditionKey): PathIndex<Hook> | undefined {
    const name = path.join("\0");
    return this.#places.get(path[0]!)
      ?.find(({ path }) => path.join("\0") === name);
  }

  /** Calls back for each hook that an event may match. */
  candidates(
    args: Readonly<Record<string, unknown>>,
    isSaid: boolean,
    found: (entry: HookEntry<Hook>) => void,
  ): void {
    this.#others.forEach(found);
    for (const name in args) {
      for (const place of this.#places.get(name) ?? []) {
        place.candidates(valueAt(args, place.path), isSaid, found);
      }
    }
  }
}

/**
 * Hooks by what they ask for: the class of events, and a value that one of the
 * arguments has to equal, or a text that it has to contain to match a regular
 * expression. So an event meets only those hooks that it may match, however many
 * others there are.
 */
export class HookTable<Hook> {
  readonly #byType = new Map<string, TypeIndex<Hook>>();
  readonly #entries = new Set<HookEntry<Hook>>();
  /** The number of hooks. */
  size = 0;
  #order = 0;

  /** Lists the hooks, in the order in which they were added. */
  *[Symbol.iterator](): Generator<Hook> {
    for (const { hook } of this.#entries) yield hook;
  }

  /** Removes all hooks. */
  clear(): void {
    for (const entry of this.#entries) entry.isIn = false;
    this.#entries.clear();
    this.size = 0;
    this.#byType.clear();
  }

  /**
   * Adds a hook.
   *
   * @param priority Of the hooks that match an event, those with the highest are
   * called, however low their score is.
   * @returns Removes it; any further call does nothing.
   */
  add(hook: Hook, condition: CompiledCondition, priority: number): () => void {
    const entry: HookEntry<Hook> = {
      hook,
      condition,
      priority,
      order: this.#order++,
      isIn: true,
    };
    const { type } = condition;
    let index = this.#byType.get(type);
    if (index === undefined) {
      this.#byType.set(type, index = new TypeIndex<Hook>());
    }
    index.add(entry);
    this.#entries.add(entry);
    this.size++;
    return () => {
      if (!entry.isIn) return;
      entry.isIn = false;
      index.delete(entry);
      this.#entries.delete(entry);
      this.size--;
    };
  }

  /**
   * Chooses the hooks that are called for an event: of those that match it,
   * those with the highest score, and those with the highest priority, which is
   * 0 where nothing else is said.
   *
   * @returns The hooks, in the order in which they were added.
   */
  choose(event: Event): ChosenHook<Hook>[] {
    const { args } = event;
    const isSaid = hasPhrases(args.type);
    const found: { entry: HookEntry<Hook>; match: EventMatch }[] = [];
    let score = -Infinity;
    let priority = 0;
    for (const type of typesOf(args.type)) {
      this.#byType.get(type)?.candidates(args, isSaid, (entry) => {
        const match = entry.condition.match(event);
        if (match === undefined) return;
        found.push({ entry, match });
        score = Math.max(score, match.score);
        priority = Math.max(priority, entry.priority);
      });
    }
    return found
      .filter(({ entry, match }) =>
        match.score === score || entry.priority === priority
      )
      .sort((a, b) => a.entry.order - b.entry.order)
      .map(({ entry, match }) => ({
        hook: entry.hook,
        match,
        isIn: () => entry.isIn,
      }));
  }
}

function valueAt(
  args: Readonly<Record<string, unknown>>,
  path: readonly string[],
): unknown {
  let value: unknown = args;
  for (const name of path) {
    if (!isRecord(value) || !Object.hasOwn(value, name)) return undefined;
    value = value[name];
  }
  return value;
}

/** Makes one key of all values that are equal to Python: `1`, `true` and `1n`. */
function asKey(value: unknown): unknown {
  switch (typeof value) {
    case "boolean":
      return Number(value);
    case "bigint": {
      const number = Number(value);
      return Number.isSafeInteger(number) ? number : value;
    }
    case "number":
      return Number.isInteger(value) && !Number.isSafeInteger(value)
        ? BigInt(value)
        : value;
    default:
      return value;
  }
}
