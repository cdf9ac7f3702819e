import { type Span, SpanStatusCode } from "@opentelemetry/api";

/**
 * Ends a span.
 *
 * @param span The span.
 * @param error What went wrong, if anything.
 */
export function endSpan(span: Span, error?: Error): void {
  if (error !== undefined) {
    span.setAttribute("error.type", error.name);
    span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
  }
  span.end();
}
