import { actionsIn } from "../backend/inspection.ts";
import type { RedisBackend } from "../backend/mod.ts";
import { asRecord } from "../message/json_value.ts";

/** A parameter of an action, as the device describes it. */
export interface ActionParameter {
  readonly name: string;
  readonly type:
    | "text"
    | "number"
    | "whole number"
    | "yes or no"
    | "one of these"
    | "list"
    | "object"
    | "anything";
  readonly description: string;
  readonly isRequired: boolean;
  /** The only values that it may have, as JSON; empty where there are others. */
  readonly choices: readonly string[];
  /** The value where it is not given, as JSON; empty without one. */
  readonly byDefault: string;
}

/** Something that a device can do. */
export interface ActionDescription {
  readonly name: string;
  readonly description: string;
  readonly parameters: readonly ActionParameter[];
  /** True if it takes arguments that it does not name. */
  readonly takesMore: boolean;
}

/** The request to which Platypush, and this module, answer with what they can do. */
const ACTION = "inspect.get_all_plugins";
/** The time that the answer may take, in seconds. */
const TIMEOUT = 2;

/**
 * Asks a device what it can do.
 *
 * @throws {Error} It does not answer, or not with that.
 */
export async function askForActions(
  backend: RedisBackend,
  target: string,
): Promise<ActionDescription[]> {
  const { output, errors } = await backend.sendRequest(
    { target, action: ACTION },
    { responseTimeout: TIMEOUT },
  );
  if (errors.length > 0) throw new Error(String(errors[0]));
  const plugins = typeof output === "string" ? JSON.parse(output) : output;
  return actionsIn(plugins)
    .map(({ name, about }) => readAction(name, about))
    .toSorted((a, b) =>
      // What every device has comes last.
      Number(isInspect(a)) - Number(isInspect(b)) || (a.name < b.name ? -1 : 1)
    );
}

function isInspect({ name }: ActionDescription): boolean {
  return name.startsWith("inspect.");
}

function readAction(
  name: string,
  { doc, args, schema, has_kwargs: takesMore }: Record<string, unknown>,
): ActionDescription {
  const properties = asRecord(asRecord(schema)["properties"]);
  const parameters = Object.entries(asRecord(args)).map(([name, argument]) =>
    readParameter(name, asRecord(argument), asRecord(properties[name]))
  );
  return {
    name,
    description: textOf(doc),
    parameters,
    takesMore: parameters.length === 0 && takesMore === true,
  };
}

/** Translates what Python calls the types to the words of forms. */
const TYPES: Readonly<Record<string, ActionParameter["type"]>> = {
  str: "text",
  int: "whole number",
  float: "number",
  bool: "yes or no",
  list: "list",
  dict: "object",
};

function readParameter(
  name: string,
  { type, doc, required, default: byDefault }: Record<string, unknown>,
  { enum: values }: Record<string, unknown>,
): ActionParameter {
  const python = textOf(type).replace(/^Optional\[(.*)\]$/, "$1")
    .replace(/ \| None$/, "");
  const choices = Array.isArray(values)
    ? values.map((each) => JSON.stringify(each))
    : [];
  return {
    name,
    type: choices.length > 0 ? "one of these" : TYPES[python] ?? "anything",
    description: textOf(doc),
    isRequired: required === true,
    choices,
    byDefault: (byDefault ?? null) === null ? "" : JSON.stringify(byDefault),
  };
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value.trim() : "";
}
