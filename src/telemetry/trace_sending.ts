import { type Attributes, context, SpanKind, trace } from "@opentelemetry/api";
import type { Message } from "../message/mod.ts";
import { endSpan } from "./end_span.ts";
import { messageAttributes, operationAttributes } from "./messaging.ts";
import { injectTrace } from "./trace_context.ts";
import { getTracer, isTracing } from "./tracer.ts";

/**
 * Sends messages, in a span that they carry as their `traceparent` where anybody
 * collects spans. One that has a `traceparent` keeps it.
 *
 * @param destination Where to: the queue, or what such names look like.
 * @param messages The messages.
 * @param send Sends them, as they are written for the wire.
 */
export async function traceSending(
  destination: string,
  messages: readonly Message[],
  send: (texts: readonly string[]) => Promise<unknown>,
): Promise<void> {
  if (!isTracing()) {
    await send(messages.map(String));
    return;
  }
  const [first] = messages;
  const details: Attributes = messages.length === 1
    ? messageAttributes(first!)
    : { "messaging.batch.message_count": messages.length };
  const span = getTracer().startSpan(`send ${destination}`, {
    kind: SpanKind.PRODUCER,
    attributes: { ...operationAttributes("send", destination), ...details },
  });
  await context.with(
    trace.setSpan(context.active(), span),
    async () => {
      try {
        const carrier = injectTrace();
        await send(messages.map((message) => write(message, carrier)));
        endSpan(span);
      } catch (error) {
        endSpan(span, error as Error);
        throw error;
      }
    },
  );
}

function write(message: Message, carrier: Record<string, string>): string {
  const wire = message.toJSON();
  // A `tracestate` belongs to its own `traceparent`.
  return JSON.stringify("traceparent" in wire ? wire : { ...wire, ...carrier });
}
