import type { Action, JsonSchema } from "../bus/action_table.ts";
import { asRecord, isRecord } from "../message/json_value.ts";

/** An argument of an action, as Platypush's `inspect` tells it. */
interface ArgumentInfo {
  readonly name: string;
  readonly required: boolean;
  /** The description in the schema, if there is one. */
  readonly doc: string | null;
  /** Its type, in Python's words. */
  readonly type: string | null;
  readonly default: unknown;
}

/** An action, as Platypush's `inspect` tells it, and its schemas besides. */
interface ActionInfo {
  readonly name: string;
  /** The action's `description`, if it has one. */
  readonly doc: string | null;
  readonly args: Readonly<Record<string, ArgumentInfo>>;
  /** Takes a list of arguments, too. */
  readonly has_varargs: boolean;
  /** Takes other arguments, too. */
  readonly has_kwargs: boolean;
  readonly returns: { readonly doc: null; readonly type: string | null };
  /** The JSON Schema of the arguments. Platypush has none. */
  readonly schema?: JsonSchema;
  /** The JSON Schema of the output. Platypush has none. */
  readonly output?: JsonSchema;
}

/** Actions with the same name before the last dot, as Platypush's plugins. */
interface PluginInfo {
  readonly name: string;
  readonly doc: null;
  readonly args: Readonly<Record<string, never>>;
  readonly actions: Record<string, ActionInfo>;
  readonly events: Readonly<Record<string, never>>;
}

/**
 * Makes the actions of Platypush's plugin `inspect` that tell what a device can
 * do: `inspect.get_all_plugins` describes its actions, in the form that Platypush
 * has for that, and `inspect.get_enabled_plugins` has the names before the dot.
 *
 * @param list Gives the actions of the device with their names.
 */
export function inspection(
  timeout: number,
  list: () => Promise<readonly [name: string, action: Action][]>,
): ReadonlyMap<string, Action> {
  const plugins = async (): Promise<Record<string, PluginInfo>> =>
    pluginsOf(await list());
  return new Map([
    ["inspect.get_all_plugins", {
      execute: plugins,
      timeout,
      description: "Describes the actions of this device",
    }],
    ["inspect.get_enabled_plugins", {
      execute: async () => Object.keys(await plugins()),
      timeout,
      description: "Gives what the names of this device's actions begin with",
    }],
  ]);
}

/** An action as a device describes it. */
interface DescribedAction {
  /** The part of its name before the last dot. */
  readonly plugin: string;
  /** Its whole name. */
  readonly name: string;
  /** Everything else that is told of it. */
  readonly about: Readonly<Record<string, unknown>>;
}

/** Lists the actions in what {@linkcode inspection}, or a Platypush, answers. */
export function actionsIn(plugins: unknown): DescribedAction[] {
  return Object.entries(asRecord(plugins)).flatMap(([plugin, described]) =>
    Object.entries(asRecord(asRecord(described)["actions"])).map((
      [name, about],
    ) => ({
      plugin,
      name: plugin === "" ? name : `${plugin}.${name}`,
      about: asRecord(about),
    }))
  );
}

function pluginsOf(
  actions: readonly [name: string, action: Action][],
): Record<string, PluginInfo> {
  const plugins: Record<string, PluginInfo> = {};
  for (const [fullName, action] of actions) {
    const dot = fullName.lastIndexOf(".");
    const plugin = fullName.slice(0, Math.max(dot, 0));
    const name = fullName.slice(dot + 1);
    plugins[plugin] ??= {
      name: plugin,
      doc: null,
      args: {},
      actions: {},
      events: {},
    };
    plugins[plugin].actions[name] = describeAction(name, action);
  }
  return plugins;
}

function describeAction(
  name: string,
  { description, argsSchema, outputSchema }: Action,
): ActionInfo {
  const given = argsSchema?.();
  const returned = outputSchema?.();
  const isObject = given?.["type"] === "object";
  return {
    name,
    doc: description ?? null,
    args: isObject ? argumentsOf(given) : {},
    has_varargs: given === undefined || given["type"] === "array",
    has_kwargs: !isObject || Boolean(given["additionalProperties"]),
    returns: { doc: null, type: returned ? typeOf(returned) : null },
    ...(given && { schema: given }),
    ...(returned && { output: returned }),
  };
}

function argumentsOf(schema: JsonSchema): Record<string, ArgumentInfo> {
  const { properties, required } = schema;
  const names = Array.isArray(required) ? required : [];
  const args: Record<string, ArgumentInfo> = {};
  for (const [name, property] of entriesOf(properties)) {
    args[name] = {
      name,
      required: names.includes(name),
      doc: typeof property["description"] === "string"
        ? property["description"]
        : null,
      type: typeOf(property),
      default: property["default"] ?? null,
    };
  }
  return args;
}

function entriesOf(properties: unknown): [string, JsonSchema][] {
  return Object.entries(asRecord(properties))
    .filter((entry): entry is [string, Record<string, unknown>] =>
      isRecord(entry[1])
    );
}

const TYPES: ReadonlyMap<unknown, string> = new Map([
  ["string", "str"],
  ["number", "float"],
  ["integer", "int"],
  ["boolean", "bool"],
  ["array", "list"],
  ["object", "dict"],
  ["null", "None"],
]);

/** Names the type of a JSON Schema as Python does. */
function typeOf(schema: JsonSchema): string | null {
  const { type, anyOf, oneOf, enum: values } = schema;
  if (Array.isArray(values)) {
    return `Literal[${values.map((each) => JSON.stringify(each)).join(", ")}]`;
  }
  if ("const" in schema) return `Literal[${JSON.stringify(schema["const"])}]`;
  const parts = anyOf ?? oneOf;
  const names = Array.isArray(parts)
    ? parts.map((part) => isRecord(part) ? typeOf(part) : null)
    : [type].flat().map((name) => TYPES.get(name) ?? null);
  return names.includes(null) ? null : [...new Set(names)].join(" | ");
}
