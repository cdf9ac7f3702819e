import assert from "node:assert/strict";
import fc from "fast-check";
import { until } from "../until.ts";
import { RecordReader, Ring, RingState } from "../../src/bus/ring.ts";

Deno.test("Ring moves the same bytes as an array, whatever the sizes", () => {
  const step = fc.record({ write: fc.boolean(), size: fc.nat(90) });
  fc.assert(
    fc.property(
      fc.constantFrom(1, 2, 16, 64),
      fc.array(step, { maxLength: 200 }),
      (capacity, steps) => {
        const writer = new Ring(capacity);
        const reader = new Ring(writer.buffer);
        const model: number[] = [];
        let next = 0;
        for (const { write, size } of steps) {
          if (write) {
            const source = Uint8Array.from({ length: size + 1 }, () => next++);
            const count = writer.write(source, 1);
            assert.equal(count, Math.min(size, capacity - model.length));
            model.push(...source.subarray(1, 1 + count));
            next -= size - count;
          } else {
            const target = new Uint8Array(size + 1);
            const count = reader.read(target, 1);
            assert.equal(count, Math.min(size, model.length));
            assert.deepEqual(
              [...target.subarray(1, 1 + count)],
              model.splice(0, count),
            );
          }
          assert.equal(writer.readable, model.length);
          assert.equal(reader.writable, capacity - model.length);
        }
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("Ring goes on when its counters overflow", () => {
  for (const counter of [-10, 2 ** 31 - 10]) {
    const ring = new Ring(64);
    const slots = new Int32Array(ring.buffer);
    slots[0] = slots[16] = counter;
    const read = new Uint8Array(40);
    for (let round = 0; round < 5; round++) {
      const bytes = Uint8Array.from({ length: 40 }, (_, i) => i + round);
      assert.equal(ring.write(bytes), 40);
      assert.equal(ring.readable, 40);
      assert.equal(ring.read(read), 40);
      assert.deepEqual(read, bytes);
    }
  }
});

Deno.test("Ring wakes who waits for bytes, for room, or for the state", async () => {
  // Waiting for shared memory does not keep Deno's event loop alive.
  const alive = setInterval(() => {}, 1000);
  const ring = new Ring(4);
  const readable = ring.rung("reader", ring.bell("reader"));
  ring.write(new Uint8Array(4));
  await readable;
  const writable = ring.rung("writer", ring.bell("writer"));
  ring.read(new Uint8Array(1));
  await writable;
  for (const side of ["reader", "writer"] as const) {
    const bell = ring.bell(side);
    assert.ok(ring.transition([ring.state], RingState.Attached));
    // It has rung before anybody waited.
    await ring.rung(side, bell);
  }
  clearInterval(alive);
});

Deno.test("Ring changes its state once, and only from what is expected", () => {
  const writer = new Ring(4);
  const reader = new Ring(writer.buffer);
  assert.ok(reader.transition([RingState.Offered], RingState.Attached));
  assert.ok(!reader.transition([RingState.Offered], RingState.Attached));
  assert.ok(
    writer.transition(
      [RingState.Offered, RingState.Attached],
      RingState.Dropped,
    ),
  );
  assert.equal(reader.state, RingState.Dropped);
});

Deno.test("Ring is left for those who still hold an earlier use of its memory", () => {
  const first = new Ring(4, 1);
  first.reset();
  const second = new Ring(first.buffer, 2);
  second.reset();
  assert.equal(first.state, RingState.Left);
  assert.ok(!first.transition([RingState.Offered], RingState.Attached));
  assert.equal(second.state, RingState.Offered);
});

Deno.test("Ring shows a sign of life of the reader, also when it is asked for one", async () => {
  const alive = setInterval(() => {}, 1000);
  const ring = new Ring(4);
  ring.transition([RingState.Offered], RingState.Attached);
  const { pulse } = ring;
  assert.equal(ring.pulse, pulse);
  ring.beat();
  assert.notEqual(ring.pulse, pulse);
  const answered = ring.answerPings();
  for (let round = 0; round < 3; round++) {
    const { pulse } = ring;
    ring.ping();
    await until(() => ring.pulse !== pulse);
  }
  ring.transition([RingState.Attached], RingState.Left);
  await answered;
  clearInterval(alive);
});

Deno.test("Ring refuses a capacity that is no power of two", () => {
  assert.throws(() => new Ring(100), RangeError);
  assert.throws(() => new Ring(0), RangeError);
});

Deno.test("RecordReader puts records together, also those larger than the ring", () => {
  const records = fc.array(
    fc.record({ size: fc.integer({ min: 4, max: 300 }), seed: fc.nat(255) }),
  );
  fc.assert(
    fc.property(records, fc.infiniteStream(fc.nat(100)), (records, pieces) => {
      const ring = new Ring(128);
      const reader = new RecordReader(ring);
      const sent = records.map(({ size, seed }) => {
        const record = new Uint8Array(size).fill(seed);
        new DataView(record.buffer).setUint32(0, size, true);
        return record;
      });
      const stream = new Uint8Array(sent.flatMap((record) => [...record]));
      const received: Uint8Array[] = [];
      let written = 0;
      while (written < stream.length) {
        const piece = stream.subarray(
          0,
          written + (pieces.next().value ?? 0) + 1,
        );
        written += ring.write(piece, written);
        for (
          let record = reader.next();
          record !== undefined;
          record = reader.next()
        ) {
          received.push(record.slice());
        }
      }
      assert.deepEqual(received, sent);
    }),
  );
});
