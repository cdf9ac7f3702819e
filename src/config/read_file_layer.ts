import { BACKEND_OPTIONS, TOP_OPTIONS } from "../backend/backend_options.ts";
import { FLAG } from "../kinds.ts";
import type { Logger } from "../logger.ts";
import { nearest, spellingDistance } from "../nearest.ts";
import {
  hidden,
  nameInFile,
  problemWith,
  readAs,
  type Row,
} from "../options.ts";
import { REDIS_ARGUMENTS } from "../redis/redis_args.ts";
import { ConfigError } from "./config_error.ts";
import {
  type FilePlace,
  formatPlace,
  isBlank,
  type MapEntry,
  showName,
  type YamlEntry,
} from "./parse_yaml.ts";
import type { Environment } from "./find_config_file.ts";
import type { Given, Layer } from "./layers.ts";
import { asMap, readSections, type Sections } from "./read_sections.ts";

type FileValues = Record<string, Given>;
type Table = Readonly<Record<string, Row>>;

const BACKEND = "backend.redis";
/** The names that stand at the top of a file. */
const TOP: Table = Object.fromEntries(
  TOP_OPTIONS.map((name) => [name, BACKEND_OPTIONS[name]]),
);
/** The names that stand under `backend.redis`, beside `redis_args`. */
const NESTED: Table = Object.fromEntries(
  Object.entries<Row>(BACKEND_OPTIONS).filter(([name, { isCodeOnly }]) =>
    !isCodeOnly && !Object.hasOwn(TOP, name) && name !== "redisArgs"
  ),
);
const TOP_NAMES = Object.keys(TOP).map(nameInFile);
const NESTED_NAMES = [...Object.keys(NESTED).map(nameInFile), "redis_args"];
const ALL_NAMES = [
  ...TOP_NAMES,
  ...NESTED_NAMES,
  ...Object.keys(REDIS_ARGUMENTS),
];
const TOP_PROTECTIONS = protectionsOf(TOP);
/** The names without which a home is open. */
const PROTECTIONS = [
  ...TOP_PROTECTIONS,
  ...protectionsOf(NESTED),
  ...protectionsOf(REDIS_ARGUMENTS),
];
/**
 * The names that Platypush allows in every section of a backend, with no
 * meaning here.
 */
const PLATYPUSH_OWN = ["disabled", "enabled", "logging", "bus"];
const OURS = [...TOP_NAMES, BACKEND, "redis"];
const WANTED = [...OURS, "environment", "backend"];

/**
 * Reads what a configuration file says about the backend.
 *
 * @param environment Where `${...}` is looked up.
 * @param logger Told of names that are not known.
 * @throws {ConfigError} If it cannot be read, or a value makes no sense.
 */
export async function readFileLayer(
  path: string,
  environment: Environment,
  logger: Logger,
): Promise<Layer> {
  const sections = await readSections(path, {
    isWanted: (name) => WANTED.includes(name),
    warn: (text) => logger.warn(text),
  });
  return new FileReader(sections, environment, logger).read();
}

class FileReader {
  readonly #sections: Sections;
  readonly #environment: Environment;
  readonly #logger: Logger;

  constructor(sections: Sections, environment: Environment, logger: Logger) {
    this.#sections = sections;
    this.#logger = logger;
    const own = this.#ownEnvironment();
    this.#environment = (name) => own.get(name) ?? environment(name);
  }

  read(): Layer {
    this.#warnOfNearMisses();
    const backend = this.#section(BACKEND);
    this.#warnOfUnknown(BACKEND, backend, NESTED_NAMES);
    return {
      options: {
        ...this.#options(this.#sections, TOP),
        ...this.#options(backend?.entries, NESTED, `${BACKEND}.`),
      },
      redisArgs: this.#redisArgs(backend),
    };
  }

