/**
 * Platypush's messages: events, requests and responses, and how they are built
 * from what is on the wire.
 *
 * @module
 */

export type { Logger } from "../logger.ts";
export {
  compileCondition,
  type Condition,
  type EventMatch,
} from "./condition.ts";
export { defineEventType } from "./event_types.ts";
export { defineEvent, type EventDefinition } from "./define_event.ts";
export { Event, type EventFields } from "./event.ts";
export { jsonText, jsonValue } from "./json_value.ts";
export {
  type MessageSummary,
  summarize,
  type WireMessage,
} from "./message_kinds.ts";
export {
  type BuildOptions,
  Message,
  type MessageClass,
  type MessageFields,
  type MessageInput,
  newId,
} from "./message.ts";
export { attribute, type Filter, matchesFilter } from "./filter.ts";
export { MessageError } from "./message_error.ts";
export { parsePythonLiteral } from "./python_literal.ts";
export { RegexError } from "./python_regex_syntax.ts";
export { Request, type RequestFields } from "./request.ts";
export { Response, type ResponseFields } from "./response.ts";
export { type Schema, SchemaError, type SchemaResult } from "./schema.ts";
