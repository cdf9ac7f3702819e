import {
  type Attributes,
  type Context,
  context,
  propagation,
  ProxyTracerProvider,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  SpanStatusCode,
  trace,
  type Tracer,
} from "@opentelemetry/api";
import { FUNCTION } from "../kinds.ts";
import { kinds } from "../message/message_kinds.ts";
import { jsonText, type Message } from "../message/mod.ts";
import { checkValue, type Row } from "../options.ts";
import { VERSION } from "../version.ts";

/** The instrumentation scope of all that this package measures. */
export const SCOPE = "@platypush/redis";

let tracer: Tracer | undefined;

/** Tells whether anybody collects spans in this thread. */
export function isTracing(): boolean {
  const provider = trace.getTracerProvider();
  // Until another provider is registered, the API's own stands for it.
  return !(provider instanceof ProxyTracerProvider) ||
    provider.getDelegateTracer(SCOPE, VERSION) !== undefined;
}

/** Makes the spans of this package. */
function getTracer(): Tracer {
  return tracer ??= trace.getTracer(SCOPE, VERSION);
}

/**
 * Says how messages came here, for the spans of whoever handles them.
 *
 * @example
 * ```ts
 * import { Bus, type Reception } from "@platypush/redis/bus";
 *
 * const reception: Reception = { queue: "lights", time: Date.now() / 1000 };
 * await using bus = new Bus({ name: "example/reception", deviceId: "hall" });
 * await bus.post({ type: "request", action: "light.on" }, { reception });
 * ```
 */
export interface Reception {
  /** The queue that they were in. */
  readonly queue: string;
  /** When they were received, in seconds since the epoch. */
  readonly time: number;
}

const contexts = new WeakMap<Message, Context>();

const WORK: Row = { ...FUNCTION, isRequired: true };

/**
 * Does something in the trace of a message, for loops over the messages:
 * handlers run in it anyway, but nobody can run the body of a loop.
 *
 * @param message A message that was taken off a bus.
 * @param work What to do. Spans that it starts, also after it has waited for
 * something, are children of the message's span, if that has one.
 * @returns What `work` returns.
 *
 * @example
 * ```ts
 * import { trace } from "@opentelemetry/api";
 * import { Bus, inTraceOf } from "@platypush/redis/bus";
 *
 * await using bus = new Bus({ name: "example/trace", deviceId: "livingroom" });
 * const motion = { type: "event", args: { type: "custom.Motion" } };
 * setTimeout(() => bus.post(motion), 10);
 * for await (const message of bus) {
 *   await inTraceOf(message, async () => {
 *     const span = trace.getTracer("lights").startSpan("switch on");
 *     await Promise.resolve("switched on");
 *     span.end();
 *   });
 *   break;
 * }
 * ```
 */
export function inTraceOf<Result>(
  message: Message,
  work: () => Result,
): Result {
  checkValue("run in the trace of a message", "work", work, WORK);
  return context.with(contexts.get(message) ?? ROOT_CONTEXT, work);
}

/** A span from the reception of a message until it is handled in this thread. */
export class Processing {
  readonly #span: Span;
  readonly #context: Context;

  /**
   * Starts the span, as a child of the one that the message names in its
   * `traceparent`.
   */
  constructor(message: Message, { queue, time }: Reception) {
    const parent = extractTrace(message);
    this.#span = getTracer().startSpan(`process ${queue}`, {
      kind: SpanKind.CONSUMER,
      startTime: time * 1000,
      attributes: {
        ...operationAttributes("process", queue),
        ...messageAttributes(message),
      },
    }, parent);
    this.#context = trace.setSpan(parent, this.#span);
    contexts.set(message, this.#context);
  }

  /** Calls handlers, whose own spans become children of this one. */
  run(call: () => void): void {
    context.with(this.#context, call);
  }

  /**
   * Ends the span.
   *
   * @param error What went wrong, if anything.
   */
  end(error?: Error): void {
    endSpan(this.#span, error);
  }
}

/**
 * Sends messages, in a span that they carry as their `traceparent` where anybody
 * collects spans. One that has a `traceparent` keeps it; what is no message goes
 * out as it is.
 *
 * @param destination Where to: the queue, or what such names look like.
 * @param send Sends them, as they are written for the wire.
 */
export async function traceSending(
  destination: string,
  messages: readonly Outgoing[],
  send: (texts: readonly (string | Uint8Array)[]) => Promise<unknown>,
): Promise<void> {
  if (!isTracing()) {
    await send(messages.map((each) => isMessage(each) ? String(each) : each));
    return;
  }
  const [first] = messages;
  const details: Attributes = messages.length === 1
    ? isMessage(first!) ? messageAttributes(first) : {}
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

/** A message to be sent, or what is none. */
type Outgoing = Message | string | Uint8Array;

function isMessage(sent: Outgoing): sent is Message {
  return typeof sent !== "string" && !(sent instanceof Uint8Array);
}

function write(
  message: Outgoing,
  carrier: Record<string, string>,
): string | Uint8Array {
  if (!isMessage(message)) return message;
  const wire = message.toJSON();
  // A `tracestate` belongs to its own `traceparent`.
  return jsonText("traceparent" in wire ? wire : { ...wire, ...carrier });
}

/** The largest length of what came from the network. */
const MAX_LENGTH = 256;

/**
 * The attributes of a span, by OpenTelemetry's semantic conventions for
 * messaging.
 */
function operationAttributes(
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
function messageAttributes(message: Message): Attributes {
  const attributes: Attributes = {
    "messaging.message.id": clip(message.id),
    "platypush.message.type": message.type,
  };
  const kind = kinds.get(message.type);
  if (kind?.subjectName !== undefined) {
    const name = `platypush.${kind.wireName}.${kind.subjectName}`;
    attributes[name] = clip(kind.summarize(message).subject);
  }
  if (message.redelivered > 0) {
    attributes["platypush.message.redelivered"] = message.redelivered;
  }
  return attributes;
}

function clip(text: string): string {
  return text.length > MAX_LENGTH ? `${text.slice(0, MAX_LENGTH)}\u2026` : text;
}

/** The keys of a message that carry a trace (W3C Trace Context, section 3). */
const FIELDS = ["traceparent", "tracestate"] as const;

/** The trace that a message carries on the wire, as a context; nobody's where it carries none. */
function extractTrace(message: Message): Context {
  const { extra } = message;
  if (extra["traceparent"] === undefined) return ROOT_CONTEXT;
  return propagation.extract(ROOT_CONTEXT, extra, {
    keys: () => [...FIELDS],
    get: (carrier, key) => {
      const value = isField(key) ? carrier[key] : undefined;
      return typeof value === "string" ? value : undefined;
    },
  });
}

/**
 * Gives what is added to messages on the wire so that they carry the active
 * trace.
 */
function injectTrace(): Record<string, string> {
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

/**
 * Ends a span.
 *
 * @param error What went wrong, if anything.
 */
function endSpan(span: Span, error?: Error): void {
  if (error !== undefined) {
    span.setAttribute("error.type", error.name);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  }
  span.end();
}
