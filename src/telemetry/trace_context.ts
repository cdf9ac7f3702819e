import {
  type Context,
  context,
  propagation,
  ROOT_CONTEXT,
} from "@opentelemetry/api";
import type { Message } from "../message/mod.ts";

/** The keys of a message that carry a trace (W3C Trace Context, section 3). */
const FIELDS = ["traceparent", "tracestate"] as const;

/** The trace that a message carries on the wire, as a context; nobody's where it carries none. */
export function extractTrace(message: Message): Context {
  const { extra } = message;
  if (extra.traceparent === undefined) return ROOT_CONTEXT;
  return propagation.extract(ROOT_CONTEXT, extra, {
    keys: () => [...FIELDS],
    get: (carrier, key) => {
      const value = isField(key) ? carrier[key] : undefined;
      return typeof value === "string" ? value : undefined;
    },
  });
}

/** What is added to messages on the wire so that they carry the active trace. */
export function injectTrace(): Record<string, string> {
  const carrier: Record<string, string> = {};
  propagation.inject(context.active(), carrier, {
    set: (carrier, key, value) => {
      if (isField(key)) carrier[key] = value;
    },
  });
  return carrier;
}

function isField(key: string): boolean {
  return (FIELDS as readonly string[]).includes(key);
}
