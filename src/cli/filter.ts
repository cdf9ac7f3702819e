import type { ValueParser } from "@optique/core/valueparser";
import {
  attribute,
  compileCondition,
  Event,
  type Logger,
  type Message,
} from "../../mod.ts";
import { UsageError } from "./usage_error.ts";
import { readPair, value } from "./values.ts";

/** Tells whether a message is wanted. */
export type Filter = (message: Message) => boolean;

/**
 * A condition on messages, `PATH=VALUE`. The value may be an object of operators
 * as in conditions on events: `args.temperature={"$gt": 21}`.
 */
export function filter(): ValueParser<"sync", Filter> {
  return value({
    metavar: "PATH=VALUE",
    expected: "PATH=VALUE",
    example: "args.type=custom.Motion",
    read: (text) => {
      const pair = readPair(text);
      return pair && compileFilter(...pair);
    },
  });
}

/**
 * Makes a filter of an attribute of messages.
 *
 * @param path The attribute: names with dots between them.
 * @param expected What it has to be.
 * @throws {RegexError} A regular expression in it cannot be used.
 * @throws {UsageError} An operator is unknown, or cannot compare by its value.
 */
function compileFilter(path: string, expected: unknown): Filter {
  // A condition is about the args of an event: the attribute becomes one.
  const test = compileCondition({ value: expected }, refusing(path));
  return (message) => {
    const { target, origin, id } = message;
    const value = attribute(message, path);
    if (value === undefined) return false;
    const args = { type: "filter", value };
    return test(new Event({ args, target, origin, id }, true));
  };
}

/**
 * Makes an error of what conditions only warn of, since it is a mistake on a
 * command line.
 */
function refusing(path: string): Logger {
  return {
    debug: () => {},
    info: () => {},
    warn: (text) => {
      throw new UsageError(`${text.replaceAll("args.value", path)}`);
    },
    error: () => {},
  };
}