  #options(
    entries: Sections | undefined,
    rows: Table,
    prefix = "",
  ): FileValues {
    const values: FileValues = {};
    for (const [option, row] of Object.entries(rows)) {
      const name = nameInFile(option);
      const entry = entries?.get(name);
      if (entry === undefined) continue;
      const value = isBlank(entry)
        ? undefined
        : this.#value(prefix + name, entry, row);
      if (value !== undefined) values[option] = value;
      else if (row.isProtection) refuseEmpty(name, entry, row);
    }
    return values;
  }

  /** `redis` counts where `redis_args` says nothing, as in Platypush. */
  #redisArgs(backend: MapEntry | undefined): FileValues {
    const own = backend?.entries.get("redis_args");
    if (own !== undefined && !isBlank(own)) {
      const name = `${BACKEND}.redis_args`;
      const values = this.#arguments(name, asMap(own, `\`${name}\``));
      if (Object.keys(values).length > 0) return values;
    }
    return this.#arguments("redis", this.#section("redis"));
  }

  #arguments(name: string, map: MapEntry | undefined): FileValues {
    const rows: Table = REDIS_ARGUMENTS;
    this.#warnOfUnknown(name, map, Object.keys(rows));
    const values: FileValues = {};
    for (const [argument, entry] of map?.entries ?? []) {
      if (!Object.hasOwn(rows, argument) || isBlank(entry)) continue;
      const row = rows[argument]!;
      const value = this.#value(`${name}.${argument}`, entry, row);
      if (value !== undefined) values[argument] = value;
      else if (row.isProtection) refuseEmpty(argument, entry, row);
    }
    return values;
  }

  /** A section, unless it is empty or switched off. */
  #section(name: string): MapEntry | undefined {
    const entry = this.#sections.get(name);
    if (entry === undefined || isBlank(entry)) return undefined;
    const map = asMap(entry, `\`${name}\``);
    const disabled = map.entries.get("disabled");
    const enabled = map.entries.get("enabled");
    const isOff = (disabled?.kind === "scalar" && disabled.value) ||
      (enabled?.kind === "scalar" && enabled.value === false);
    return isOff ? undefined : map;
  }

  #value(name: string, entry: YamlEntry, row: Row): Given | undefined {
    const origin = formatPlace(entry.place);
    const plain = this.#plain(entry);
    // As an empty variable is an unset one.
    if (plain === "") return undefined;
    const value = readAs(row, plain) ?? readAs(row, this.#plain(entry, true));
    if (value !== undefined) return { value, source: "file", origin };
    const { text } = problemWith(name, plain, { ...row, ...hidden(row) })!;
    const hint = needsQuotes(plain, row) ? "; put it in quotes" : "";
    throw new ConfigError(`${origin}: ${text}${hint}`);
  }

  /** @param asText Numbers count as the texts that Python makes of them. */
  #plain(entry: YamlEntry, asText = false): unknown {
    if (entry.kind === "list") {
      return entry.items.map((item) => this.#plain(item, asText));
    }
    if (entry.kind === "map") {
      return Object.fromEntries(
        [...entry.entries].map((
          [name, value],
        ) => [name, this.#plain(value, asText)]),
      );
    }
    if (entry.kind !== "scalar") return undefined;
    const { value, text, place } = entry;
    if (asText && text !== undefined) return text;
    return typeof value === "string"
      ? interpolate(value, this.#environment, place)
      : value;
  }

  /** The section `environment`, whose variables Platypush sets for itself. */
  #ownEnvironment(): Map<string, string> {
    const map = this.#section("environment");
    const variables = [...map?.entries ?? []].flatMap(([name, entry]) =>
      entry.kind === "scalar" && !isBlank(entry)
        ? [[name, entry.text ?? String(entry.value)] as const]
        : []
    );
    return new Map(variables);
  }

  #warnOfUnknown(
    section: string,
    map: MapEntry | undefined,
    known: readonly string[],
  ): void {
    for (const [name, entry] of map?.entries ?? []) {
      if (known.includes(name) || PLATYPUSH_OWN.includes(name)) continue;
      refuseUnprotected(name, entry, PROTECTIONS, section, known);
      const meant = nearest(name, [...known, ...ALL_NAMES]);
      const hint = name === meant
        ? `it belongs ${homeOf(name)}`
        : `the nearest one is \`${meant}\`${
          known.includes(meant) ? "" : `, which belongs ${homeOf(meant)}`
        }`;
      this.#warn(
        entry.place,
        `${
          showName(name, entry)
        } is not known in \`${section}\`, and passed over; ${hint}`,
      );
    }
  }

  /** Platypush has hundreds of sections; only what looks like ours is odd. */
  #warnOfNearMisses(): void {
    for (const [name, entry] of this.#sections) {
      const ours = nearest(name, OURS);
      const limit = ours.length > 5 ? 2 : 1;
      if (!TOP_NAMES.includes(name)) {
        refuseUnprotected(name, entry, TOP_PROTECTIONS);
      }
      if (!WANTED.includes(name) && spellingDistance(name, ours) <= limit) {
        this.#warn(
          entry.place,
          `${showName(name)} is passed over; did you mean \`${ours}\`?`,
        );
      }
      if (NESTED_NAMES.includes(name)) {
        this.#warn(
          entry.place,
          `\`${name}\` is passed over; it belongs ${homeOf(name)}`,
        );
      }
      const isNested = name === "backend" && entry.kind === "map" &&
        entry.entries.has("redis");
      if (isNested) {
        this.#warn(
          entry.place,
          `\`redis\` under \`backend\` is passed over, as by Platypush; write \`${BACKEND}\`, in one word`,
        );
      }
    }
  }

  #warn(place: FilePlace, problem: string): void {
    this.#logger.warn(`${formatPlace(place)}: ${problem}`);
  }
}

