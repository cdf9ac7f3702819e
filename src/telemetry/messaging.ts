import type { Attributes } from "@opentelemetry/api";
import { Event, type Message, Request } from "../message/mod.ts";

/** What came from the network may be long. */
const MAX_LENGTH = 256;

/**
 * The attributes of a span, by OpenTelemetry's semantic conventions for
 * messaging.
 *
 * @param operation What is done.
 * @param destination The queue.
 */
export function operationAttributes(
  operation: "process" | "send",
  destination: string,
): Attributes {
  return {
    "messaging.system": "redis",
    "messaging.operation.name": operation,
    "messaging.operation.type": operation,
    "messaging.destination.name": destination,
  };
}

/** The attributes of a span about one message: what it is, and never what it says. */
export function messageAttributes(message: Message): Attributes {
  const attributes: Attributes = {
    "messaging.message.id": clip(message.id),
    "platypush.message.type": message.type,
  };
  if (message instanceof Event) {
    attributes["platypush.event.type"] = clip(message.args.type);
  } else if (message instanceof Request) {
    attributes["platypush.request.action"] = clip(message.action);
  }
  if (message.redelivered > 0) {
    attributes["platypush.message.redelivered"] = message.redelivered;
  }
  return attributes;
}

function clip(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}…` : text;
}
