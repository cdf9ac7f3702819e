import { Buffer } from "node:buffer";
import { isRecord, jsonValue, kindOf } from "../message/json_value.ts";
import { kinds, kindsOfClass } from "../message/message_kinds.ts";
import { isGuessed, textOfNumber } from "../message/message.ts";
import {
  type EventFields,
  Message,
  type MessageClass,
  MessageError,
  type MessageInput,
  Request,
  type RequestFields,
  Response,
  type ResponseFields,
} from "../message/mod.ts";
import { decodeText, MAX_SIZE, parseText } from "../message/parse_text.ts";
import { contentOf } from "../message/response.ts";

/** The parts of which a response is made where the request says the rest. */
export type ResponseContent = Omit<ResponseFields, "target" | "id">;

/** Says for whom messages are read, and how. */
interface ReadOptions {
  /** Stands for a target or an origin that is missing. */
  readonly deviceId: string;
  /** The size limit of a text, in bytes. */
  readonly maxSize?: number | undefined;
  /** Gives whole numbers in a response, beyond 2^53, as big integers. */
  readonly bigint?: boolean;
}

/**
 * Reads a message of a kind in any of its forms: what it is made with, the object
 * on the wire, its text or bytes, or an instance.
 *
 * @param type The class of the kind.
 * @throws {MessageError} If it is no such message.
 */
export function readMessage<Kind extends Message>(
  type: MessageClass<Kind>,
  input: MessageInput | EventFields | RequestFields,
  { deviceId }: ReadOptions,
): Kind {
  // A text is passed on with all its digits, whoever reads it.
  const options = { deviceId, bigint: true };
  if (
    typeof input === "string" || input instanceof Uint8Array ||
    input instanceof Message
  ) return build.call(type, input, options) as Kind;
  const given = jsonValue(input);
  const { wireName } = kindsOfClass(type)[0]!;
  return build.call(
    type,
    (isRecord(given) ? onWire(given, wireName) : given) as MessageInput,
    options,
  ) as Kind;
}

const { build } = Message;

/** Names the parts of a message as on the wire. */
function onWire(
  { timestamp, _timestamp, ...given }: Record<string, unknown>,
  wireName: string,
): Record<string, unknown> {
  const { extra, ...fields } = given;
  return {
    ...given["type"] === undefined
      ? { ...isRecord(extra) && extra, ...fields, type: wireName }
      : given,
    ...(timestamp ?? _timestamp) !== undefined &&
      { _timestamp: either({ timestamp, _timestamp }) },
  };
}

/**
 * Reads the request that is answered, in any of its forms.
 *
 * @throws {MessageError} If it is no request, or has no id to be answered under.
 */
export function readRequest(
  input: MessageInput | RequestFields,
  options: ReadOptions,
): Request {
  if (input instanceof Request) return input;
  const given = parsed(input, options.maxSize ?? MAX_SIZE);
  const request = readMessage(Request, given as MessageInput, options);
  const { id } = given as { id?: unknown };
  if (id !== undefined && id !== null && id !== "") return request;
  throw new MessageError(
    `The request's "id" is ${
      kindOf(id)
    }: nobody waits for a response without it`,
  );
}

/**
 * Makes the response to a request, of a response in any of its forms. The request
 * says for whom it is, and its id.
 *
 * @throws {MessageError} If it is no response.
 */
export function responseTo(
  request: Request,
  input: MessageInput | ResponseContent,
  { deviceId, maxSize = MAX_SIZE }: ReadOptions,
): Response {
  const { origin, ...given } = input instanceof Response
    ? {
      ...input,
      origin: isGuessed(input, "origin") ? undefined : input.origin,
      extra: input.extra,
    }
    : responseFields(input, maxSize);
  const { target, id } = request;
  const response = new Response({
    ...given,
    // Who takes messages for everybody answers in the name of each.
    origin: origin || (isGuessed(request, "target") ? deviceId : target),
    target,
    id,
    // Whoever waits may compare the id with what it was: a number.
    extra: { ...given.extra, id: request.toJSON()["id"] },
  });
  // Who has asked is not known then, and waits for the id alone.
  response.target = isGuessed(request, "origin") ? "" : request.origin;
  return response;
}

