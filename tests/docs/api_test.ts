import assert from "node:assert/strict";
import { defaultOf } from "../../scripts/options.ts";
import { BACKEND_OPTIONS } from "../../src/backend/backend_options.ts";
import { REQUEST_OPTIONS } from "../../src/backend/message_sender.ts";
import { SEND_TO_OPTIONS } from "../../src/backend/peer_sender.ts";
import { SERVICE_OPTIONS } from "../../src/backend/service_advertiser.ts";
import { BUS_OPTIONS, WATCH_OPTIONS } from "../../src/bus/bus_options.ts";
import { ONCE_OPTIONS } from "../../src/once/once.ts";
import type { Row } from "../../src/options.ts";
import { CONNECTION_TIMEOUT } from "../../src/redis/connect_options.ts";
import { SCHEDULE_OPTIONS } from "../../src/redis/delayed.ts";
import { INBOX_OPTIONS } from "../../src/redis/inbox_options.ts";
import { REDIS_ARGUMENTS } from "../../src/redis/redis_args.ts";
import { LOOK_TIMEOUT } from "../../src/zeroconf/discover.ts";
import {
  type Docstring,
  type Entry,
  nameOf,
  publicApi,
  type Type,
} from "./public_api.ts";

type Tag = NonNullable<Docstring["tags"]>[number];

/** The tags of one kind, such as every `@param`. */
function tags({ tags = [] }: Docstring, kind: string): Tag[] {
  return tags.filter((tag) => tag.kind === kind);
}

/** What the docstring of a function, a method or a constructor lacks. */
function missingOfSignature({ doc, kind, signature }: Entry): string[] {
  if (signature === undefined || isReference(doc)) return [];
  const described = tags(doc, "param");
  const parameters = signature.params.map(nameOf)
    .filter((name) => name !== "this");
  const missing = parameters.flatMap((name, index) => {
    const tag = name === undefined
      ? described[index]
      : described.find((tag) => tag.name === name);
    return tag?.doc ? [] : [`@param ${name ?? `number ${index + 1}`}`];
  });
  for (const { name } of described.slice(parameters.length)) {
    missing.push(`a parameter ${name}, or no @param for it`);
  }
  const returns = kind !== "getter" && kind !== "constructor" &&
    !isVoid(signature.returnType);
  if (returns && !tags(doc, "return")[0]?.doc) missing.push("@returns");
  return missing;
}

function isVoid(type: Type | undefined): boolean {
  if (type?.repr !== "Promise") return type?.repr === "void";
  const { typeParams } = type.value as { typeParams: readonly Type[] };
  return isVoid(typeParams[0]);
}

/** Whether a docstring says of an alias no more than what it stands for. */
function isReference({ doc = "" }: Docstring): boolean {
  return /^(?:See )?\{@linkcode \w+\.\w+\}[.;]/.test(doc);
}

