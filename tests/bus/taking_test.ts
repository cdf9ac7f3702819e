import assert from "node:assert/strict";
import { BusError, Event } from "../../src/bus/mod.ts";
import { inTime } from "../in_time.ts";
import { standstill } from "./standstill.ts";
import { event, open } from "./buses.ts";

Deno.test("Bus is iterated until the loop ends, and a message is handled when the next is asked for", async () => {
  await using bus = open();
  const receipts: Promise<unknown>[] = [];
  const done: number[] = [];
  const seen: unknown[] = [];
  const loop = (async () => {
    for await (const message of bus) {
      seen.push((message as Event).args.n);
      await standstill(() => done.length);
      assert.deepEqual(done, seen.slice(0, -1));
      if (seen.length === 3) break;
    }
  })();
  for (const n of [0, 1, 2]) {
    const receipt = await bus.post(event(n));
    receipts.push(receipt.handled.then(() => done.push(n)));
  }
  await loop;
  await Promise.all(receipts);
  assert.deepEqual(seen, [0, 1, 2]);
  assert.equal(bus.subscribers, 0);
});

Deno.test("Bus gives back messages that a loop leaves behind, which have not failed", async () => {
  await using bus = open();
  const loop = bus[Symbol.asyncIterator]();
  const next = loop.next();
  const receipt = await bus.post([event(0), event(1), event(2)]);
  await next;
  await loop.return();
  const failures = await receipt.handled;
  assert.deepEqual(failures.map(({ index, reason }) => [index, reason]), [[
    1,
    "left",
  ], [2, "left"]]);
  assert.equal(bus.stats().failed, 0);
});

Deno.test("Bus.get waits for a message, or for its time", async () => {
  await using bus = open();
  assert.equal(await bus.get(0.01), undefined);
  const later = bus.get();
  await bus.post([event(1), event(2)]);
  assert.equal((await later as Event).args.n, 1);
  assert.equal((await bus.get(0) as Event).args.n, 2);
});

Deno.test("Bus ends loops, waiting and posting when it is closed", async () => {
  const bus = open();
  const loop = bus[Symbol.asyncIterator]().next();
  const waiting = bus.get();
  const closed = bus.close();
  assert.deepEqual(await loop, { value: undefined, done: true });
  assert.equal(await waiting, undefined);
  await closed;
  await bus.stop();
  const unused = open();
  await unused.close();
  for (const one of [bus, unused]) {
    assert.equal(await inTime(one.get(), "the end of get"), undefined);
  }
  await assert.rejects(bus.post(event(1)), BusError);
  assert.throws(
    () => bus.registerHandler(Event, () => {}),
    {
      message: `Cannot register a handler: the bus "${bus.name}" is closed`,
    },
  );
});

Deno.test("Bus settles what several readers take at once", async () => {
  await using bus = open();
  const readers = [bus.get(), bus.get()];
  const receipt = await bus.post([event(1), event(2)]);
  await Promise.all(readers);
  await bus.get(0);
  await bus.get(0);
  assert.deepEqual(await receipt.handled, []);
});

Deno.test("Bus gives a loop the time that it takes", async () => {
  await using bus = open({ handlerTimeout: 0.02, stallTimeout: 0.04 });
  const loop = bus[Symbol.asyncIterator]();
  const first = loop.next();
  const receipt = await bus.post([event(0), event(1)]);
  await first;
  // Several beats, each of which would end a handler that took so long.
  assert.equal(await bus.get(0.1), undefined);
  await loop.next();
  await loop.return();
  assert.deepEqual(await receipt.handled, []);
});

Deno.test("Bus.release ends what get has begun, and a later get begins anew", async () => {
  await using bus = open();
  bus.release();
  const waiting = [bus.get(), bus.get()];
  assert.equal(bus.subscribers, 1);
  bus.release();
  const ended = await inTime(Promise.all(waiting), "the end of get");
  assert.deepEqual(ended, [undefined, undefined]);
  assert.equal(bus.subscribers, 0);
  await bus.get(0);
  const receipt = await bus.post([event(0), event(1), event(2)]);
  assert.equal((await bus.get() as Event).args.n, 0);
  assert.equal((await bus.get() as Event).args.n, 1);
  bus.release();
  const failures = await receipt.handled;
  assert.deepEqual(failures.map(({ index, reason }) => [index, reason]), [
    [2, "left"],
  ]);
  const next = bus.get();
  const later = await bus.post(event(3));
  assert.equal((await next as Event).args.n, 3);
  bus.release();
  assert.deepEqual(await later.handled, []);
});
