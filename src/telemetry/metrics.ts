import {
  type Attributes,
  type BatchObservableResult,
  createNoopMeter,
  type Meter,
  metrics,
  type Observable,
} from "@opentelemetry/api";
import { VERSION } from "../version.ts";
import { SCOPE } from "./tracing.ts";

/** A kind of instrument: what becomes of two values with the same attributes. */
type InstrumentKind =
  /** They are counts since the start, and are added. */
  | "counter"
  /** They are amounts at the moment, and are added. */
  | "upDownCounter"
  /** They are the same. */
  | "gauge";

/** Describes a metric to whoever collects it. */
interface Instrument {
  /** Its kind. */
  readonly kind: InstrumentKind;
  /** Its unit, in UCUM. */
  readonly unit: string;
  /** Says what it counts. */
  readonly description: string;
}

/**
 * Every metric by its name: the one of OpenTelemetry's semantic conventions for
 * messaging where they have one, and otherwise one that begins with
 * `platypush.redis`.
 */
export const INSTRUMENTS: Readonly<Record<MetricName, Instrument>> = {
  "messaging.client.consumed.messages": counter(
    "Messages that came from Redis; a message that comes again counts again",
  ),
  "platypush.redis.delivered": counter(
    "Messages that every subscriber has handled",
  ),
  "platypush.redis.foreign": counter("Messages for another device"),
  "platypush.redis.malformed": counter(
    "Messages that could not be built, or were too large",
  ),
  "platypush.redis.redelivered": counter(
    "Messages that had been delivered before",
  ),
  "platypush.redis.acknowledged": counter("Messages that were acknowledged"),
  "platypush.redis.retried": counter(
    "Failed messages that were put aside to be tried again",
  ),
  "platypush.redis.dead_lettered": counter("Messages that became dead letters"),
  "platypush.redis.dead_letters_lost": counter(
    "Dead letters, or texts of them, that were lost",
  ),
  "platypush.redis.missed": counter(
    "Messages that were put aside for a named subscriber that was away",
  ),
  "platypush.redis.missed_lost": counter(
    "Of the missed ones, those that waited too long or had to make room",
  ),
  "platypush.redis.dropped": counter(
    "Messages that were dropped: for another device, or too old",
  ),
  "platypush.redis.reclaimed": counter(
    "Messages of dead consumers that were put back into the queue",
  ),
  "platypush.redis.taken": counter(
    "Messages that another consumer put back while this one had them",
  ),
  "platypush.redis.reconnects": counter(
    "How often a connection was lost and found again",
    "{reconnect}",
  ),
  "platypush.redis.answered": counter(
    "Requests that registered actions, or errors, have answered",
    "{request}",
  ),
  "platypush.redis.in_flight": upDownCounter(
    "Messages that subscribers are busy with",
    "{message}",
  ),
  "platypush.redis.actions.running": upDownCounter(
    "Registered actions that are being executed",
    "{action}",
  ),
  "platypush.redis.actions.waiting": upDownCounter(
    "Requests that wait until one of these has finished",
    "{request}",
  ),
  "platypush.redis.subscribers": gauge(
    "Threads that subscribe to the bus",
    "{subscriber}",
  ),
  "platypush.redis.queue.length": gauge(
    "Messages that wait in the queue",
    "{message}",
  ),
  "platypush.redis.queue.age": gauge(
    "How long ago the first message in the queue was made",
    "s",
  ),
};

/** The name of a metric. */
type MetricName =
  | "messaging.client.consumed.messages"
  | "platypush.redis.delivered"
  | "platypush.redis.foreign"
  | "platypush.redis.malformed"
  | "platypush.redis.redelivered"
  | "platypush.redis.acknowledged"
  | "platypush.redis.retried"
  | "platypush.redis.dead_lettered"
  | "platypush.redis.dead_letters_lost"
  | "platypush.redis.missed"
  | "platypush.redis.missed_lost"
  | "platypush.redis.dropped"
  | "platypush.redis.reclaimed"
  | "platypush.redis.taken"
  | "platypush.redis.reconnects"
  | "platypush.redis.answered"
  | "platypush.redis.in_flight"
  | "platypush.redis.actions.running"
  | "platypush.redis.actions.waiting"
  | "platypush.redis.subscribers"
  | "platypush.redis.queue.length"
  | "platypush.redis.queue.age";

function counter(description: string, unit = "{message}"): Instrument {
  return { kind: "counter", unit, description };
}

function upDownCounter(description: string, unit: string): Instrument {
  return { kind: "upDownCounter", unit, description };
}

function gauge(description: string, unit: string): Instrument {
  return { kind: "gauge", unit, description };
}

/** Holds what is said when metrics are collected. */
export interface Observation {
  /** The metric. */
  readonly metric: MetricName;
  /** Its value: a counter's is what was counted since its source began. */
  readonly value: number;
  /** The attributes that tell it from others. */
  readonly attributes: Attributes;
}

/** Has something to say each time that metrics are collected. */
export interface MetricSource {
  /** Tells what it has counted, and how it stands. */
  counts(): readonly Observation[];
  /**
   * Asks for what it does not know by itself; it must neither reject nor take
   * long.
   */
  lag(): Promise<readonly Observation[]>;
}

const sources = new Set<MetricSource>();
/** Keeps what sources have counted that are gone: counters never go back. */
const past = new Map<string, Observation>();
let isCollected = false;

/**
 * Adds a source of metrics. Sources with the same attributes, such as two
 * backends on one queue, are one to whoever collects. Where nobody does,
 * nothing happens.
 *
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
