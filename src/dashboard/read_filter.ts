import { warningsTo } from "../logger.ts";
import {
  attribute,
  compileCondition,
  type Condition,
  Event,
  jsonText,
  type Message,
  summarize,
} from "../message/mod.ts";
import { jsonOf } from "./passed.ts";

/** Lets the messages pass that are shown; the others stay kept. */
export type Wanted = (message: Message) => boolean;

/** One word of a filter: `room:hall`, `-type:Motion`, `"front door"`. */
const TERM = /(-?)(?:([\w.]+):)?("(?:[^"\\]|\\.)*"|\S+)/g;

/**
 * Reads what somebody has typed to filter messages: words, all of which have to
 * be found; or `name:value`, where the name is `type`, `kind`, `from`, `to`,
 * `id` or that of an argument. With `-` before it, it must not be found. A JSON
 * object is a condition on events, as `bus.on` takes it.
 *
 * @throws {Error} It cannot be read; the message is for who has typed it.
 */
export function readFilter(text: string): Wanted {
  const trimmed = text.trim();
  if (trimmed.startsWith("{")) return conditionFilter(trimmed);
  const terms = [...trimmed.matchAll(TERM)].map(
    ([, not, name, value]): Wanted => {
      const wanted = readTerm(name, unquoted(value!));
      return not ? (message) => !wanted(message) : wanted;
    },
  );
  return (message) => terms.every((wanted) => wanted(message));
}

function unquoted(value: string): string {
  return value.startsWith('"') && value.endsWith('"') && value.length > 1
    ? value.slice(1, -1).replace(/\\(.)/g, "$1")
    : value;
}

function readTerm(name: string | undefined, value: string): Wanted {
  const lower = value.toLowerCase();
  const has = (text: string): boolean => text.toLowerCase().includes(lower);
  switch (name) {
    case undefined:
      return (message) => has(jsonOf(message));
    case "type":
      return (message) =>
        has(summarize(message).subject) || message.type === lower;
    case "kind":
      return (message) => message.type === lower;
    case "from":
      return (message) => has(message.origin);
    case "to":
      return (message) => has(message.target);
    case "token":
      // Whoever could ask for its beginning would soon know all of it.
      return () => false;
    case "id":
      return (message) => has(message.id);
    default:
      return (message) =>
        [`args.${name}`, name].some((path) => {
          const found = attribute(message, path);
          if (found === undefined) return false;
          return typeof found === "string"
            ? has(found)
            : jsonText(found).toLowerCase() === lower;
        });
  }
}

function conditionFilter(text: string): Wanted {
  let condition: Condition;
  try {
    condition = JSON.parse(text);
  } catch {
    throw new Error(
      'This is no JSON yet; a condition is such as {"type": "custom.Motion", "level": {"$gt": 3}}',
    );
  }
  const refusing = warningsTo((problem) => {
    throw new Error(problem);
  });
  const test = compileCondition(condition, refusing);
  return (message) => message instanceof Event && Boolean(test(message));
}
