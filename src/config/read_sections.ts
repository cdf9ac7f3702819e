import { dirname, resolve } from "node:path";
import { ConfigError } from "./config_error.ts";
import { mayRead } from "./find_config_file.ts";
import {
  formatPlace,
  type IncludeEntry,
  isBlank,
  type MapEntry,
  parseYaml,
  type YamlEntry,
} from "./parse_yaml.ts";

const MAX_FILES = 100;
const MAX_DEPTH = 20;

/** The entries at the top of a configuration, by name. */
export type Sections = ReadonlyMap<string, YamlEntry>;

/** Tells {@linkcode readSections} how to read. */
interface ReadSectionsOptions {
  /** Which sections are read. The others are only known to be there. */
  readonly isWanted: (name: string) => boolean;
  /** Told what is odd, but no error. */
  readonly warn: (text: string) => void;
}

/**
 * Reads a configuration and the files that it includes: those under `include`,
 * whose sections count as if they were written there, and those behind
 * `!include`, whose content is the value. Names are relative to the file that
 * they are in. Of two sections with the same name the last one counts.
 *
 * @param path The absolute path of the file to begin with.
 * @throws {ConfigError} If a file cannot be read, is no YAML, or includes
 * itself.
 */
export async function readSections(
  path: string,
  options: ReadSectionsOptions,
): Promise<Sections> {
  return await new Includer(options).sections(path, []);
}

/** The places that a file was included from: the outermost comes first. */
type Chain = readonly IncludeEntry["place"][];

class Includer {
  readonly #options: ReadSectionsOptions;
  #files = 0;

  constructor(options: ReadSectionsOptions) {
    this.#options = options;
  }

  async sections(path: string, chain: Chain): Promise<Sections> {
    const isWanted = (name: string): boolean =>
      name === "include" || this.#options.isWanted(name);
    const root = await this.#read(path, chain, isWanted);
    if (isBlank(root)) return new Map();
    const sections = new Map<string, YamlEntry>();
    for (const [name, entry] of asMap(root, "a configuration").entries) {
      if (name === "include") {
        for (const file of fileNames(entry)) {
          const whole = resolve(dirname(path), file);
          const places = [...chain, entry.place];
          if (await isMissing(whole)) {
            this.#options.warn(
              `${nameFile(whole, places)} does not exist, and is passed over.`,
            );
            continue;
          }
          const included = await this.sections(whole, places);
          included.forEach((entry, name) => sections.set(name, entry));
        }
      } else {
        sections.set(name, await this.#expand(entry, chain));
      }
    }
    return sections;
  }

  /** Replaces each `!include` by what is in the files. */
  async #expand(entry: YamlEntry, chain: Chain): Promise<YamlEntry> {
    switch (entry.kind) {
      case "include":
        return await this.#include(entry, [...chain, entry.place]);
      case "list": {
        const items: YamlEntry[] = [];
        for (const item of entry.items) {
          items.push(await this.#expand(item, chain));
        }
        return { ...entry, items };
      }
      case "map": {
        const entries = new Map<string, YamlEntry>();
        for (const [name, value] of entry.entries) {
          entries.set(name, await this.#expand(value, chain));
        }
        return { ...entry, entries };
      }
      default:
        return entry;
    }
  }

  async #include(
    { files, place }: IncludeEntry,
    chain: Chain,
  ): Promise<YamlEntry> {
    const contents: YamlEntry[] = [];
    for (const file of files) {
      const path = resolve(dirname(place.file), file);
      contents.push(await this.#expand(await this.#read(path, chain), chain));
    }
    const [first, ...rest] = contents as [YamlEntry, ...YamlEntry[]];
    if (rest.length === 0) return first;
    const entries = contents.flatMap((entry) =>
      isBlank(entry)
        ? []
        : [...asMap(entry, "a file in a list of included ones").entries]
    );
    return { kind: "map", entries: new Map(entries), place };
  }

  async #read(
    path: string,
    chain: Chain,
    isWanted?: (name: string) => boolean,
  ): Promise<YamlEntry> {
    const name = nameFile(path, chain);
    if (chain.some(({ file }) => file === path)) {
      throw new ConfigError(`${name} includes itself`);
    }
    if (++this.#files > MAX_FILES || chain.length > MAX_DEPTH) {
      throw new ConfigError(
        `${name} is too much: ${MAX_FILES} files are read, and includes of includes ${MAX_DEPTH} deep`,
      );
    }
    return parseYaml(await readText(path, name), {
      file: path,
      warn: this.#options.warn,
      ...(isWanted && { isWanted }),
    });
  }
}

/** Tells whether a file is surely not there; Platypush reads the rest then. */
async function isMissing(path: string): Promise<boolean> {
  if (!await mayRead(path)) return false;
  return await Deno.stat(path).then(
    () => false,
    (error) => error instanceof Deno.errors.NotFound,
  );
}

/** Takes an entry for a mapping, or says that it has to be one. */
export function asMap(entry: YamlEntry, what: string): MapEntry {
  if (entry.kind === "map") return entry;
  throw new ConfigError(
    `${
      formatPlace(entry.place)
    }: ${what} has to be a mapping, with lines like \`name: value\``,
  );
}

/** The name of a file for people, with all that led to it. */
function nameFile(path: string, chain: Chain): string {
  const by = chain.toReversed().map(formatPlace).join(", included by ");
  return by === "" ? path : `${path} (included by ${by})`;
}

function fileNames(entry: YamlEntry): string[] {
  const items = entry.kind === "list" ? entry.items : [entry];
  return items.filter((item) => !isBlank(item)).map((item) => {
    if (item.kind === "scalar" && typeof item.value === "string") {
      return item.value;
    }
    throw new ConfigError(
      `${
        formatPlace(item.place)
      }: \`include\` has to be the name of a file, or a list of names`,
    );
  });
}

/** No configuration is larger, in bytes. */
const MAX_SIZE = 2 ** 20;

/**
 * Reads a text file of reasonable size. It never asks for the permission.
 *
 * @param name What to call it in an error.
 * @throws {ConfigError} If it cannot be read, and why.
 */
async function readText(path: string, name = path): Promise<string> {
  if (!await mayRead(path)) {
    throw new ConfigError(
      `${name} may not be read; run the program with --allow-read=${path}`,
    );
  }
  const bytes = await readBytes(path, name);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(`${name} is not encoded in UTF-8`);
  }
}

async function readBytes(path: string, name: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(MAX_SIZE + 1);
  let size = 0;
  try {
    using file = await Deno.open(path);
    // Not `readFile()`, since a device or a pipe may have no end.
    while (size < bytes.length) {
      const count = await file.read(bytes.subarray(size));
      if (count === null) return bytes.subarray(0, size);
      size += count;
    }
  } catch (cause) {
    throw new ConfigError(`${name} ${explain(cause)}`, { cause });
  }
  throw new ConfigError(
    `${name} is larger than ${MAX_SIZE / 2 ** 20} MiB, and is not read`,
  );
}

function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "does not exist";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "may not be read by this user; check its owner and mode";
  }
  if (error instanceof Deno.errors.IsADirectory) return "is a folder";
  return `cannot be read (${(error as Error).message})`;
}
