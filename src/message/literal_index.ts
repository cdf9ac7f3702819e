import type { CharacterSet } from "./character_set.ts";
import type { Part } from "./python_regex_syntax.ts";
import { sameCase } from "./python_text.ts";

/** From how many alternatives on they are as good as any text. */
const MAX_ALTERNATIVES = 50;

/** Tells of the texts that a part of an expression matches. */
interface Known {
  /** All of them, where they are few. */
  readonly all?: readonly string[];
  /** Lists of texts; whatever the part matches contains one out of each. */
  readonly lists: readonly (readonly string[])[];
}

const NOTHING: Known = { lists: [] };
const EMPTY: Known = { all: [""], lists: [] };

/**
 * Draws from an expression what a text has to contain to match it, as it
 * stands: looking for that is far quicker than searching.
 *
 * @param fold Makes one of all characters that only differ in case, where case
 * does not count: then the text has to be folded, too.
 * @returns Lists of texts: every match contains one out of each. The list with
 * the longest is first.
 */
export function literalsOf(
  part: Part,
  fold: (text: string) => string = (text) => text,
): (readonly string[])[] {
  return longestFirst(listsOf(knownOf(part, fold)));
}

/** Puts that list first of which even the shortest text is long: it tells most. */
export function longestFirst(
  lists: readonly (readonly string[])[],
): (readonly string[])[] {
  return lists.toSorted((a, b) => shortest(b) - shortest(a));
}

function knownOf(part: Part, fold: (text: string) => string): Known {
  switch (part.kind) {
    case "set":
      return knownOfSet(part, fold);
    // These take no characters, so that the text goes on behind them.
    case "place":
      return EMPTY;
    case "look":
      return part.isNegated
        ? EMPTY
        : { ...EMPTY, lists: listsOf(knownOf(part.part, fold)) };
    case "group":
    case "atomic":
      return knownOf(part.part, fold);
    case "sequence":
      return oneAfterTheOther(part.parts.map((one) => knownOf(one, fold)));
    case "either":
      return anyOf(part.parts.map((one) => knownOf(one, fold)));
    case "condition":
      return anyOf([knownOf(part.then, fold), knownOf(part.otherwise, fold)]);
    case "repeat": {
      const { min, max } = part;
      const known = knownOf(part.part, fold);
      if (min === 0) return max === 1 ? anyOf([known, EMPTY]) : NOTHING;
      return max === 1 ? known : { lists: listsOf(known) };
    }
    case "reference":
      return NOTHING;
  }
}

function knownOfSet(
  { items, isNegated, ignoresCase, isAscii }: CharacterSet,
  fold: (text: string) => string,
): Known {
  if (isNegated) return NOTHING;
  const all = new Set<string>();
  for (const item of items) {
    if ("class" in item || item.to - item.from >= MAX_ALTERNATIVES) {
      return NOTHING;
    }
    for (let code = item.from; code <= item.to; code++) {
      const codes = ignoresCase ? sameCase(code, isAscii) : [code];
      for (const one of codes) all.add(fold(String.fromCodePoint(one)));
    }
  }
  return all.size > MAX_ALTERNATIVES ? NOTHING : { all: [...all], lists: [] };
}

/** Joins what is known of neighbours, as long as there are few ways to join it. */
function oneAfterTheOther(parts: readonly Known[]): Known {
  const lists: (readonly string[])[] = [];
  let before: readonly string[] = [""];
  let isWhole = true;
  for (const { all, lists: others } of parts) {
    if (all !== undefined && before.length * all.length <= MAX_ALTERNATIVES) {
      before = before.flatMap((text) => all.map((next) => text + next));
      lists.push(...others);
      continue;
    }
    isWhole = false;
    lists.push(...listsOf({ all: before, lists: others }));
    before = all ?? [""];
  }
  if (isWhole) return { all: before, lists };
  return { lists: [...lists, ...listsOf({ all: before, lists: [] })] };
}

