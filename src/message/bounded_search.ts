import { testOfSet } from "./character_set.ts";
import {
  type Expression,
  type Part,
  type Place,
  RegexError,
} from "./python_regex_syntax.ts";
import { isSameCase, isWordCode } from "./python_text.ts";

/**
 * The largest number of steps of a search, which takes a tenth of a second at
 * most.
 */
const MAX_STEPS = 1_000_000;
/**
 * The largest number of instructions in an expression, its repetitions written
 * out.
 */
const MAX_PROGRAM = 20_000;
/** From how many bits on a set takes less than a map of them. */
const MAX_BITS = 2 ** 25;

/** Says from where to where something was found, in characters. */
interface Found {
  readonly start: number;
  readonly end: number;
}

/** Ends a search that takes too many steps. */
export class SearchTooLongError extends Error {
  /** The class's name, as for every error. */
  override readonly name = "SearchTooLongError";
  readonly steps: number = MAX_STEPS;
}

type Characters = readonly number[];

/** Says how a part is searched for by itself. */
interface SubSearch {
  /** It begins so many characters before the place. */
  back: number;
  /** True if the text goes on behind what was found. */
  consumes: boolean;
  /** True if it goes on where nothing was found. */
  isNegated: boolean;
}

const ATOMIC: SubSearch = { back: 0, consumes: true, isNegated: false };

/** Does one thing at a place of the text, and says where the program goes on. */
type Instruction =
  | { op: "set"; test: (code: number) => boolean; next: number }
  | {
    op: "place";
    test: (at: Characters, offset: number) => boolean;
    next: number;
  }
  | { op: "split"; first: number; second: number }
  | { op: "save"; slot: number; next: number }
  | { op: "progress"; slot: number; next: number; otherwise: number }
  | {
    op: "reference";
    group: number;
    same: (a: number, b: number) => boolean;
    next: number;
  }
  | { op: "sub"; start: number; next: number } & SubSearch
  | { op: "condition"; group: number; then: number; otherwise: number }
  | { op: "match" };

/**
 * Searches for a regular expression by trying one way after the other, in a
 * limited number of steps. Without references to groups, no place of the text
 * is visited twice for the same part of the expression, so that the time grows
 * with the text's length, not with the number of ways.
 */
export class BoundedSearch {
  readonly #program: Program;
  /** True if what groups have caught decides over how it goes on. */
  readonly #remembers: boolean;

  /** @throws {RegexError} If the expression is too large. */
  constructor(pattern: string, expression: Expression) {
    this.#remembers = dependsOnGroups(expression.part);
    this.#program = new Compiler(pattern, expression).program;
  }

  /**
   * Searches a text.
   *
   * @returns The first place that matches, the way that Python tries first.
   * @throws {SearchTooLongError} When that takes more than a million steps.
   */
  search(text: string): Found | undefined {
    const { instructions, slots } = this.#program;
    const characters = Array.from(text, (one) => one.codePointAt(0)!);
    const run = new SearchRun(
      instructions,
      characters,
      slots,
      !this.#remembers,
    );
    for (let start = 0; start <= characters.length; start++) {
      const end = run.from(this.#program.start, start);
      if (end !== -1) return { start, end };
    }
    return undefined;
  }
}

/** An expression as instructions. */
interface Program {
  readonly instructions: readonly Instruction[];
  /** The first instruction. */
  readonly start: number;
  /** The number of places that it remembers: of groups, and of rounds of loops. */
  readonly slots: number;
}

/** Writes an expression as instructions, the last ones first: each says which comes next. */
class Compiler {
  readonly program: Program;
  readonly #pattern: string;
  readonly #instructions: Instruction[] = [];
  #slots: number;

  constructor(pattern: string, { part, groups }: Expression) {
    this.#pattern = pattern;
    this.#slots = 2 * (groups + 1);
    const start = this.#compile(part, this.#add({ op: "match" }));
    this.program = {
      instructions: this.#instructions,
      start,
      slots: this.#slots,
    };
  }

  /** Writes a part so that the program goes on at `next`; returns where it begins. */
  #compile(part: Part, next: number): number {
    switch (part.kind) {
      case "set":
        return this.#add({ op: "set", test: testOfSet(part), next });
      case "place": {
        const test = testOf(part.place, part.isAscii);
        return this.#add({ op: "place", test, next });
      }
      case "sequence":
        return part.parts.reduceRight(
          (next, one) => this.#compile(one, next),
          next,
        );
      case "either":
        return part.parts.map((one) => this.#compile(one, next)).reduceRight(
          (second, first) => this.#add({ op: "split", first, second }),
        );
      case "group": {
        const end = this.#add({ op: "save", slot: 2 * part.group + 1, next });
        const start = this.#compile(part.part, end);
        return this.#add({ op: "save", slot: 2 * part.group, next: start });
      }
      case "reference": {
        const { group, ignoresCase, isAscii } = part;
        const same = ignoresCase
          ? (a: number, b: number): boolean => isSameCase(a, b, isAscii)
          : (a: number, b: number): boolean => a === b;
        return this.#add({ op: "reference", group, same, next });
      }
      case "condition": {
        const { group } = part;
        const then = this.#compile(part.then, next);
        const otherwise = this.#compile(part.otherwise, next);
        return this.#add({ op: "condition", group, then, otherwise });
      }
      case "atomic":
        return this.#sub(part.part, ATOMIC, next);
      case "look": {
        const { back, isNegated } = part;
        return this.#sub(part.part, { back, consumes: false, isNegated }, next);
      }
      case "repeat":
        return part.mode === "possessive"
          ? this.#sub({ ...part, mode: "greedy" }, ATOMIC, next)
          : this.#repeat(part, next);
    }
  }

