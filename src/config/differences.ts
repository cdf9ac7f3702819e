import { basename } from "node:path";
import { BACKEND_OPTIONS } from "../backend/backend_options.ts";
import { canonicalType, isUnknownType } from "../message/event_types.ts";
import { warningsTo } from "../logger.ts";
import { compileCondition, RegexError } from "../message/mod.ts";
import { nameInFile, type Row } from "../options.ts";
import { REDIS_ARGUMENTS } from "../redis/redis_args.ts";
import {
  type FilePlace,
  formatPlace,
  isBlank,
  type MapEntry,
  showName,
  type YamlEntry,
} from "./parse_yaml.ts";
import { readSections, type Sections } from "./read_sections.ts";

/** Something in a Platypush's configuration that is different here. */
interface Difference {
  /** The place where it is written, as `file:line:column`. */
  readonly place: string;
  /** Says what is different, in one line. */
  readonly message: string;
  /** Says what to do about it, in one line. */
  readonly advice: string;
}

const HOOK = /^event\.hook\./;
const BACKEND = "backend.redis";
/** Sections that mean the same here. */
const OURS = ["device_id", "token", BACKEND, "redis", "include", "environment"];
/** Sections of Platypush's own, by what begins their names. */
const THEIRS: readonly [pattern: RegExp, kind: string, advice: string][] = [
  [
    /^backend\./,
    "other backends are not run here",
    "Leave them to Platypush; its events come over `HubBus`.",
  ],
  [
    /^(procedure|cron)\./,
    "procedures and cronjobs are not run here",
    "Leave them to Platypush, or write them in TypeScript.",
  ],
  [
    /^(logging|workdir|main\.db|db|user|users|password|redis_queue|token_hash)$/,
    "settings of Platypush's own have no effect here",
    "The README has the settings that there are.",
  ],
  [
    /./,
    "plugins are not run here",
    "Ask the hub for their actions by `sendRequest()`, or register your own by `registerAction()`.",
  ],
];

/** The settings of the backend that mean something else. */
const SETTINGS: Readonly<Record<string, readonly [string, string]>> = {
  poll_seconds: [
    "counts for `loop()` alone: Redis is not polled",
    "Leave it out, unless a class of yours has a `loop()`.",
  ],
  bus: [
    "has no effect in a file",
    "Give the constructor a `Bus` or a `HubBus`.",
  ],
  logging: [
    "has no effect",
    "Configure LogTape, or give the constructor a `logger`.",
  ],
};

/**
 * Finds what in a Platypush's configuration behaves differently here. No value of
 * the file is in what it says, since that may be a secret.
 *
 * @param path The absolute path of the file.
 * @throws {ConfigError} If it, or a file that it includes, cannot be read.
 */
export async function differencesIn(path: string): Promise<Difference[]> {
  const sections = await readSections(path, {
    isWanted: (name) => OURS.includes(name) || HOOK.test(name),
    warn: () => {},
  });
  return [...settings(sections), ...hooks(sections), ...others(sections)];
}

function* settings(sections: Sections): Iterable<Difference> {
  const backend = sections.get(BACKEND);
  const entries = entriesOf(backend);
  for (const [name, entry] of entries) {
    const known = SETTINGS[name];
    if (known === undefined) continue;
    const [problem, advice] = known;
    yield found(entry.place, `\`${BACKEND}.${name}\` ${problem}.`, advice);
  }
  const own = entries.get("redis_args");
  const args: [string, YamlEntry | undefined] = own && !isBlank(own)
    ? [`${BACKEND}.redis_args`, own]
    : ["redis", sections.get("redis")];
  const rows: Readonly<Record<string, Row>> = REDIS_ARGUMENTS;
  for (const [name, entry] of entriesOf(args[1])) {
    if (!rows[name]?.isIgnored) continue;
    yield found(
      entry.place,
      `\`${args[0]}.${name}\` is taken, and has no effect here.`,
      "Leave it, for Platypush.",
    );
  }
  const token = sections.get("token");
  if (token !== undefined) {
    yield found(
      token.place,
      "A request without the right `token` is answered with an error; Platypush drops it.",
      "Nothing has to be done.",
    );
  }
  const names = Object.keys(BACKEND_OPTIONS).map(nameInFile);
  for (const [name, entry] of entries) {
    if (SETTINGS[name] || name === "redis_args" || names.includes(name)) {
      continue;
    }
    if (["enabled", "disabled"].includes(name)) continue;
    yield found(
      entry.place,
      `${
        showName(name, entry)
      } is not known in \`${BACKEND}\`, and passed over.`,
      "Correct the name, or leave it out.",
    );
  }
}

function* hooks(sections: Sections): Iterable<Difference> {
  const all = [...sections].filter(([name]) => HOOK.test(name));
  if (all.length === 0) return;
  yield found(
    all[0]![1].place,
    `Hooks are not run from the file: ${placesOf(all)}.`,
    "Write `bus.on(condition, handler)` for those that are wanted here, with the same condition.",
  );
  for (const [name, entry] of all) yield* hook(showName(name), entry);
}

