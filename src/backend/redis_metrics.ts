import type { Attributes } from "@opentelemetry/api";
import { parseText } from "../message/parse_text.ts";
import { isRecord } from "../message/json_value.ts";
import type { Consumers } from "../redis/consumers.ts";
import type { Backlog } from "../redis/mod.ts";
import { unlessAborted } from "../waiting.ts";
import type { MetricSource, Observation } from "../telemetry/mod.ts";
import type { BackendStats, Counters } from "./consumption.ts";

/** Tells {@linkcode RedisMetrics} of their backend. */
interface RedisMetricsOptions {
  /** The consumers that its messages come from. */
  readonly consumers: Consumers;
  /** Counts what became of them. */
  readonly counters: Counters;
  /** The name of the bus that they go to. */
  readonly bus: string;
  /** Counts what is executed and waits now. */
  readonly stats: () => BackendStats;
}

/** The time that collecting may wait for Redis, in milliseconds. */
const TIMEOUT = 1000;

/** The metrics of a backend. */
export class RedisMetrics implements MetricSource {
  readonly #options: RedisMetricsOptions;
  // After a failover, what was counted before counts on.
  readonly #server: Attributes;

  /** @param options What they have to know of their backend. */
  constructor(options: RedisMetricsOptions) {
    this.#options = options;
    const { address } = options.consumers;
    this.#server = {
      "messaging.system": "redis",
      ...("path" in address ? { "server.address": address.path } : {
        "server.address": address.host,
        "server.port": address.port,
      }),
    };
  }

  /** Tells what was counted, and how the backend stands. */
  counts(): readonly Observation[] {
    const { consumers, bus, stats } = this.#options;
    const { answered, actionsRunning, actionsWaiting, subscribers } = stats();
    const server = this.#server;
    return [
      ...[...consumers.stats().keys()].flatMap((queue) => this.#count(queue)),
      observation("platypush.redis.answered", answered, server),
      observation("platypush.redis.actions.running", actionsRunning, server),
      observation("platypush.redis.actions.waiting", actionsWaiting, server),
      observation("platypush.redis.subscribers", subscribers, {
        "platypush.bus.name": bus,
      }),
    ];
  }

  /** Tells what waits in the queues; nothing while the server does not answer. */
  async lag(): Promise<readonly Observation[]> {
    try {
      const backlogs = await unlessAborted(
        this.#options.consumers.backlogs(),
        AbortSignal.timeout(TIMEOUT),
      );
      return backlogs.flatMap((backlog) => this.#lag(backlog));
    } catch {
      return [];
    }
  }

  #count(queue: string): readonly Observation[] {
    const { consumers, counters } = this.#options;
    const stats = consumers.stats().get(queue)!;
    const { delivered, foreign, malformed } = counters.of(queue);
    const attributes = this.#attributes(queue);
    const counts = {
      "platypush.redis.delivered": delivered,
      "platypush.redis.foreign": foreign,
      "platypush.redis.malformed": malformed,
      "platypush.redis.redelivered": stats.redelivered,
      "platypush.redis.acknowledged": stats.acknowledged,
      "platypush.redis.retried": stats.retried,
      "platypush.redis.dead_lettered": stats.deadLettered,
      "platypush.redis.dead_letters_lost": stats.deadLettersLost,
      "platypush.redis.missed": stats.missed,
      "platypush.redis.missed_lost": stats.missedLost,
      "platypush.redis.dropped": stats.dropped,
      "platypush.redis.reclaimed": stats.reclaimed,
      "platypush.redis.taken": stats.taken,
      "platypush.redis.reconnects": stats.reconnects,
      "platypush.redis.in_flight": stats.inFlight,
    } as const;
    return [
      observation("messaging.client.consumed.messages", stats.received, {
        ...attributes,
        "messaging.operation.name": "receive",
      }),
      ...(Object.keys(counts) as (keyof typeof counts)[]).map((metric) =>
        observation(metric, counts[metric], attributes)
      ),
    ];
  }

  #lag({ queue, length, first }: Backlog): readonly Observation[] {
    const attributes = this.#attributes(queue);
    const made = length === 0 ? undefined : timestamp(first);
    return [
      observation("platypush.redis.queue.length", length, attributes),
      ...(made === undefined ? [] : [
        observation(
          "platypush.redis.queue.age",
          Math.max(0, Date.now() / 1000 - made),
          attributes,
        ),
      ]),
    ];
  }

  #attributes(queue: string): Attributes {
    return { ...this.#server, "messaging.destination.name": queue };
  }
}

function observation(
  metric: Observation["metric"],
  value: number,
  attributes: Attributes,
): Observation {
  return { metric, value, attributes };
}

/** Reads when a message was made, in seconds since the epoch, if it says so. */
function timestamp(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  try {
    const wire = parseText(text);
    const time = isRecord(wire) ? wire["_timestamp"] : undefined;
    return typeof time === "number" ? time : undefined;
  } catch {
    return undefined;
  }
}
