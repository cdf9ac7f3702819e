import { isRecord, jsonValue, kindOf } from "./json_value.ts";
import { defineKind, type WireMessage } from "./message_kinds.ts";
import { Message, type MessageFields } from "./message.ts";
import { MessageError } from "./message_error.ts";
import { parseText } from "./parse_text.ts";

/**
 * The fields that a {@linkcode Response} is made with.
 *
 * @example
 * ```ts
 * import { Request, Response } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const request = new Request({ origin: "deno-host", action: "light.hue.on" });
 * const response = new Response({
 *   target: request.origin,
 *   id: request.id,
 *   errors: ["No such light"],
 * });
 * assert.deepEqual(response.output, { success: false });
 * ```
 */
export interface ResponseFields extends MessageFields {
  /** The device that sent the request. */
  target: string;
  /**
   * The value that the action returned. Without any, `{ success: true }`, or
   * `{ success: false }` when there are errors.
   */
  output?: unknown;
  /** The errors, usually texts. None by default. */
  errors?: readonly unknown[];
}

/**
 * Tells what came of a request.
 *
 * Platypush decodes an output, or an error, that is a text and itself JSON.
 * Building does the same, and writing encodes such a text once more, so that
 * the text `"5"` arrives as a text and not as the number.
 *
 * @example
 * ```ts
 * import { Response } from "@platypush/redis";
 * import assert from "node:assert/strict";
 *
 * const response = Response.build({
 *   type: "response",
 *   target: "deno-host",
 *   id: "0123456789abcdef0123456789abcdef",
 *   response: { output: '{"on": true}', errors: [] },
 * });
 * assert.deepEqual(response.output, { on: true });
 * ```
 */
export class Response<Output = unknown> extends Message {
  /** The kind of message. */
  declare readonly type: "response";
  /** The value that the action returned. */
  declare output: Output;
  /** The errors; empty when nothing went wrong. */
  declare errors: unknown[];

  /**
   * Makes a response; what is missing is filled in.
   *
   * @param fields What it is made with. `target` is needed, and `id` where the
   * response is to be recognised: it is the request's.
   * @param checked Whether `fields` is known to hold only JSON values, as what
   * `JSON.parse` returns does; it is then taken without another look.
   * @throws {MessageError} If a value has the wrong type.
   * @throws {Deno.errors.NotCapable} If a device's id is missing, and the host's
   * name may not be read (`--allow-sys=hostname`).
   */
  constructor(fields: ResponseFields, checked = false) {
    const target = fields?.target;
    if (target === undefined || target === "") {
      throw new MessageError(
        `The response's "target" is ${
          kindOf(target)
        }, expected the device that sent the request`,
      );
    }
    super("response", fields);
    const errors = (checked ? fields.errors : jsonValue(fields.errors, 2)) ??
      [];
    if (!Array.isArray(errors)) {
      throw new MessageError(
        `The response's "errors" is ${kindOf(errors)}, expected an array`,
      );
    }
    this.errors = errors;
    const output = (checked ? fields.output : jsonOutput(fields.output)) ??
      { success: errors.length === 0 };
    this.output = output as Output;
  }

  /**
   * Gives what a response has on the wire besides the common fields.
   *
   * @returns Its `output` and `errors`, encoded so that the receiver decodes
   * the same.
   */
  protected override content(): WireMessage {
    return {
      response: {
        output: encodeText(this.output),
        errors: this.errors.map(encodeText),
      },
    };
  }
}

defineKind<Response>({
  wireName: "response",
  class: Response,
  label: "response",
  attributes: ["output", "errors"],
  build: (fields, wire) =>
    new Response({
      ...fields,
      // A response is for whoever has asked, and must say so.
      target: wire["target"] ?? undefined,
      ...contentOf(wire["response"]),
    } as ResponseFields, true),
  summarize: ({ id, output, errors }) => {
    const failed = errors.length > 0;
    return { subject: id, details: failed ? errors : [output], failed };
  },
});

/** The error in place of an output of NaN or infinity, which Python's `json.dumps` writes. */
const NOT_FINITE = "The output is NaN or infinite, and JSON has no such number";

/**
 * Turns an output into one that JSON can carry.
 *
 * @throws {MessageError} If JSON has nothing for it, or nothing but `null`: that
 * would say that there is no output.
 */
export function jsonOutput(output: unknown): unknown {
  if (output === undefined || output === null) return output;
  const value = jsonValue(output, 2);
  if (value !== undefined && value !== null) return value;
  const kind = typeof output;
  throw new MessageError(
    kind === "number"
      ? NOT_FINITE
      : kind === "object"
      ? "The output is an object for which JSON has nothing, such as an invalid date"
      : `The output is a ${kind}, and JSON has nothing for it`,
  );
}

/**
 * Reads what a response says on the wire, in each of its forms.
 *
 * @throws {MessageError} If it says nothing.
 */
export function contentOf(
  response: unknown,
): Pick<ResponseFields, "output" | "errors"> {
  if (!isRecord(response)) {
    throw new MessageError(
      `The response's "response" is ${
        kindOf(response)
      }, expected an object with "output" and "errors"`,
    );
  }
  const { output, errors, success } = response;
  if (output === undefined && errors === undefined) {
    // The short form tells only whether there were errors.
    return success === false
      ? { errors: ["The request failed without an error text"] }
      : {};
  }
  const decoded = decodeIfJson(errors) ?? [];
  const all = Array.isArray(decoded) ? decoded.map(decodeIfJson) : [decoded];
  return typeof output === "number" && !Number.isFinite(output)
    ? { errors: [...all, NOT_FINITE] }
    : { output: decodeIfJson(output), errors: all };
}

/** Decodes a text that is JSON; gives anything else as it is. */
function decodeIfJson(value: unknown): unknown {
  if (typeof value !== "string" || !looksLikeJson(value)) return value;
  try {
    JSON.parse(value);
    return parseText(value);
  } catch {
    return value;
  }
}

/** Encodes a text once more that would be decoded on receipt. */
function encodeText(value: unknown): unknown {
  return decodeIfJson(value) === value ? value : JSON.stringify(value);
}

/** Tells what is worth a try: an exception is slow. */
function looksLikeJson(text: string): boolean {
  return /^\s*["{[\-\dtfn]/.test(text);
}