function* hook(name: string, entry: YamlEntry): Iterable<Difference> {
  const condition = entriesOf(entry).get("if");
  if (condition === undefined || isBlank(condition)) {
    yield found(
      entry.place,
      `The hook ${name} has no \`if\`.`,
      "Name the type of the events that it is for.",
    );
    return;
  }
  if (condition.kind !== "map") {
    yield found(
      condition.place,
      `The \`if\` of the hook ${name} is no mapping.`,
      "Write the event's `type`, and its arguments, one a line.",
    );
    return;
  }
  const type = condition.entries.get("type");
  const typeName = type?.kind === "scalar" && typeof type.value === "string"
    ? type.value
    : undefined;
  if (type !== undefined && typeName === undefined) {
    yield found(
      type.place,
      `The \`type\` in the hook ${name} is no text.`,
      "Name the class of the events.",
    );
  }
  const isUnknown = typeName !== undefined &&
    isUnknownType(canonicalType(typeName));
  if (isUnknown) {
    yield found(
      type!.place,
      `The class in the hook ${name} is not known here: only events of this very name match, and none of classes that are derived from it.`,
      "Tell of them by `defineEventType()`.",
    );
  }
  for (const [argument, value] of condition.entries) {
    if (argument === "type") continue;
    // An unknown class is complained of above, and has no phrases.
    yield* argumentOf(name, isUnknown ? undefined : typeName, argument, value);
  }
  yield* afterText(name, condition);
}

/** Looks at what a hook says of one argument. */
function* argumentOf(
  hook: string,
  type: string | undefined,
  argument: string,
  entry: YamlEntry,
): Iterable<Difference> {
  let isWrong = false;
  const logger = warningsTo(() => isWrong = true);
  try {
    compileCondition(
      { ...(type !== undefined && { type }), [argument]: plain(entry) },
      logger,
    );
  } catch (error) {
    yield found(
      entry.place,
      error instanceof RegexError
        ? `A regular expression for ${
          showName(argument)
        } in the hook ${hook} cannot be used here.`
        : `What the hook ${hook} says of ${
          showName(argument)
        } is no condition here.`,
      "`compileCondition()` says why.",
    );
    return;
  }
  if (!isWrong) return;
  yield found(
    entry.place,
    `What the hook ${hook} says of ${
      showName(argument)
    } never matches, here and in Platypush: it has an unknown operator, or a value of the wrong type.`,
    "Known are $gt, $gte, $lt, $lte, $eq, $ne and $regex.",
  );
}

/** Finds conditions that Platypush takes for true where a text before them matches. */
function* afterText(name: string, map: MapEntry): Iterable<Difference> {
  let isAfterText = false;
  for (const [argument, entry] of map.entries) {
    if (argument === "type") continue;
    if (entry.kind === "map" && isAfterText && hasOperator(entry)) {
      yield found(
        entry.place,
        `The hook ${name} may run less often here: after a text, Platypush does not look at ${
          showName(argument)
        }, which is a defect.`,
        "See whether the hook is to run only where this holds, too; else leave it out of the condition.",
      );
    }
    isAfterText ||= entry.kind === "scalar" && typeof entry.value === "string";
    if (entry.kind === "map") yield* afterText(name, entry);
  }
}

/** Tells whether there are operators somewhere below: `data: {t: {$gt: 30}}`. */
function hasOperator(map: MapEntry): boolean {
  return [...map.entries.values()].some((entry) =>
    entry.kind === "map" &&
    ([...entry.entries.keys()].some((name) => name.startsWith("$")) ||
      hasOperator(entry))
  );
}

function* others(sections: Sections): Iterable<Difference> {
  const left = [...sections].filter(([name, entry]) =>
    !OURS.includes(name) && !HOOK.test(name) && entry.place !== undefined
  );
  for (const [pattern, kind, advice] of THEIRS) {
    const these = left.filter(([name]) =>
      THEIRS.find(([each]) => each.test(name))![0] === pattern
    );
    if (these.length === 0) continue;
    const text = `${kind[0]!.toUpperCase()}${kind.slice(1)}`;
    yield found(these[0]![1].place, `${text}: ${placesOf(these)}.`, advice);
  }
}

/** So many sections are named in one line. */
const MAX_NAMED = 20;

/** Names sections, with their lines. */
function placesOf(sections: readonly [string, YamlEntry][]): string {
  const named = sections.slice(0, MAX_NAMED).map(([name, { place }]) => {
    // The finding names the file of the first one.
    const isSame = place.file === sections[0]![1].place.file;
    const line = `line ${place.line}`;
    return `${showName(name)} (${
      isSame ? line : `${basename(place.file)}, ${line}`
    })`;
  });
  const more = sections.length - named.length;
  return [...named, ...more > 0 ? [`and ${more} more`] : []].join(", ");
}

function entriesOf(entry: YamlEntry | undefined): MapEntry["entries"] {
  return entry?.kind === "map" ? entry.entries : new Map();
}

function plain(entry: YamlEntry): unknown {
  if (entry.kind === "list") return entry.items.map(plain);
  if (entry.kind === "map") {
    return Object.fromEntries(
      [...entry.entries].map(([name, value]) => [name, plain(value)]),
    );
  }
  return entry.kind === "scalar" ? entry.value ?? null : null;
}

function found(place: FilePlace, message: string, advice: string): Difference {
  return { place: formatPlace(place), message, advice };
}