/** Lists the names that protect, as a file has them. */
function protectionsOf(rows: Table): string[] {
  return Object.keys(rows).filter((name) => rows[name]!.isProtection)
    .map(nameInFile);
}

/** Refuses a protection that is there without a value, as from an empty variable. */
function refuseEmpty(name: string, { place }: YamlEntry, row: Row): never {
  throw new ConfigError(
    `${
      formatPlace(place)
    }: \`${name}\` is empty, expected ${row.expected}; leave it out to do without`,
  );
}

/**
 * Refuses what is meant as a protection, and would be passed over: requests would
 * be executed for everybody, or be sent without TLS, and nobody would know.
 */
function refuseUnprotected(
  name: string,
  { place }: YamlEntry,
  protections: readonly string[],
  section?: string,
  known: readonly string[] = [],
): void {
  const word = name.toLowerCase().replace("tls", "ssl");
  const meant = protections.find((each) => spellingDistance(word, each) <= 1);
  if (meant === undefined) return;
  const where = section === undefined ? "" : ` in \`${section}\``;
  const home = known.includes(meant) ? "" : `, ${homeOf(meant)}`;
  throw new ConfigError(
    `${
      formatPlace(place)
    }: \`${name}\`${where} would protect nothing; write \`${meant}\`${home}`,
  );
}

/** Says where one of our names has its place in a file. */
function homeOf(name: string): string {
  if (TOP_NAMES.includes(name)) return "at the top of the file";
  if (NESTED_NAMES.includes(name)) return `in \`${BACKEND}\``;
  return "in `redis_args`";
}

/** Tells whether a value would be right in quotes, as a text of digits or `yes`. */
function needsQuotes(value: unknown, row: Row): boolean {
  const isBare = typeof value === "number" || FLAG.accepts(value) ||
    value instanceof Date;
  return isBare && row.accepts("text");
}

const PATTERN = /\$(\$?)\{([A-Za-z_]\w*)(?:\}|:-([^{}]*)([{}]))/g;

/**
 * Replaces `${NAME}` and `${NAME:-default}` by environment variables; `$${NAME}`
 * stands for `${NAME}` itself.
 *
 * @param text The text from the file.
 * @param environment Where variables are looked up.
 * @throws {ConfigError} If a variable is not set and has no default, or one in
 * which there is another variable.
 */
function interpolate(
  text: string,
  environment: Environment,
  place: FilePlace,
): string {
  return text.replace(
    PATTERN,
    (whole, escape: string, name: string, byDefault?: string, end?: string) => {
      if (escape !== "") return whole.slice(1);
      if (end === "{") {
        throw new ConfigError(
          `${
            formatPlace(place)
          }: the default of \${${name}} has a brace in it, expected a text without; it cannot be another variable`,
        );
      }
      const value = environment(name) ?? byDefault;
      if (value !== undefined) return value;
      throw new ConfigError(
        `${
          formatPlace(place)
        }: the environment variable ${name} is not set, or may not be read ` +
          `without --allow-env=${name}; set it, or write \${${name}:-default}. ` +
          "Where the text itself is meant, a second $ in front says so",
      );
    },
  );
}
