import assert from "node:assert/strict";
import fc from "fast-check";
import { RecordReader } from "../../src/bus/record_reader.ts";
import { Ring } from "../../src/bus/ring.ts";

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
          received.push(record);
        }
      }
      assert.deepEqual(received, sent);
    }),
  );
});
