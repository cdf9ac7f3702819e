import assert from "node:assert/strict";
import { Event } from "../../src/bus/mod.ts";
import { event, open } from "./buses.ts";

Deno.test("Bus.stream gives messages, each handled when the next one is asked for", async () => {
  await using bus = open();
  const reader = bus.stream().getReader();
  assert.equal(bus.subscribers, 1);
  const receipt = await bus.post([event(1), event(2)]);
  let isHandled = false;
  receipt.handled.then(() => isHandled = true);
  assert.ok((await reader.read()).value instanceof Event);
  assert.ok((await reader.read()).value instanceof Event);
  assert.equal(isHandled, false);
  const third = reader.read();
  assert.deepEqual(await receipt.handled, []);
  await reader.cancel();
  assert.ok((await third).done);
  assert.equal(bus.subscribers, 0);
});

Deno.test("Bus.stream leaves out what does not meet its condition, as handled", async () => {
  await using bus = open();
  const stream = bus.stream<{ n: number }>({ condition: { n: { $gt: 1 } } });
  const receipt = await bus.post([event(1), event(2)]);
  const seen: number[] = [];
  for await (const { args: { n } } of stream) {
    seen.push(n);
    break;
  }
  assert.deepEqual(seen, [2]);
  assert.deepEqual(await receipt.handled, []);
});

Deno.test("Bus.stream that nobody reads keeps whoever posts waiting, and no message is lost", async () => {
  await using bus = open();
  const stream = bus.stream();
  const all = Array.from({ length: 3000 }, (_, n) => event(n));
  await bus.post(all);
  const later = bus.post(event(3000));
  let n = 0;
  for await (const message of stream) {
    assert.equal((message as Event).args["n"], n);
    if (n++ === 3000) break;
  }
  await later;
});

Deno.test("Bus.stream closes with its signal and with the bus", async () => {
  const bus = open();
  const end = new AbortController();
  const bySignal = bus.stream({ signal: end.signal }).getReader();
  const waiting = bySignal.read();
  end.abort();
  assert.ok((await waiting).done);
  assert.equal(bus.subscribers, 0);
  const late = bus.stream({ signal: end.signal }).getReader();
  assert.ok((await late.read()).done);
  const byBus = bus.stream().getReader().read();
  await bus.close();
  assert.ok((await byBus).done);
});
