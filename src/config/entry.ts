/** Says where something is written. Lines and columns count from 1. */
export interface Place {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A part of a YAML file that knows where it is written. */
export type Entry = ScalarEntry | ListEntry | MapEntry | IncludeEntry;

/** A single value. */
export interface ScalarEntry {
  readonly kind: "scalar";
  readonly value: unknown;
  readonly place: Place;
}

/** A list of entries. */
export interface ListEntry {
  readonly kind: "list";
  readonly items: readonly Entry[];
  readonly place: Place;
}

/** A mapping from names to entries. */
export interface MapEntry {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, Entry>;
  readonly place: Place;
}

/** `!include`, which stands for what is in other files. */
export interface IncludeEntry {
  readonly kind: "include";
  readonly files: readonly string[];
  readonly place: Place;
}

/** Writes a place for people, in the way that editors understand. */
export function formatPlace({ file, line, column }: Place): string {
  return `${file}:${line}:${column}`;
}

/** Tells whether an entry says nothing, as `redis:` with nothing behind it. */
export function isEmpty(entry: Entry): boolean {
  return entry.kind === "scalar" && (entry.value ?? undefined) === undefined;
}

/**
 * Writes a name for people, if it is one: in `{password:secret}`, with no blank
 * after the colon, all of it is a name, and in `{password, secret}` each.
 *
 * @param entry What it stands for, where that is known.
 */
export function showName(name: string, entry?: Entry): string {
  const isName = /^[a-z_][\w.-]{0,40}$/i.test(name) &&
    !(entry && isEmpty(entry));
  return isName ? `\`${name}\`` : "what is here";
}
