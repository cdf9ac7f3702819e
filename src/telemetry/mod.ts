/**
 * What OpenTelemetry is told, where anybody collects it.
 *
 * @module
 */

export {
  addMetricSource,
  type MetricSource,
  type Observation,
} from "./metrics.ts";
export { inTraceOf, Processing, type Reception } from "./processing.ts";
export { traceSending } from "./trace_sending.ts";
export { isTracing } from "./tracer.ts";
