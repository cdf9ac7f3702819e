import {
  type Attributes,
  type BatchObservableResult,
  createNoopMeter,
  type Meter,
  metrics,
  type Observable,
} from "@opentelemetry/api";
import { VERSION } from "../version.ts";
import { INSTRUMENTS, type MetricName } from "./instruments.ts";
import { SCOPE } from "./tracer.ts";

/** What is said when metrics are collected. */
export interface Observation {
  /** The metric. */
  readonly metric: MetricName;
  /** Its value: a counter's is what was counted since its source began. */
  readonly value: number;
  /** What else tells it from others. */
  readonly attributes: Attributes;
}

/** What has something to say each time that metrics are collected. */
export interface MetricSource {
  /** What it has counted, and how it stands. */
  counts(): readonly Observation[];
  /** What it has to ask for first; it must neither reject nor take long. */
  lag(): Promise<readonly Observation[]>;
}

const sources = new Set<MetricSource>();
/** What sources have counted that are gone: counters never go back. */
const past = new Map<string, Observation>();
let isCollected = false;

/**
 * Adds a source of metrics. Sources with the same attributes, such as two
 * backends on one queue, are one to whoever collects. Where nobody does,
 * nothing happens.
 *
 * @param source The source.
 * @returns Removes it; what it has counted by then is kept.
 */
export function addMetricSource(source: MetricSource): () => void {
  const meter = metrics.getMeter(SCOPE, VERSION);
  if (meter === createNoopMeter()) return () => {};
  if (!isCollected) collect(meter);
  isCollected = true;
  sources.add(source);
  return () => {
    if (!sources.delete(source)) return;
    for (const observation of source.counts()) {
      const { kind } = INSTRUMENTS[observation.metric];
      if (kind === "counter") merge(past, observation);
    }
  };
}

function collect(meter: Meter): void {
  const instruments = new Map<MetricName, Observable>();
  for (const [name, { kind, ...options }] of Object.entries(INSTRUMENTS)) {
    const create = {
      counter: () => meter.createObservableCounter(name, options),
      upDownCounter: () => meter.createObservableUpDownCounter(name, options),
      gauge: () => meter.createObservableGauge(name, options),
    };
    instruments.set(name as MetricName, create[kind]());
  }
  meter.addBatchObservableCallback(
    (result) => report(result, instruments),
    [...instruments.values()],
  );
}

async function report(
  result: BatchObservableResult,
  instruments: ReadonlyMap<MetricName, Observable>,
): Promise<void> {
  const asked = [...sources].map((source) => source.lag());
  const lag = await Promise.all(asked);
  const sums = new Map(past);
  for (const source of sources) {
    for (const observation of source.counts()) merge(sums, observation);
  }
  for (const observation of lag.flat()) merge(sums, observation);
  for (const { metric, value, attributes } of sums.values()) {
    result.observe(instruments.get(metric)!, value, attributes);
  }
}

function merge(sums: Map<string, Observation>, added: Observation): void {
  const key = JSON.stringify([added.metric, added.attributes]);
  const isAdded = INSTRUMENTS[added.metric].kind !== "gauge";
  const before = isAdded ? sums.get(key)?.value ?? 0 : 0;
  sums.set(key, { ...added, value: before + added.value });
}