/** Puts the alternatives into one list, where each of them has to contain something. */
function anyOf(parts: readonly Known[]): Known {
  const all = parts.flatMap(({ all }) => all ?? []);
  if (parts.every(({ all }) => all !== undefined)) {
    return all.length > MAX_ALTERNATIVES ? NOTHING : { all, lists: [] };
  }
  const lists = parts.map((known) =>
    listsOf(known).reduce(
      (best, list) => shortest(list) > shortest(best) ? list : best,
      [""],
    )
  );
  return { lists: listsOf({ all: lists.flat(), lists: [] }) };
}

/** Lists what has to be contained; a list with an empty text says nothing. */
function listsOf({ all = [""], lists }: Known): (readonly string[])[] {
  const texts = [...new Set(all)];
  // What contains another one of them need not be looked for.
  const list = texts.filter((text) =>
    !texts.some((other) => other !== text && text.includes(other))
  );
  const isUseful = list.length <= MAX_ALTERNATIVES && shortest(list) > 0;
  return isUseful ? [list, ...lists] : [...lists];
}

function shortest(texts: readonly string[]): number {
  return Math.min(...texts.map(({ length }) => length));
}

/** One letter further in the texts that begin alike. */
interface Branch<Value> {
  next?: Map<number, Branch<Value>>;
  /** The values that were added under the text that ends here. */
  values?: Set<Value>;
}

/**
 * Values by texts. However many there are, those of which a text is somewhere in
 * another text are found in one pass over that.
 */
export class LiteralIndex<Value> {
  readonly #root: Branch<Value> = {};
  readonly #all = new Set<Value>();

  /** All values. */
  get all(): ReadonlySet<Value> {
    return this.#all;
  }

  /** Adds a value under texts, which are not empty, and each another. */
  add(texts: readonly string[], value: Value): void {
    for (const text of texts) this.#add(text, value);
    this.#all.add(value);
  }

  #add(text: string, value: Value): void {
    let branch = this.#root;
    for (let at = 0; at < text.length; at++) {
      const code = text.charCodeAt(at);
      const next: Branch<Value> = branch.next?.get(code) ?? {};
      (branch.next ??= new Map()).set(code, next);
      branch = next;
    }
    (branch.values ??= new Set()).add(value);
  }

  /** Takes a value away from its texts. */
  delete(texts: readonly string[], value: Value): void {
    for (const text of texts) this.#delete(text, value);
    this.#all.delete(value);
  }

  #delete(text: string, value: Value): void {
    const branches = this.#walk(text);
    branches.at(-1)!.values!.delete(value);
    for (let at = text.length; at > 0; at--) {
      const { next, values } = branches[at]!;
      if (next?.size || values?.size) return;
      branches[at - 1]!.next!.delete(text.charCodeAt(at - 1));
    }
  }

  /** Counts the values under that of some texts which has the most. */
  count(texts: readonly string[]): number {
    return Math.max(
      ...texts.map((text) => this.#walk(text)[text.length]?.values?.size ?? 0),
    );
  }

  /** Calls back once for each value of which a text is somewhere in this one. */
  find(text: string, found: (value: Value) => void): void {
    let all: Set<Value> | undefined;
    for (let start = 0; start < text.length; start++) {
      let branch = this.#root.next?.get(text.charCodeAt(start));
      for (let at = start + 1; branch !== undefined; at++) {
        for (const value of branch.values ?? []) (all ??= new Set()).add(value);
        branch = branch.next?.get(text.charCodeAt(at));
      }
    }
    all?.forEach(found);
  }

  /** Lists the branches along a text, from the root on, as far as there are any. */
  #walk(text: string): Branch<Value>[] {
    const branches = [this.#root];
    for (let at = 0; at < text.length; at++) {
      const next = branches[at]!.next?.get(text.charCodeAt(at));
      if (next === undefined) break;
      branches.push(next);
    }
    return branches;
  }
}
