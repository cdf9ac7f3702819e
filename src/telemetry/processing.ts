import {
  type Context,
  context,
  ROOT_CONTEXT,
  type Span,
  SpanKind,
  trace,
} from "@opentelemetry/api";
import type { Message } from "../message/mod.ts";
import { endSpan } from "./end_span.ts";
import { messageAttributes, operationAttributes } from "./messaging.ts";
import { extractTrace } from "./trace_context.ts";
import { getTracer } from "./tracer.ts";

/**
 * How messages came here, for the spans of whoever handles them.
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
  return context.with(contexts.get(message) ?? ROOT_CONTEXT, work);
}

/** A span from the reception of a message until it is handled in this isolate. */
export class Processing {
  readonly #span: Span;
  readonly #context: Context;

  /**
   * Starts the span, as a child of the one that the message names in its
   * `traceparent`.
   *
   * @param message The message.
   * @param reception How it came here.
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
