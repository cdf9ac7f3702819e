import { formatPythonFloat } from "../message/python_text.ts";
import process from "node:process";
import type {
  Alias,
  Document,
  ErrorCode,
  Node,
  Scalar,
  ScalarTag,
  YAMLMap,
} from "yaml";
// Loaded by the first file that is read: most programs read none.
import defer * as yaml from "yaml";
import { ConfigError } from "./config_error.ts";

/** Says where something is written. Lines and columns count from 1. */
export interface FilePlace {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

/** A part of a YAML file that knows where it is written. */
export type YamlEntry = ScalarEntry | ListEntry | MapEntry | IncludeEntry;

/** A single value. */
interface ScalarEntry {
  readonly kind: "scalar";
  readonly value: unknown;
  /** The number as Python writes it, with every digit. */
  readonly text?: string;
  readonly place: FilePlace;
}

/** A list of entries. */
interface ListEntry {
  readonly kind: "list";
  readonly items: readonly YamlEntry[];
  readonly place: FilePlace;
}

/** A mapping from names to entries. */
export interface MapEntry {
  readonly kind: "map";
  readonly entries: ReadonlyMap<string, YamlEntry>;
  readonly place: FilePlace;
}

/** `!include`, which stands for what is in other files. */
export interface IncludeEntry {
  readonly kind: "include";
  readonly files: readonly string[];
  readonly place: FilePlace;
}

/** Writes a place for people, in the way that editors understand. */
export function formatPlace({ file, line, column }: FilePlace): string {
  return `${file}:${line}:${column}`;
}

/** Tells whether an entry says nothing, as `redis:` with nothing behind it. */
export function isBlank(entry: YamlEntry): boolean {
  return entry.kind === "scalar" && (entry.value ?? undefined) === undefined;
}

/**
 * Writes a name for people, if it is one: in `{password:secret}`, with no blank
 * after the colon, all of it is a name, and in `{password, secret}` each.
 *
 * @param entry What it stands for, where that is known.
 */
export function showName(name: string, entry?: YamlEntry): string {
  const isName = /^[a-z_][\w.-]{0,40}$/i.test(name) &&
    !(entry && isBlank(entry));
  return isName ? `\`${name}\`` : "what is here";
}

const INCLUDE = "!include";
/** Tags that have a meaning here. */
const KNOWN_TAGS =
  /^(?:!|tag:yaml\.org,2002:(?:str|int|float|bool|null|timestamp|map|seq))$/;
/** Tags that are right in sections of Platypush's own. */
const PYTHON_TAGS =
  /^(?:!include|!!(?:binary|omap|pairs|set|int|float|bool|null|timestamp|map|seq))(?![\w-])/;
/** More entries than this are no configuration, but aliases of aliases. */
const MAX_ENTRIES = 10_000;
/** Deeper than this is an alias that contains itself. */
const MAX_DEPTH = 64;

/** Tells {@linkcode parseYaml} how to read. */
interface ParseYamlOptions {
  /** The name of the file, for messages. */
  readonly file: string;
  /** Told what is odd, but no error. */
  readonly warn: (text: string) => void;
  /** Which names at the top are read. The others are only known to be there. */
  readonly isWanted?: (name: string) => boolean;
}

/**
 * Reads a YAML file as Platypush does: YAML 1.1, of two entries with the same
 * name the last one counts. Nothing of the text is in any error or warning,
 * since it may be a password.
 *
 * @param options The name of the file, and what to read of it.
 * @throws {ConfigError} If it is no YAML, or too much of it.
 */
export function parseYaml(text: string, options: ParseYamlOptions): YamlEntry {
  return new Reader(text, options).read();
}

class Reader {
  readonly #text: string;
  readonly #options: ParseYamlOptions;
  readonly #lines = new yaml.LineCounter();
  readonly #document: Document.Parsed;
  #anchors: Anchor[] | undefined;
  #count = 0;

  constructor(text: string, options: ParseYamlOptions) {
    this.#text = text;
    this.#options = options;
    this.#document = hideEnvironment(() =>
      yaml.parseDocument(text, {
        version: "1.1",
        schema: "failsafe",
        customTags: (tags) => [...tags, ...SCALARS],
        lineCounter: this.#lines,
        // The check takes minutes for some ten thousand names.
        uniqueKeys: false,
      })
    );
    const [error] = this.#document.errors;
    if (error !== undefined) {
      throw this.#error(error.pos[0], explainYamlError(error.code));
    }
    for (const { pos, code } of this.#document.warnings) {
      if (!PYTHON_TAGS.test(text.slice(pos[0]))) {
        this.#warn(pos[0], explainYamlError(code));
      }
    }
  }