/** The names in `{@linkcode …}` and `{@link …}`. */
function links({ doc = "", tags = [] }: Docstring): string[] {
  return [doc, ...tags.map((tag) => tag.doc ?? "")].flatMap((text) =>
    [...text.matchAll(/\{@link(?:code)?\s+([\w.]+)/g)].map(([, name]) => name!)
  );
}

const entries = await publicApi();

/** Finds what a link leads to, also where that is inherited. */
function find(name: string): Entry | undefined {
  const found = entries.find((entry) => entry.name === name);
  const [owner, member] = name.split(".");
  if (found !== undefined || member === undefined) return found;
  // A class and an interface of one name are merged.
  return entries.filter((entry) => entry.name === owner)
    .flatMap(({ bases }) => bases)
    .map((base) => find(`${base}.${member}`))
    .find((entry) => entry !== undefined);
}

/** Fails with a line for each entry that lacks something. */
function assertNothingMissing(missingOf: (entry: Entry) => string[]): void {
  const lines = entries.flatMap((entry) => {
    const missing = missingOf(entry);
    return missing.length > 0 ? [`${entry.name}: ${missing.join(", ")}`] : [];
  });
  assert.deepEqual(lines, []);
}

Deno.test("Everything public has a docstring", () => {
  assertNothingMissing(({ doc }) => doc.doc?.trim() ? [] : ["a docstring"]);
  assert.ok(entries.length > 500, `only ${entries.length} are public`);
});

Deno.test("Docstrings tell of each parameter and of what is returned", () => {
  assertNothingMissing(missingOfSignature);
});

Deno.test("Docstrings say of which class an error is, and when it is thrown", () => {
  assertNothingMissing(({ doc }) =>
    tags(doc, "throws").flatMap(({ tsType, doc }) =>
      tsType && doc ? [] : ["@throws {Class} When"]
    )
  );
});

Deno.test("Every module and every exported symbol has an example, or links to one", () => {
  const hasExample = ({ doc }: Entry): boolean =>
    tags(doc, "example").length > 0;
  assertNothingMissing((entry) => {
    const isMember = entry.kind !== "module" && entry.name.includes(".");
    if (isMember || hasExample(entry)) return [];
    // A type may be only a part of what somebody uses.
    if (["class", "function"].includes(entry.kind)) return ["@example"];
    return links(entry.doc).map(find).some((to) => to && hasExample(to))
      ? []
      : ["@example, or a {@linkcode} to what has one"];
  });
});

Deno.test("Examples run as tests", () => {
  assertNothingMissing(({ doc }) =>
    tags(doc, "example").flatMap(({ doc = "" }) =>
      /^```ts$/m.test(doc) ? [] : ["an example in a block that is ```ts alone"]
    )
  );
});

Deno.test("What docstrings link to is public", () => {
  assertNothingMissing(({ doc }) =>
    links(doc).filter((name) => find(name) === undefined)
      .map((name) => `what it links to, ${name}`)
  );
});

/** Names of numbers that have a unit, and the unit. */
const UNITS: readonly (readonly [name: RegExp, unit: RegExp])[] = [
  [/timeout|pause$|grace|poll|time$|timestamp|ttl|than$/i, /\bseconds?\b/i],
  [/memory|maxSize/i, /\bbytes\b/],
];

Deno.test("Docstrings say in which unit times and sizes are", () => {
  assertNothingMissing(({ name, doc, type, signature }) => {
    if (isReference(doc)) return [];
    const parameters = (signature?.params ?? []).map(nameOf)
      .filter((name) => name !== undefined);
    const numbers = parameters.map((name): [string, string] => [
      name,
      tags(doc, "param").find((tag) => tag.name === name)?.doc ?? "",
    ]);
    if (type !== undefined && JSON.stringify(type).includes('"number"')) {
      numbers.push([name.split(".")[1]!, doc.doc ?? ""]);
    }
    return numbers.flatMap(([name, text]) => {
      const [, unit] = UNITS.find(([measure]) => measure.test(name)) ?? [];
      return unit === undefined || unit.test(text)
        ? []
        : [`the unit of ${name}`];
    });
  });
});

/** The options of an interface, and the rows in which their defaults are. */
const ROWS: readonly [string, Readonly<Record<string, Row>>][] = [
  ["BackendOptions", BACKEND_OPTIONS],
  ["RedisBackendOptions", BACKEND_OPTIONS],
  ["SendRequestOptions", REQUEST_OPTIONS],
  ["RegisterServiceOptions", SERVICE_OPTIONS],
  ["SendToOptions", SEND_TO_OPTIONS],
  ["BusOptions", BUS_OPTIONS],
  ["WatchOptions", WATCH_OPTIONS],
  ["DeliveryOptions", INBOX_OPTIONS],
  ["InboxOptions", INBOX_OPTIONS],
  ["ScheduleOptions", SCHEDULE_OPTIONS],
  ["RedisArgs", REDIS_ARGUMENTS],
  ["OnceOptions", ONCE_OPTIONS],
  ["DiscoverOptions", { timeout: LOOK_TIMEOUT }],
  ["OutboxOptions", { connectionTimeout: CONNECTION_TIMEOUT }],
  ["DeadLettersOptions", { connectionTimeout: CONNECTION_TIMEOUT }],
];

Deno.test("A docstring says the default that the option's row has", () => {
  const wrong = ROWS.flatMap(([owner, rows]) =>
    Object.entries(rows).flatMap(([option, row]) => {
      const { doc } = find(`${owner}.${option}`)?.doc ?? {};
      if (doc === undefined || row.default === undefined) return [];
      const said = doc.replace(/\s+/g, " ").replaceAll(/[`"]/g, "");
      const byDefault = defaultOf(row).replaceAll("`", "");
      const isSaid = [`Default: ${byDefault}`, `${byDefault} by default`]
        .some((text) => said.includes(text));
      return isSaid ? [] : [`${owner}.${option}: ${byDefault}`];
    })
  );
  assert.deepEqual(wrong, []);
});
