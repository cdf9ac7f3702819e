/** A kind of instrument: what becomes of two values with the same attributes. */
export type InstrumentKind =
  /** They are counts since the start, and are added. */
  | "counter"
  /** They are amounts at the moment, and are added. */
  | "upDownCounter"
  /** They are the same. */
  | "gauge";

/** How a metric is described to whoever collects it. */
export interface Instrument {
  /** Its kind. */
  readonly kind: InstrumentKind;
  /** Its unit, in UCUM. */
  readonly unit: string;
  /** What it says. */
  readonly description: string;
}

/**
 * Every metric by its name: the one of OpenTelemetry's semantic conventions for
 * messaging where they have one, and otherwise one that begins with
 * `platypush.redis`.
 */
export const INSTRUMENTS = {
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
    "The oldest dead letters, which had to make room",
  ),
  "platypush.redis.dropped": counter(
    "Messages that were dropped because they were for another device",
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
  "platypush.redis.in_flight": amount(
    "Messages that subscribers are busy with",
    "{message}",
  ),
  "platypush.redis.actions.running": amount(
    "Registered actions that are being executed",
    "{action}",
  ),
  "platypush.redis.actions.waiting": amount(
    "Requests that wait until one of these has finished",
    "{request}",
  ),
  "platypush.redis.subscribers": gauge(
    "Isolates that subscribe to the bus",
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
} as const satisfies Record<string, Instrument>;

/** The name of a metric. */
export type MetricName = keyof typeof INSTRUMENTS;

function counter(description: string, unit = "{message}"): Instrument {
  return { kind: "counter", unit, description };
}

function amount(description: string, unit: string): Instrument {
  return { kind: "upDownCounter", unit, description };
}

function gauge(description: string, unit: string): Instrument {
  return { kind: "gauge", unit, description };
}