  read(): YamlEntry {
    const { contents } = this.#document;
    return this.#entry(contents, 0, 0, this.#options.isWanted);
  }

  /** @param at Where it is, if the node does not say. */
  #entry(
    node: unknown,
    at: number,
    depth: number,
    isWanted?: (name: string) => boolean,
  ): YamlEntry {
    const start = yaml.isNode(node) ? node.range?.[0] ?? at : at;
    if (++this.#count > MAX_ENTRIES || depth > MAX_DEPTH) {
      throw this.#error(
        start,
        `this is too much: ${MAX_ENTRIES} entries are read, those behind aliases included, and ${MAX_DEPTH} levels`,
      );
    }
    if (yaml.isAlias(node)) {
      return this.#entry(this.#resolve(node), start, depth + 1, isWanted);
    }
    const place = this.#place(start);
    if (yaml.isNode(node) && node.tag === INCLUDE) {
      return { kind: "include", files: this.#fileNames(node, start), place };
    }
    this.#checkTag(node, start);
    if (yaml.isMap(node)) {
      return { kind: "map", entries: this.#map(node, depth, isWanted), place };
    }
    if (yaml.isSeq(node)) {
      const items = node.items.map((item) =>
        this.#entry(item, start, depth + 1)
      );
      return { kind: "list", items, place };
    }
    if (
      yaml.isScalar(node) && node.type === "PLAIN" && node.tag === undefined &&
      RESERVED.test(`${node.source}`)
    ) {
      throw this.#error(
        start,
        "`=` and `<<` mean something in YAML; as a text they need quotes",
      );
    }
    const value = this.#scalar(node, start);
    return value instanceof YamlNumber
      ? { kind: "scalar", value: value.value, text: value.text, place }
      : { kind: "scalar", value, place };
  }

  #scalar(node: unknown, at: number): unknown {
    if (!yaml.isScalar(node)) return undefined;
    const { tag = "!" } = node;
    const kind = shortTag(tag);
    const value = this.#isCut(node)
      ? String(node.value).replace(/\n$/, "")
      : node.value;
    if (typeof value !== "string" || /^(?:!|!!str)$/.test(kind)) return value;
    // The library knew no such value of this kind, and left the text.
    if (kind === "!!null") return null;
    if (kind === "!!float" && EXPLICIT_FLOAT.test(value)) {
      return readFloat(value);
    }
    throw this.#misfit(kind, at);
  }

  /** Tells whether a block ends with the file, in the middle of a line of its text. */
  #isCut({ type, range, value }: Scalar): boolean {
    const text = this.#text;
    if (!type?.startsWith("BLOCK") || range?.[1] !== text.length) return false;
    const lineEnd = Math.max(text.lastIndexOf("\n"), text.lastIndexOf("\r"));
    const last = text.slice(lineEnd + 1);
    // Blanks are no line of it, unless there are more than its indentation.
    return last.trim() !== "" ||
      (last !== "" && /(?:^|\n) +\n$/.test(`${value}`));
  }

  /** Refuses a tag where its text, or what it is on, would be taken for the value. */
  #checkTag(node: unknown, at: number): void {
    if (!yaml.isNode(node) || node.tag === undefined) return;
    const kind = shortTag(node.tag);
    if (!KNOWN_TAGS.test(node.tag)) {
      // A tag with nothing behind it may be a password that starts with `!`.
      const hasValue = yaml.isScalar(node) && node.source !== "" &&
        /^!{1,2}[\w.:/-]+$/.test(kind);
      const tag = hasValue ? `the tag \`${kind}\`` : "this tag";
      throw this.#error(
        at,
        `${tag} is not known; a text that starts with \`!\` needs quotes`,
      );
    }
    const collection = yaml.isMap(node) ? "!!map" : "!!seq";
    if (yaml.isCollection(node) && kind !== "!" && kind !== collection) {
      throw this.#misfit(kind, at);
    }
  }

  #misfit(kind: string, at: number): ConfigError {
    return this.#error(
      at,
      `the tag \`${kind}\` does not fit what it is on; leave it out`,
    );
  }

  #map(
    map: YAMLMap,
    depth: number,
    isWanted: (name: string) => boolean = () => true,
  ): Map<string, YamlEntry> {
    const own = new Map<string, YamlEntry>();
    const merged = new Map<string, YamlEntry>();
    for (const { key, value } of map.items) {
      const at = yaml.isNode(key) ? key.range?.[0] ?? 0 : 0;
      if (isMergeKey(key)) {
        for (const [name, entry] of this.#merge(value, at, depth, isWanted)) {
          // Of several that are merged, the first one counts.
          if (!merged.has(name)) merged.set(name, entry);
        }
        continue;
      }
      const name = yaml.isScalar(key) ? key.source ?? String(key.value) : "";
      if (own.has(name) && isWanted(name)) {
        this.#warn(at, `${showName(name)} is here again; the last one counts`);
      }
      const wanted = isWanted(name) ? value : undefined;
      const entry = this.#entry(wanted, at, depth + 1);
      own.set(name, { ...entry, place: this.#place(at) });
    }
    return new Map([...merged, ...own]);
  }

  /** Brings in what `<<` names: a mapping, or several. */
  #merge(
    node: unknown,
    at: number,
    depth: number,
    isWanted: (name: string) => boolean,
  ): [string, YamlEntry][] {
    const target = yaml.isAlias(node) ? this.#resolve(node) : node;
    return (yaml.isSeq(target) ? target.items : [target]).flatMap((part) => {
      const entry = this.#entry(part, at, depth + 1, isWanted);
      if (entry.kind === "map") return [...entry.entries];
      throw this.#error(at, "only mappings can be merged with `<<`");
    });
  }

  #fileNames(node: Node, at: number): string[] {
    return (yaml.isSeq(node) ? node.items : [node]).map((item) => {
      const name = yaml.isScalar(item) ? item.value : undefined;
      if (typeof name === "string" && name !== "") return name;
      throw this.#error(
        at,
        `\`${INCLUDE}\` has to be followed by the name of a file, or by a list of names`,
      );
    });
  }

  #resolve(alias: Alias): Node {
    this.#anchors ??= collectAnchors(this.#document);
    const at = alias.range?.[0] ?? 0;
    const anchor = this.#anchors.findLast((anchor) =>
      anchor.name === alias.source && anchor.at < at
    );
    if (anchor !== undefined) return anchor.node;
    throw this.#error(at, explainYamlError("BAD_ALIAS"));
  }

  #place(at: number): FilePlace {
    const { line, col } = this.#lines.linePos(at);
    return { file: this.#options.file, line: line || 1, column: col || 1 };
  }

  #error(at: number, problem: string): ConfigError {
    return new ConfigError(`${formatPlace(this.#place(at))}: ${problem}`);
  }

  #warn(at: number, problem: string): void {
    this.#options.warn(`${formatPlace(this.#place(at))}: ${problem}.`);
  }
}

