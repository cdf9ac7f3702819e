import assert from "node:assert/strict";
import { eventStream, Request } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { event, open } from "./buses.ts";

/** Reads what a response sends, piece by piece. */
function read(response: Response): () => Promise<string> {
  const reader = response.body!.getReader();
  return async () => {
    const { value } = await inTime(reader.read(), "the next piece");
    return value === undefined ? "the end" : new TextDecoder().decode(value);
  };
}

Deno.test("eventStream brings messages to an EventSource, and is no subscriber", async () => {
  await using bus = open();
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    () => eventStream(bus),
  );
  const source = new EventSource(`http://127.0.0.1:${server.addr.port}/`);
  const begun = Promise.withResolvers<unknown>();
  source.onopen = begun.resolve;
  await inTime(begun.promise, "the connection");
  const arrived = Promise.withResolvers<string>();
  source.onmessage = ({ data }) => arrived.resolve(data);
  const receipt = await bus.post(event(1));
  const { args } = JSON.parse(await inTime(arrived.promise, "the event"));
  assert.equal(args.n, 1);
  assert.deepEqual(await receipt.handled, []);
  assert.equal(bus.subscribers, 0);
  source.close();
});

Deno.test("eventStream tells a client that is too slow how many it has missed", async () => {
  await using bus = open();
  const next = read(eventStream(bus, { limit: 2 }));
  assert.equal(await next(), ":\n\n");
  await bus.post([1, 2, 3, 4, 5].map((n) => event(n)));
  for (let n = 1; n <= 2; n++) assert.match(await next(), /^data: /);
  const later = next();
  await bus.post(event(6));
  assert.match(await later, /^event: skipped\ndata: 3\n\ndata: .*"n":6/);
});

Deno.test("eventStream gives a sign of life while nothing passes", async () => {
  await using bus = open();
  const next = read(eventStream(bus, { keepAlive: 0.01 }));
  assert.equal(await next(), ":\n\n");
  assert.equal(await next(), ":\n\n");
  const third = next();
  await bus.post(event(1));
  assert.match(`${await third}${await next()}`, /data: .*"n":1/);
});

Deno.test("eventStream keeps the token of a request to itself", async () => {
  await using bus = open();
  const next = read(eventStream(bus));
  await next();
  await bus.post(new Request({ action: "light.on", token: "secret-7" }));
  assert.match(await next(), /"token":"\*\*\*"/);
});

Deno.test("eventStream writes one line for a message, whatever is in it", async () => {
  await using bus = open();
  const next = read(eventStream(bus));
  await next();
  const text = "one\ntwo\r\n\r\nevent: skipped\ndata: 9\u2028";
  await bus.post({
    type: "event",
    id: "a\nb",
    args: { type: "custom.T", text },
  });
  const piece = await next();
  assert.match(piece, /^data: [^\r\n]*\n\n$/);
  assert.equal(JSON.parse(piece.slice(6)).args.text, text);
});

Deno.test("eventStream ends with its client, its signal and the bus", async () => {
  const bus = open();
  const end = new AbortController();
  const bySignal = read(eventStream(bus, { signal: end.signal }));
  const byBus = read(eventStream(bus));
  await Promise.all([bySignal(), byBus()]);
  end.abort();
  assert.equal(await bySignal(), "the end");
  const left = eventStream(bus).body!;
  await left.cancel();
  await bus.close();
  assert.equal(await byBus(), "the end");
});