/** Finds what a response is made with in an object, a text or bytes. */
function responseFields(
  input: MessageInput | ResponseContent,
  maxSize: number,
): ResponseContent {
  const given = parsed(input, maxSize);
  const { type = "response" } = { ...given as object } as { type?: unknown };
  // It is none, and the error says why.
  if (!isRecord(given) || type !== "response") {
    return Response.build(given as MessageInput);
  }
  const {
    type: _type,
    target: _target,
    id: _id,
    origin,
    timestamp,
    _timestamp,
    response,
    output,
    errors,
    success,
    extra,
    ...others
  } = given;
  either({ response, output, success });
  either({ response, errors, success });
  return {
    origin,
    timestamp: either({ timestamp, _timestamp }),
    ...(response === undefined && success === undefined
      ? { output, errors }
      : contentOf(response ?? { success })),
    extra: { ...isRecord(extra) && extra, ...others },
  } as ResponseContent;
}

/** Gives the object on the wire that a text or bytes say; anything else as it is. */
function parsed(input: unknown, maxSize: number): unknown {
  return typeof input === "string" || input instanceof Uint8Array
    ? parseText(decodeText(input, maxSize), true)
    : input;
}

/** Gives the one of several values that is there. */
function either(values: Readonly<Record<string, unknown>>): unknown {
  const [one, other] = Object.entries(values)
    .filter(([, value]) => value !== undefined);
  if (other === undefined) return one?.[1];
  throw new MessageError(
    `The message has "${one![0]}" and "${
      other[0]
    }", which say the same; give one of them`,
  );
}

/**
 * Tells why something that came is not the answer to a request; `undefined` where
 * it may be.
 */
export function refusalOf(
  payload: Uint8Array,
  request: Request,
  { maxSize = MAX_SIZE }: Pick<ReadOptions, "maxSize">,
): string | undefined {
  let wire: unknown;
  try {
    wire = parseText(decodeText(payload, maxSize), true);
  } catch (error) {
    return (error as Error).message;
  }
  if (!isRecord(wire)) return "it is no object";
  const { type, id, origin } = wire;
  if (type !== undefined && type !== "response") {
    return `its type is ${JSON.stringify(type)}`;
  }
  const isOther = id !== undefined && id !== null && id !== "" &&
    id !== request.id && textOfNumber(id) !== request.id;
  if (isOther) return "it answers another request";
  const isElsewhere = typeof origin === "string" && origin !== "" &&
    origin !== request.target && !isGuessed(request, "target");
  return isElsewhere
    ? `it comes from ${JSON.stringify(origin)}, not from ${
      JSON.stringify(request.target)
    }`
    : undefined;
}

/** Reads the response to a request. Where it does not say for whom it is, it is for who has asked. */
export function readResponse(
  payload: Uint8Array,
  request: Request,
  { deviceId, maxSize = MAX_SIZE, bigint = false }: ReadOptions,
): Response {
  const wire = parseText(decodeText(payload, maxSize), bigint);
  return Response.build(
    (isRecord(wire)
      ? { ...wire, target: wire["target"] || request.origin }
      : wire) as MessageInput,
    { deviceId },
  );
}

/**
 * Finds out whether what is no message was meant as a request that somebody waits
 * for the response to.
 *
 * @param payload What was taken off a queue.
 * @param deviceId Whose messages are that do not say so.
 * @returns A request with the same id and origin, for the response; `undefined`
 * where nobody can wait.
 */
export function refusedRequest(
  payload: Uint8Array,
  deviceId: string,
): Request | undefined {
  if (payload.length > MAX_SIZE || !mayBeRequest(payload)) return undefined;
  const wire = read(payload);
  if (!isRecord(wire)) return undefined;
  const { type, action, id, origin, target } = wire;
  const isRequest = type === "request" ||
    action !== undefined && kinds.get(type) === undefined;
  const isText = typeof id === "string" && id !== "";
  if (!isRequest || !isText && textOfNumber(id) === undefined) return undefined;
  return Request.build({
    type: "request",
    id,
    action: typeof action === "string" && action !== "" ? action : "unknown",
    ...(typeof origin === "string" && { origin }),
    ...(typeof target === "string" && { target }),
  }, { deviceId });
}

/**
 * Looks for what each request has in it, perhaps behind a backslash: to read
 * anything else once more would take as long as to find out that it is no message.
 */
function mayBeRequest(
  { buffer, byteOffset, byteLength }: Uint8Array,
): boolean {
  const bytes = Buffer.from(buffer, byteOffset, byteLength);
  // To look for a text in bytes takes Deno ten times as long.
  const text = bytes.toString("latin1");
  return ["request", "action", "\\"].some((word) => text.includes(word));
}

/** Reads what a message may be too wrong for. */
function read(payload: Uint8Array): unknown {
  try {
    return parseText(decodeText(payload, MAX_SIZE), true);
  } catch {
    // Nested too deeply, not UTF-8, or with a key that is refused.
  }
  try {
    return JSON.parse(new TextDecoder().decode(payload));
  } catch {
    return undefined;
  }
}
