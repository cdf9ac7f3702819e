import { inTime } from "../in_time.ts";

/** A span as OTLP's JSON has it, as far as tests look at it. */
export interface CollectedSpan {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId: string;
  readonly name: string;
  /** 4 is a producer, 5 a consumer. */
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  /** 2 is an error. */
  readonly status: { readonly code: number; readonly message: string };
  readonly attributes: Attributes;
}

/** A metric at the time of its last point for some attributes. */
export interface CollectedMetric {
  readonly name: string;
  readonly unit: string;
  readonly value: number;
  readonly isMonotonic: boolean;
  /** In which of the collections it came. */
  readonly collection: number;
  readonly attributes: Attributes;
}

type Attributes = Readonly<Record<string, unknown>>;

// deno-lint-ignore no-explicit-any -- the trees of OTLP, read from top to bottom
type Tree = any;

/** A collector of OTLP over HTTP, in JSON. */
export class Collector implements AsyncDisposable {
  readonly spans: CollectedSpan[] = [];
  /** How many requests it got. */
  requests = 0;
  /** How often it got metrics of ours. */
  collections = 0;
  /** All that it got, as text. */
  text = "";
  #metrics = new Map<string, CollectedMetric>();
  #more = Promise.withResolvers<void>();
  readonly #server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    (request) => this.#take(request),
  );

  /** What a program needs in its environment to send everything here, soon. */
  get env(): Record<string, string> {
    const { port } = this.#server.addr as Deno.NetAddr;
    return {
      OTEL_DENO: "true",
      OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${port}`,
      OTEL_EXPORTER_OTLP_PROTOCOL: "http/json",
      OTEL_METRIC_EXPORT_INTERVAL: "50",
      OTEL_BSP_SCHEDULE_DELAY: "20",
    };
  }

  /** Waits for a span. */
  async span(
    what: string,
    isIt: (span: CollectedSpan) => boolean,
  ): Promise<CollectedSpan> {
    return await this.#until(what, () => this.spans.find(isIt));
  }

  /** Waits until a metric, with the attributes given and perhaps others, is as it should be. */
  async metric(
    name: string,
    isRight: (value: number, collection: number) => boolean,
    attributes: Attributes = {},
  ): Promise<CollectedMetric> {
    return await this.#until(
      name,
      () =>
        this.#metrics.values().find((metric) =>
          metric.name === name && isRight(metric.value, metric.collection) &&
          Object.entries(attributes).every(([key, value]) =>
            metric.attributes[key] === value
          )
        ),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }

  /** As often as metrics come, one limit holds for the whole wait. */
  async #until<T>(what: string, find: () => T | undefined): Promise<T> {
    return await inTime(this.#wait(find), what);
  }

  async #wait<T>(find: () => T | undefined): Promise<T> {
    for (;;) {
      const found = find();
      if (found !== undefined) return found;
      await this.#more.promise;
    }
  }

  async #take(request: Request): Promise<Response> {
    this.requests++;
    const text = await request.text();
    this.text += text;
    const body: Tree = JSON.parse(text);
    for (const { scopeSpans } of body.resourceSpans ?? []) {
      for (const { spans } of scopeSpans) {
        for (const span of spans) {
          this.spans.push({ ...span, attributes: read(span.attributes) });
        }
      }
    }
    for (const { scopeMetrics } of body.resourceMetrics ?? []) {
      for (const { scope, metrics } of scopeMetrics) {
        if (scope.name === "@platypush/redis") this.collections++;
        for (const metric of metrics) this.#keep(metric);
      }
    }
    this.#more.resolve();
    this.#more = Promise.withResolvers();
    return Response.json({});
  }

  #keep({ name, unit, sum, gauge }: Tree): void {
    for (const point of (sum ?? gauge)?.dataPoints ?? []) {
      const attributes = read(point.attributes);
      this.#metrics.set(JSON.stringify([name, attributes]), {
        name,
        unit,
        value: Number(point.asDouble ?? point.asInt),
        isMonotonic: sum?.isMonotonic === true,
        collection: this.collections,
        attributes,
      });
    }
  }
}

function read(attributes: Tree): Attributes {
  return Object.fromEntries(
    attributes.map(({ key, value }: Tree) => [key, Object.values(value)[0]]),
  );
}
