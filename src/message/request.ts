import { isRecord, jsonValue, kindOf } from "./json_value.ts";
import { defineKind, orDevice, type WireMessage } from "./kinds.ts";
import { Message, type MessageInit } from "./message.ts";
import { MessageError } from "./message_error.ts";

/** The parts of which a {@linkcode Request} is made. */
export interface RequestInit extends MessageInit {
  /** The name of what is to be done, such as `light.hue.on`. */
  action: string;
  /** The action's arguments. None by default. */
  args?: Record<string, unknown>;
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
  /** The action's arguments. */
  declare args: Record<string, unknown>;
  /** The secret that the receiving device may ask for. */
  declare token: string | null;

  /**
   * Makes a request; what is missing is filled in.
   *
   * @param init What it is made with; only `action` is needed.
   * @param checked Whether `init` is known to hold only JSON values, as what
   * `JSON.parse` returns does; it is then taken without another look.
   * @throws {MessageError} If a value has the wrong type.
   * @throws {Deno.errors.NotCapable} If a device's id is missing, and the host's
   * name may not be read (`--allow-sys=hostname`).
   */
  constructor(init: RequestInit, checked = false) {
    super("request", init);
    const { action, token = null } = init;
    const args = (checked ? init.args : jsonValue(init.args, 1)) ?? {};
    if (typeof action !== "string" || action === "") {
      throw new MessageError(
        `The request's "action" is ${
          kindOf(action)
        }, expected the name of an action`,
      );
    }
    if (!isRecord(args)) {
      throw new MessageError(
        `The request's "args" is ${kindOf(args)}, expected an object`,
      );
    }
    if (typeof token !== "string" && token !== null) {
      throw new MessageError(
        `The request's "token" is ${kindOf(token)}, expected a string or null`,
      );
    }
    this.action = action;
    this.args = args;
    this.token = token;
  }

  /**
   * Gives what a request has on the wire besides the common fields.
   *
   * @returns Its `action`, `args` and `token`.
   */
  protected override content(): WireMessage {
    return { action: this.action, args: this.args, token: this.token };
  }
}

defineKind<Request>({
  wireName: "request",
  class: Request,
  label: "request",
  subjectName: "action",
  build: (wire, deviceId) =>
    new Request({
      target: orDevice(wire.target, deviceId),
      origin: orDevice(wire.origin, deviceId),
      id: wire.id,
      timestamp: wire._timestamp,
      action: wire.action,
      args: wire.args,
      token: wire.token,
      extra: wire,
    } as RequestInit, true),
  summarize: ({ action, args }) => ({
    subject: action,
    details: args,
    failed: false,
  }),
});