  /** Writes a part that is searched for by itself, and keeps to the first way that it finds. */
  #sub(part: Part, how: SubSearch, next: number): number {
    const start = this.#compile(part, this.#add({ op: "match" }));
    return this.#add({ op: "sub", start, ...how, next });
  }

  #repeat(
    { part, min, max, mode }: Part & { kind: "repeat" },
    next: number,
  ): number {
    const choice = (more: number, done: number): Instruction =>
      mode === "lazy"
        ? { op: "split", first: done, second: more }
        : { op: "split", first: more, second: done };
    let start = next;
    if (max === Infinity) {
      const loop = this.#add(choice(-1, next));
      const body = canBeEmpty(part)
        ? this.#progressing(part, loop, next)
        : this.#compile(part, loop);
      this.#instructions[loop] = choice(body, next);
      start = loop;
    } else {
      for (let count = min; count < max; count++) {
        const more = this.#compile(part, start);
        start = this.#add(choice(more, next));
      }
    }
    for (let count = 0; count < min; count++) {
      start = this.#compile(part, start);
    }
    return start;
  }

  /** Writes a round of a loop, which ends with the round that has found nothing. */
  #progressing(part: Part, loop: number, next: number): number {
    const slot = this.#slots++;
    const check = this.#add({
      op: "progress",
      slot,
      next: loop,
      otherwise: next,
    });
    const body = this.#compile(part, check);
    return this.#add({ op: "save", slot, next: body });
  }

  #add(instruction: Instruction): number {
    if (this.#instructions.length >= MAX_PROGRAM) {
      throw new RegexError(
        `Cannot use the regular expression ${
          JSON.stringify(this.#pattern)
        }: with its repetitions written out it has more than ${MAX_PROGRAM} parts; repeat less`,
      );
    }
    return this.#instructions.push(instruction) - 1;
  }
}

/** Remembers what to come back to: another way, or what slots held. */
type Backtrack =
  | { readonly at: number; readonly offset: number }
  | { readonly slot: number; readonly value: number }
  | { readonly slots: Int32Array };

/** One search: where it has been, and what its groups have caught. */
class SearchRun {
  readonly #program: readonly Instruction[];
  readonly #text: Characters;
  readonly #visited: Visited | undefined;
  readonly #slots: Int32Array;
  #steps = 0;

  constructor(
    program: readonly Instruction[],
    text: Characters,
    slots: number,
    visitsOnce: boolean,
  ) {
    this.#program = program;
    this.#text = text;
    this.#slots = new Int32Array(slots).fill(-1);
    if (visitsOnce) {
      this.#visited = new Visited(program.length * (text.length + 1));
    }
  }

