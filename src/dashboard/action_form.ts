import { html, raw } from "hono/html";
import { isRecord } from "../message/json_value.ts";
import type { ActionParameter } from "./ask_for_actions.ts";
import type { Html } from "./page.ts";

/** The name of the field for arguments that an action does not name. */
const ANYTHING = "args";

/** Says how a type is asked for, and reads what was typed. */
interface FieldType {
  /** The words beside the name. */
  readonly label: string;
  /** True for what takes more than one line. */
  readonly isLong?: boolean;
  /** The keyboard that a phone shows. */
  readonly keyboard?: "decimal";
  /** Gives the value; throws what is wrong with it. */
  read(text: string): unknown;
}

const FIELD_TYPES: Readonly<Record<ActionParameter["type"], FieldType>> = {
  "text": { label: "text", read: (text) => text },
  "number": {
    label: "number",
    keyboard: "decimal",
    read: (text) => numberOf(text, Number.isFinite, "a number, such as 1.5"),
  },
  "whole number": {
    label: "whole number",
    keyboard: "decimal",
    read: (text) =>
      numberOf(text, Number.isSafeInteger, "a whole number, such as 3"),
  },
  "yes or no": { label: "yes or no", read: (text) => JSON.parse(text) },
  "one of these": { label: "one of these", read: (text) => JSON.parse(text) },
  "list": {
    label: "list, as JSON",
    isLong: true,
    read: (text) =>
      readJson(text, Array.isArray, 'a list in JSON, such as ["a", 2]'),
  },
  "object": {
    label: "object, as JSON",
    isLong: true,
    read: (text) =>
      readJson(text, isRecord, 'an object in JSON, such as {"a": 2}'),
  },
  "anything": {
    label: "JSON, or a text",
    isLong: true,
    read: (text) => {
      try {
        return JSON.parse(text);
      } catch {
        return text;
      }
    },
  },
};

/** The fields for what an action takes. */
export function fieldsOf(
  action: string,
  parameters: readonly ActionParameter[],
  takesMore: boolean,
): Html {
  return html`${parameters.map((each) => fieldOf(action, each))}${
    takesMore ? anythingField(action, "{}") : ""
  }`;
}

/** The field for arguments that an action does not name. */
export function anythingField(action: string, value: string): Html {
  const id = idOf(action, ANYTHING);
  return html`
    <div
      class="field"><label for="${id}">Arguments, as JSON</label><textarea id="${id}" name="${ANYTHING}" class="mono" rows="3" spellcheck="false" aria-describedby="${id}-problem">${value}</textarea>${problemAt(
        id,
      )}</div>
  `;
}

function fieldOf(action: string, parameter: ActionParameter): Html {
  const { name, type, description, isRequired } = parameter;
  const id = idOf(action, name);
  const attributes =
    html`id="${id}" name="${type}:${name}" aria-describedby="${id}-problem"${
      isRequired ? raw(" required") : ""
    }`;
  const { label } = FIELD_TYPES[type];
  return html`
    <div
      class="field"><label for="${id}"><span><span class="mono">${name}</span> <span class="quiet">${label}${isRequired
        ? ""
        : ", optional"}</span></span></label>${inputOf(
          parameter,
          attributes,
        )}${problemAt(id)}${description
        ? html`<p class="quiet">${description}</p>`
        : ""}</div>
  `;
}

function inputOf(
  { type, isRequired, choices, byDefault }: ActionParameter,
  attributes: Html,
): Html {
  const options = type === "yes or no" ? ["true", "false"] : choices;
  const none = byDefault
    ? `${wordOf(byDefault)}, by default`
    : isRequired
    ? "Choose…"
    : "Not given";
  const { isLong, keyboard } = FIELD_TYPES[type];
  if (options.length > 0) {
    return html`<select ${attributes}><option value="">${none}</option>${
      options.map((each) =>
        html`<option value="${each}">${wordOf(each)}</option>`
      )
    }</select>`;
  }
  const placeholder = type === "text" && byDefault
    ? wordOf(byDefault)
    : byDefault;
  return isLong
    ? html`
      <textarea ${attributes} class="mono" rows="2" spellcheck="false"
        placeholder="${placeholder}"></textarea>
    `
    : html`
      <input ${attributes} placeholder="${placeholder}" autocomplete="off" ${keyboard
        ? html`
          inputmode="${keyboard}"
        `
        : ""}>
    `;
}

/** The place beside a field that says what is wrong with it. */
function problemAt(id: string): Html {
  return html`<p id="${id}-problem" class="problem" role="alert" hidden></p>`;
}

function idOf(action: string, name: string): string {
  return `${action}:${name}`.replace(
    /[^\w-]/g,
    (character) => `_${character.codePointAt(0)}_`,
  );
}

/** A choice as people read it: a text without its quotes. */
function wordOf(json: string): string {
  const value: unknown = JSON.parse(json);
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "string" ? value : json;
}

/** Holds what is wrong with what was typed, by the names of the fields. */
type FormProblems = Readonly<Record<string, string>>;

/** Reads the arguments of an action from its form. */
export function readArgs(
  form: FormData,
): { readonly args: Record<string, unknown>; readonly problems: FormProblems } {
  const args: Record<string, unknown> = Object.create(null);
  const problems: Record<string, string> = Object.create(null);
  for (const [name, value] of form) {
    const text = String(value);
    try {
      if (name === ANYTHING) {
        if (text.trim() !== "") {
          Object.assign(args, FIELD_TYPES.object.read(text));
        }
        continue;
      }
      const field = partsOf(name);
      if (field === undefined || text === "") continue;
      args[field.argument] = FIELD_TYPES[field.type].read(text);
    } catch (error) {
      problems[name] = (error as Error).message;
    }
  }
  return { args: { ...args }, problems };
}

/** Finds the fields that a device's answer complains about; the rest is for the whole form. */
export function problemsIn(
  form: FormData,
  errors: readonly unknown[],
): { readonly problems: FormProblems; readonly others: readonly unknown[] } {
  const names = [...form.keys()];
  const problems: Record<string, string> = Object.create(null);
  const others = errors.filter((error) => {
    const text = String(error);
    const name = names.find((name) => {
      const argument = partsOf(name)?.argument;
      return name === ANYTHING
        ? /^args[.:]/.test(text)
        : argument !== undefined &&
          (text.startsWith(`args.${argument}:`) ||
            text.startsWith(`args.${argument}.`));
    });
    if (name === undefined) return true;
    problems[name] = [problems[name], text].filter(Boolean).join("; ");
    return false;
  });
  return { problems, others };
}

/** Reads the name of a field: what it holds, and for which argument. */
function partsOf(
  name: string,
):
  | { readonly type: ActionParameter["type"]; readonly argument: string }
  | undefined {
  const colon = name.indexOf(":");
  const type = name.slice(0, colon);
  return Object.hasOwn(FIELD_TYPES, type)
    ? {
      type: type as ActionParameter["type"],
      argument: name.slice(colon + 1),
    }
    : undefined;
}

function numberOf(
  text: string,
  accepts: (number: number) => boolean,
  expected: string,
): number {
  const number = text.trim() === "" ? NaN : Number(text);
  if (accepts(number)) return number;
  throw new TypeError(`${JSON.stringify(text)} is not ${expected}`);
}

function readJson(
  text: string,
  accepts: (value: unknown) => boolean,
  expected: string,
): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(
      `This is not ${expected}: ${(error as Error).message}`,
    );
  }
  if (accepts(value)) return value;
  throw new TypeError(`This is not ${expected}`);
}
