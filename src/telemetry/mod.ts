/**
 * Tells OpenTelemetry of messages, where anybody collects that.
 *
 * @module
 */

export {
  addMetricSource,
  type MetricSource,
  type Observation,
} from "./metrics.ts";
export {
  inTraceOf,
  isTracing,
  Processing,
  type Reception,
  traceSending,
} from "./tracing.ts";