  /** Runs the program from a place of the text; returns where it ends, or -1. */
  from(at: number, offset: number): number {
    const stack: Backtrack[] = [];
    const mine: number[] = [];
    for (;;) {
      if (++this.#steps > MAX_STEPS) throw new SearchTooLongError();
      const key = at * (this.#text.length + 1) + offset;
      const isNew = this.#visited?.add(key) ?? true;
      if (isNew) mine.push(key);
      const instruction = this.#program[at]!;
      if (isNew && instruction.op === "match") {
        // What led to a match is no dead end for another run.
        for (const key of mine) this.#visited?.delete(key);
        return offset;
      }
      const to = isNew ? this.#step(instruction, offset, stack) : undefined;
      if (to !== undefined) {
        [at, offset] = to;
        continue;
      }
      const back = this.#goBack(stack);
      if (back === undefined) return -1;
      ({ at, offset } = back);
    }
  }

  #goBack(stack: Backtrack[]): { at: number; offset: number } | undefined {
    for (;;) {
      const memory = stack.pop();
      if (memory === undefined) return undefined;
      if ("at" in memory) return memory;
      if ("slots" in memory) this.#slots.set(memory.slots);
      else this.#slots[memory.slot] = memory.value;
    }
  }

  #step(
    instruction: Instruction,
    offset: number,
    stack: Backtrack[],
  ): readonly [at: number, offset: number] | undefined {
    switch (instruction.op) {
      case "set": {
        const code = this.#text[offset];
        const fits = code !== undefined && instruction.test(code);
        return fits ? [instruction.next, offset + 1] : undefined;
      }
      case "place":
        return instruction.test(this.#text, offset)
          ? [instruction.next, offset]
          : undefined;
      case "split":
        stack.push({ at: instruction.second, offset });
        return [instruction.first, offset];
      case "save": {
        const { slot, next } = instruction;
        stack.push({ slot, value: this.#slots[slot]! });
        this.#slots[slot] = offset;
        return [next, offset];
      }
      case "progress": {
        const { slot, next, otherwise } = instruction;
        return [this.#slots[slot] === offset ? otherwise : next, offset];
      }
      case "reference":
        return this.#reference(instruction, offset);
      case "condition": {
        const { group, then, otherwise } = instruction;
        return [this.#slots[2 * group + 1] === -1 ? otherwise : then, offset];
      }
      case "sub":
        return this.#sub(instruction, offset, stack);
      case "match":
        return undefined;
    }
  }

  #reference(
    { group, same, next }: Instruction & { op: "reference" },
    offset: number,
  ): readonly [at: number, offset: number] | undefined {
    const start = this.#slots[2 * group]!;
    const end = this.#slots[2 * group + 1]!;
    if (start === -1 || end < start) return undefined;
    const length = end - start;
    if (offset + length > this.#text.length) return undefined;
    this.#steps += length;
    for (let index = 0; index < length; index++) {
      if (!same(this.#text[start + index]!, this.#text[offset + index]!)) {
        return undefined;
      }
    }
    return [next, offset + length];
  }

  #sub(
    { start, back, consumes, isNegated, next }: Instruction & { op: "sub" },
    offset: number,
    stack: Backtrack[],
  ): readonly [at: number, offset: number] | undefined {
    const slots = this.#slots.slice();
    const end = offset < back ? -1 : this.from(start, offset - back);
    if (isNegated || end === -1) this.#slots.set(slots);
    else stack.push({ slots });
    if ((end === -1) !== isNegated) return undefined;
    return [next, consumes ? end : offset];
  }
}

/** Which instructions were tried at which places. */
class Visited {
  readonly #bits: Uint32Array | undefined;
  readonly #keys = new Set<number>();

  constructor(size: number) {
    if (size <= MAX_BITS) this.#bits = new Uint32Array((size >>> 5) + 1);
  }

  /** Tells whether the key is new. */
  add(key: number): boolean {
    if (this.#bits === undefined) {
      if (this.#keys.has(key)) return false;
      this.#keys.add(key);
      return true;
    }
    const bit = 1 << (key & 31);
    if ((this.#bits[key >>> 5]! & bit) !== 0) return false;
    this.#bits[key >>> 5]! |= bit;
    return true;
  }

  delete(key: number): void {
    if (this.#bits === undefined) this.#keys.delete(key);
    else this.#bits[key >>> 5]! &= ~(1 << (key & 31));
  }
}

/** Tells whether a part may match without taking a character. */
function canBeEmpty(part: Part): boolean {
  switch (part.kind) {
    case "set":
      return false;
    case "sequence":
      return part.parts.every(canBeEmpty);
    case "either":
      return part.parts.some(canBeEmpty);
    case "repeat":
      return part.min === 0 || canBeEmpty(part.part);
    case "group":
    case "atomic":
      return canBeEmpty(part.part);
    case "condition":
      return canBeEmpty(part.then) || canBeEmpty(part.otherwise);
    case "place":
    case "look":
    case "reference":
      return true;
  }
}

function dependsOnGroups(part: Part): boolean {
  switch (part.kind) {
    case "reference":
    case "condition":
      return true;
    case "sequence":
    case "either":
      return part.parts.some(dependsOnGroups);
    case "set":
    case "place":
      return false;
    default:
      return dependsOnGroups(part.part);
  }
}

const LINE_FEED = 10;

/** Makes the test of a place between two characters. */
function testOf(
  place: Place,
  isAscii: boolean,
): (text: Characters, offset: number) => boolean {
  const isWord = (code: number | undefined): boolean =>
    code !== undefined && isWordCode(code, isAscii);
  switch (place) {
    case "textStart":
      return (_text, offset) => offset === 0;
    case "textEnd":
      return (text, offset) => offset === text.length;
    case "lineStart":
      return (text, offset) => offset === 0 || text[offset - 1] === LINE_FEED;
    case "lineEnd":
      return (text, offset) =>
        offset === text.length || text[offset] === LINE_FEED;
    case "lastLineEnd":
      return (text, offset) =>
        offset === text.length ||
        offset === text.length - 1 && text[offset] === LINE_FEED;
    case "boundary":
      return (text, offset) =>
        isWord(text[offset - 1]) !== isWord(text[offset]);
    case "noBoundary":
      // In an empty text Python finds no place that is none.
      return (text, offset) =>
        text.length > 0 && isWord(text[offset - 1]) === isWord(text[offset]);
  }
}
