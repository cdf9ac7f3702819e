import { isRecord, jsonValue, kindOf } from "./json_value.ts";
import { defineKind, type WireMessage } from "./message_kinds.ts";
import {
  asSent,
  Message,
  type MessageFields,
  textOfNumber,
} from "./message.ts";
import { MessageError } from "./message_error.ts";

/** The fields that a {@linkcode Request} is made with. */
export interface RequestFields extends MessageFields {
  /** The name of what is to be done, such as `light.hue.on`. */
  action: string;
  /** The action's arguments: by their names, or as a list. None by default. */
  args?: object;
  /** The secret that the receiving device may ask for. */
  token?: string | null;
}

/**
 * Something is to be done by the target, which answers with a
 * {@linkcode Response}.
 *
 * @example
 * ```ts
 * import { Request } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const request = new Request({
 *   target: "livingroom",
 *   action: "light.hue.on",
 *   args: { groups: ["Kitchen"] },
 * });
 * assert.equal(request.token, null);
 * ```
 */
export class Request extends Message {
  /** The kind of message. */
  declare readonly type: "request";
  /** The name of what is to be done. */
  declare action: string;
  /** The action's arguments by their names; empty where they are a list. */
  declare args: Record<string, unknown>;
  /** The action's arguments where they came as a list; otherwise empty. */
  declare positional: unknown[];
  /** The secret that the receiving device may ask for. */
  declare token: string | null;
  readonly #sentToken: unknown;

  /**
   * Makes a request; what is missing is filled in.
   *
   * @param fields What it is made with; only `action` is needed.
   * @param checked Whether `fields` is known to hold only JSON values, as what
   * `JSON.parse` returns does; it is then taken without another look.
   * @throws {MessageError} If a value has the wrong type.
   * @throws {Deno.errors.NotCapable} If a device's id is missing, and the host's
   * name may not be read (`--allow-sys=hostname`).
   */
  constructor(fields: RequestFields, checked = false) {
    super("request", fields);
    const { action, token = null } = fields;
    const args = (checked ? fields.args : jsonValue(fields.args, 1)) ?? {};
    if (typeof action !== "string" || action === "") {
      throw new MessageError(
        `The request's "action" is ${
          kindOf(action)
        }, expected the name of an action`,
      );
    }
    if (!isRecord(args) && !Array.isArray(args)) {
      throw new MessageError(
        `The request's "args" is ${kindOf(args)}, expected an object or a list`,
      );
    }
    const text = textOfNumber(token) ?? token;
    if (typeof text !== "string" && text !== null) {
      throw new MessageError(
        `The request's "token" is ${kindOf(token)}, expected a string or null`,
      );
    }
    this.action = action;
    this.args = isRecord(args) ? args : {};
    this.positional = Array.isArray(args) ? args : [];
    this.token = text;
    this.#sentToken = token;
  }

  /**
   * Gives what a request has on the wire besides the common fields.
   *
   * @returns Its `action`, `args` and `token`.
   */
  protected override content(): WireMessage {
    const { action, args, positional, token } = this;
    return {
      action,
      args: positional.length > 0 ? positional : args,
      token: asSent(this.#sentToken, token),
    };
  }
}

/** Shows for `console.log` what a request has, without its token. */
function inspectRequest(
  this: Request,
  inspect: (value: unknown, options: unknown) => string,
  options: unknown,
): string {
  const token = this.token === null ? null : "***";
  return `${this.constructor.name} ${inspect({ ...this, token }, options)}`;
}

// As a method it would need a name that every compiler can tell.
Object.defineProperty(
  Request.prototype,
  Symbol.for("Deno.customInspect"),
  { value: inspectRequest },
);

defineKind<Request>({
  wireName: "request",
  class: Request,
  label: "request",
  attributes: ["action", "args", "positional", "token"],
  subjectName: "action",
  build: (fields, wire) =>
    new Request({
      ...fields,
      action: wire["action"],
      args: wire["args"],
      token: wire["token"],
    } as RequestFields, true),
  summarize: ({ action, args, positional }) => ({
    subject: action,
    details: positional.length > 0 ? positional : args,
    failed: false,
  }),
});