interface Anchor {
  readonly name: string;
  readonly at: number;
  readonly node: Node;
}

function collectAnchors(document: Document.Parsed): Anchor[] {
  const anchors: Anchor[] = [];
  yaml.visit(document, {
    Value(_key, node): void {
      if (node.anchor === undefined) return;
      anchors.push({ name: node.anchor, at: node.range?.[0] ?? 0, node });
    },
  });
  return anchors;
}

/** A tag as it is written: `!!int`. */
function shortTag(tag: string): string {
  return tag.replace("tag:yaml.org,2002:", "!!");
}

function isMergeKey(key: unknown): boolean {
  return yaml.isScalar(key) && key.type === "PLAIN" && key.source === "<<";
}

/** The parser's own texts quote the file, and with it perhaps a password. */
const TEXTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  ALIAS_PROPS: "an alias can have neither an anchor nor a tag",
  BAD_ALIAS:
    "this alias has no anchor before it; a text that starts with `*` needs quotes",
  BAD_COLLECTION_TYPE: "the tag does not fit what it is on",
  BAD_DIRECTIVE: "this directive is not known",
  BAD_DQ_ESCAPE:
    "this escape is not known; in double quotes a backslash is written twice",
  BAD_INDENT: "the indentation is wrong",
  BAD_PROP_ORDER: "anchors and tags belong behind the indicator",
  BAD_SCALAR_START: "a text cannot start with this character; it needs quotes",
  BLOCK_AS_IMPLICIT_KEY: "a mapping cannot start on the same line here",
  BLOCK_IN_FLOW: "there is a block inside braces or brackets",
  KEY_OVER_1024_CHARS: "a name cannot be longer than 1024 characters",
  MISSING_CHAR:
    "a character is missing before this, such as a closing quote; a quoted text that goes on in the next line has to be indented there",
  MULTILINE_IMPLICIT_KEY:
    "a name has to be on one line, with a colon and a blank behind it",
  MULTIPLE_ANCHORS: "a value can only have one anchor",
  MULTIPLE_DOCS: "a file can only have one document, without `---` inside",
  MULTIPLE_TAGS: "a value can only have one tag",
  RESOURCE_EXHAUSTION: `it is nested too deeply: ${MAX_DEPTH} levels are read`,
  TAB_AS_INDENT: "it is indented by a tab, which has to be blanks",
  TAG_RESOLVE_FAILED: "this tag is not known, neither here nor to Platypush",
};

