import type {
  CompiledCondition,
  ConditionKey,
  EventMatch,
} from "./condition.ts";
import type { Event } from "./event.ts";
import { hasPhrases, typesOf } from "./event_types.ts";
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
  /** The thing it is found by, among those on its class. */
  readonly key: ConditionKey;
  isIn: boolean;
}

/** A hook that is to be called for an event, and how the event matches it. */
export interface ChosenHook<Hook> {
  readonly hook: Hook;
  readonly match: EventMatch;
  /** False once the hook was removed: then it is not called any more. */
  isIn(): boolean;
}

/** The hooks that ask for something at one place of the `args`, or inside of it. */
class HookPlace<Hook> {
  readonly #byValue = new Map<unknown, Set<HookEntry<Hook>>>();
  readonly #patterns = new LiteralIndex<HookEntry<Hook>>();
  readonly #phrases = new LiteralIndex<HookEntry<Hook>>();
  /** Phrases that are found by their value elsewhere, and by nothing in what was said. */
  readonly #vaguePhrases = new Set<HookEntry<Hook>>();
  /** Those that ask for nothing that they could be found by, but that something is here. */
  readonly #others = new Set<HookEntry<Hook>>();
  /** By the name in an object, or the index in an array. */
  readonly #inside = new Map<string, HookPlace<Hook>>();

  get #isEmpty(): boolean {
    return this.#byValue.size === 0 && this.#patterns.all.size === 0 &&
      this.#phrases.all.size === 0 && this.#others.size === 0 &&
      this.#inside.size === 0;
  }

  /**
   * Counts the hooks that are found by the same as a key.
   *
   * @param depth How many names of the key's path lead here.
   */
  count(key: ConditionKey, depth = 0): number {
    const name = key.path[depth];
    if (name === undefined) return this.#countHere(key);
    return this.#inside.get(name)?.count(key, depth + 1) ?? 0;
  }

  #countHere(key: ConditionKey): number {
    if (key.literals !== undefined) {
      return this.#byLiteral(key).count(key.literals);
    }
    // That something is here tells little, unless nobody else asks for it.
    if (key.value === undefined) return this.#others.size === 0 ? 0 : Infinity;
    return this.#byValue.get(asKey(key.value))?.size ?? 0;
  }

  /** @param depth How many names of the key's path lead here. */
  add(entry: HookEntry<Hook>, depth = 0): void {
    const name = entry.key.path[depth];
    if (name === undefined) return this.#addHere(entry);
    let place = this.#inside.get(name);
    if (place === undefined) this.#inside.set(name, place = new HookPlace());
    place.add(entry, depth + 1);
  }

  #addHere(entry: HookEntry<Hook>): void {
    const { key } = entry;
    if (key.literals !== undefined) {
      return this.#byLiteral(key).add(key.literals, entry);
    }
    if (key.value === undefined) return void this.#others.add(entry);
    if (key.isPhrase) this.#vaguePhrases.add(entry);
    const value = asKey(key.value);
    const entries = this.#byValue.get(value);
    if (entries === undefined) this.#byValue.set(value, new Set([entry]));
    else entries.add(entry);
  }

  delete(entry: HookEntry<Hook>, depth = 0): void {
    const name = entry.key.path[depth];
    if (name === undefined) return this.#deleteHere(entry);
    const place = this.#inside.get(name)!;
    place.delete(entry, depth + 1);
    if (place.#isEmpty) this.#inside.delete(name);
  }

  #deleteHere(entry: HookEntry<Hook>): void {
    const { key } = entry;
    if (key.literals !== undefined) {
      return this.#byLiteral(key).delete(key.literals, entry);
    }
    if (this.#others.delete(entry)) return;
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
    if (this.#others.size > 0) this.#others.forEach(found);
    if (typeof value === "object") {
      if (value !== null && this.#inside.size > 0) {
        this.#candidatesInside(value, isSaid, found);
      }
    } else if (typeof value === "string") {
      this.#candidatesByText(value, isSaid, found);
    }
    this.#byValue.get(asKey(value))?.forEach((entry) => {
      if (!isSaid || !entry.key.isPhrase) found(entry);
    });
    if (this.#patterns.all.size > 0 && typeof value !== "string") {
      // None of them matches; one says so in the log.
      found(this.#patterns.all.values().next().value!);
    }
  }

  #candidatesInside(
    value: object,
    isSaid: boolean,
    found: (entry: HookEntry<Hook>) => void,
  ): void {
    if (Array.isArray(value)) {
      // It may be far longer than any array that is asked for.
      for (const [name, place] of this.#inside) {
        if (Object.hasOwn(value, name)) {
          place.candidates(value[Number(name)], isSaid, found);
        }
      }
      return;
    }
    for (const name in value) {
      this.#inside.get(name)
        ?.candidates(value[name as keyof typeof value], isSaid, found);
    }
  }

  #candidatesByText(
    text: string,
    isSaid: boolean,
    found: (entry: HookEntry<Hook>) => void,
  ): void {
    if (isSaid) {
      this.#vaguePhrases.forEach(found);
      if (this.#phrases.all.size > 0) this.#phrases.find(foldSaid(text), found);
    }
    if (this.#patterns.all.size > 0) this.#patterns.find(foldCase(text), found);
  }
}

/** Chooses, of what a condition asks for, what the fewest hooks are found by. */
function rarest<Hook>(
  keys: readonly ConditionKey[],
  place: HookPlace<Hook>,
): ConditionKey {
  let [rarest] = keys;
  let fewest = Infinity;
  for (const key of keys) {
    const count = place.count(key);
    if (count >= fewest) continue;
    fewest = count;
    rarest = key;
  }
  return rarest!;
}

/**
 * Hooks by what they ask for: the class of events, and a value that one of the
 * arguments has to equal, or a text that it has to contain to match a regular
 * expression, or at least that it is there. So an event meets only those hooks
 * that it may match, however many others there are.
 */
export class HookTable<Hook> {
  readonly #byType = new Map<string, HookPlace<Hook>>();
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
    const { type, keys } = condition;
    let place = this.#byType.get(type);
    if (place === undefined) {
      this.#byType.set(type, place = new HookPlace<Hook>());
    }
    const entry: HookEntry<Hook> = {
      hook,
      condition,
      priority,
      order: this.#order++,
      key: rarest(keys, place),
      isIn: true,
    };
    place.add(entry);
    this.#entries.add(entry);
    this.size++;
    return () => {
      if (!entry.isIn) return;
      entry.isIn = false;
      place.delete(entry);
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
