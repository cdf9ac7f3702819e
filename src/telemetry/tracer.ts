import { ProxyTracerProvider, trace, type Tracer } from "@opentelemetry/api";
import { VERSION } from "../version.ts";

/** The instrumentation scope of all that this package measures. */
export const SCOPE = "@platypush/redis";

let tracer: Tracer | undefined;

/** Whether anybody collects spans in this isolate. */
export function isTracing(): boolean {
  const provider = trace.getTracerProvider();
  // Until another provider is registered, the API's own stands for it.
  return !(provider instanceof ProxyTracerProvider) ||
    provider.getDelegateTracer(SCOPE, VERSION) !== undefined;
}

/** Makes the spans of this package. */
export function getTracer(): Tracer {
  return tracer ??= trace.getTracer(SCOPE, VERSION);
}
