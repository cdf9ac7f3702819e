import { TIME_LIMIT } from "../kinds.ts";
import { jsonText, type Message } from "../message/mod.ts";
import { checkOptions, row, type Rows } from "../options.ts";
import { settledWithin } from "../waiting.ts";
import type { Bus } from "./bus.ts";
import { WATCH_OPTIONS, type WatchOptions } from "./bus_options.ts";

/** Says what {@linkcode eventStream} sends. */
export interface EventStreamOptions extends Omit<WatchOptions, "onSkip"> {
  /**
   * The time in seconds after which a client that gets nothing gets an empty
   * comment, so that nothing on the way takes the connection for dead. 15 by
   * default.
   */
  keepAlive?: number;
}

const { onSkip: _, ...WATCHED } = WATCH_OPTIONS;

const OPTIONS: Rows<EventStreamOptions, "keepAlive" | "limit"> = {
  ...WATCHED,
  keepAlive: row(TIME_LIMIT, { default: 15 }),
};

const encoder = new TextEncoder();

/**
 * Answers an HTTP request with the messages that pass on a bus, as server-sent
 * events: a page reads them with `new EventSource(...)`. Each client watches, as
 * with {@linkcode Bus.watch}: it is no subscriber, and nobody waits for it.
 *
 * The data of each event is the message as JSON, without the token of a request.
 * Where a client is too slow, an event of the type `skipped` has the number of
 * messages that it did not get. Who may see what passes is for the server to
 * decide, before it answers so.
 *
 * @param bus The bus whose messages are sent.
 * @param options Which messages, how many may wait, and a signal that ends it.
 * @returns The response. It ends when the client has gone, with the bus, and with
 * the signal.
 * @throws {TypeError} When there is no such option or it is of another kind, or
 * the condition holds what no event can.
 * @throws {RangeError} When a limit or a time makes no sense.
 * @throws {RegexError} When a regular expression in the condition cannot be used.
 * @throws {BusError} When the bus is closed.
 *
 * @example
 * ```ts
 * import { Bus, eventStream } from "@platypush/redis/bus";
 * import assert from "node:assert/strict";
 *
 * await using bus = new Bus({ name: "example/page", deviceId: "livingroom" });
 * await using server = Deno.serve(
 *   { hostname: "127.0.0.1", port: 0, onListen() {} },
 *   () => eventStream(bus, { condition: { type: "custom.Motion" } }),
 * );
 * const { body } = await fetch(`http://127.0.0.1:${server.addr.port}`);
 * const reader = body!.pipeThrough(new TextDecoderStream()).getReader();
 * await reader.read(); // an empty comment: it has begun
 * await bus.post({ type: "event", args: { type: "custom.Motion", room: "hall" } });
 * const { value } = await reader.read();
 * assert.match(value!, /^data: \{.*"room":"hall".*\}\n\n$/);
 * await reader.cancel();
 * ```
 */
export function eventStream(
  bus: Bus,
  options: EventStreamOptions = {},
): Response {
  if (typeof bus?.watch !== "function") {
    throw new TypeError(
      "Cannot stream events: expected a bus, such as the `bus` of a backend",
    );
  }
  const { keepAlive, ...watched } = checkOptions(
    "stream events",
    options,
    OPTIONS,
  );
  let skipped = 0;
  const watch = bus.watch({
    ...watched,
    onSkip: (count) => skipped += count,
  });
  let isGone = false;
  let next: Promise<IteratorResult<Message, void>> | undefined;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(COMMENT),
    pull: async (controller) => {
      next ??= watch.next();
      const isThere = await settledWithin(next, keepAlive, { daemon: true });
      const lines = skipped > 0 ? `event: skipped\ndata: ${skipped}\n\n` : "";
      skipped = 0;
      if (!isThere) {
        return controller.enqueue(
          lines === "" ? COMMENT : encoder.encode(lines),
        );
      }
      const heard = await next;
      next = undefined;
      if (heard.done !== true) {
        const data = jsonText(toShow(heard.value));
        controller.enqueue(encoder.encode(`${lines}data: ${data}\n\n`));
      } else if (!isGone) controller.close();
    },
    cancel: () => {
      isGone = true;
      watch[Symbol.dispose]();
    },
  }, { highWaterMark: 0 });
  return new Response(body, {
    headers: {
      "content-type": "text/event-stream",
      "cache-control": "no-store",
    },
  });
}

const COMMENT: Uint8Array = encoder.encode(":\n\n");

function toShow(message: Message): Record<string, unknown> {
  const wire = message.toJSON();
  return (wire["token"] ?? null) === null ? wire : { ...wire, token: "***" };
}