/** Says what is wrong with a YAML file without quoting it. */
function explainYamlError(code: ErrorCode): string {
  return TEXTS[code] ?? "this is no YAML";
}

/**
 * Runs a function to which `process.env` is empty. The YAML parser looks into
 * it, which needs a permission, for variables that make it print all that it
 * reads, passwords included.
 *
 * @param run What to run; it must not wait for anything.
 * @returns What the function returns.
 */
function hideEnvironment<T>(run: () => T): T {
  const { env } = process;
  process.env = {};
  try {
    return run();
  } finally {
    process.env = env;
  }
}

/** A number, and how Python writes it: that is what a password of digits is. */
class YamlNumber {
  readonly value: number;
  readonly text: string;

  constructor(value: number, text: string) {
    this.value = value;
    this.text = text;
  }
}

/** Scalars that are numbers with `!!float` only. */
const EXPLICIT_FLOAT =
  /^[-+]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9]+)?$/;

/** The texts that PyYAML refuses as a value: it keeps both for mappings. */
const RESERVED = /^(?:=|<<)$/;

/** The kinds of plain scalars, by the regular expressions of PyYAML's resolver. */
const SCALARS: readonly ScalarTag[] = [
  {
    tag: "tag:yaml.org,2002:bool",
    default: true,
    test:
      /^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$/,
    resolve: (text) => /^(?:yes|true|on)$/i.test(text),
  },
  {
    tag: "tag:yaml.org,2002:float",
    default: true,
    test:
      /^(?:[-+]?[0-9][0-9_]*\.[0-9_]*(?:[eE][-+][0-9]+)?|\.[0-9][0-9_]*(?:[eE][-+][0-9]+)?|[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+\.[0-9_]*|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$/,
    resolve: readFloat,
  },
  {
    tag: "tag:yaml.org,2002:int",
    default: true,
    test:
      /^(?:[-+]?0b[01_]+|[-+]?0[0-7_]+|[-+]?(?:0|[1-9][0-9_]*)|[-+]?0x[0-9a-fA-F_]+|[-+]?[1-9][0-9_]*(?::[0-5]?[0-9])+)$/,
    resolve: readInt,
  },
  {
    tag: "tag:yaml.org,2002:null",
    default: true,
    test: /^(?:~|null|Null|NULL|)$/,
    resolve: () => null,
  },
  {
    tag: "tag:yaml.org,2002:timestamp",
    default: true,
    test:
      /^(?:\d{4}-\d\d-\d\d|\d{4}-\d\d?-\d\d?(?:[Tt]|[ \t]+)\d\d?:\d\d:\d\d(?:\.\d*)?(?:[ \t]*(?:Z|[-+]\d\d?(?::\d\d)?))?)$/,
    // Nothing here is a time: it only must not be taken for a text.
    resolve: (text) => new Date(text),
  },
];

function readInt(source: string): YamlNumber {
  const text = source.replaceAll("_", "").replace("+", "");
  const sign = text.startsWith("-") ? -1n : 1n;
  const digits = text.replace("-", "");
  const size = digits.includes(":")
    ? digits.split(":").reduce((sum, part) => sum * 60n + BigInt(part), 0n)
    : BigInt(/^0[0-7]/.test(digits) ? `0o${digits.slice(1)}` : digits || "0");
  const whole = sign * size;
  return new YamlNumber(Number(whole), String(whole));
}

function readFloat(source: string): YamlNumber {
  const text = source.replaceAll("_", "").toLowerCase().replace("+", "");
  const sign = text.startsWith("-") ? -1 : 1;
  const digits = text.replace(/^-/, "");
  const size = digits === ".inf"
    ? Infinity
    : digits.split(":").reduce((sum, part) => sum * 60 + Number(part), 0);
  return new YamlNumber(sign * size, formatPythonFloat(sign * size));
}
