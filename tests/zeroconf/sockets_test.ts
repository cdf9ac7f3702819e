import assert from "node:assert/strict";
import { Sockets } from "../../src/zeroconf/sockets.ts";
import { until } from "../until.ts";

Deno.test("Sockets make no more room for a packet than the largest takes", async () => {
  const packets: Uint8Array[] = [];
  const sockets = new Sockets({
    choose: (all) => all.filter(({ loopback }) => loopback),
    warn: () => {},
    debug: () => {},
    onNetworkChange: () => {},
    onPacket: (packet) => packets.push(packet),
  });
  try {
    await sockets.open(false);
    const name = `_${crypto.randomUUID().slice(0, 13)}._tcp.local`;
    const ask = (): void =>
      sockets.send({ type: "query", questions: [{ name, type: "PTR" }] });
    // For the first packet, there was room before anybody could say how much.
    ask();
    await until(() => packets.length > 0, "a packet");
    ask();
    await until(() => packets.length > 1, "another packet");
    const room = packets.at(-1)!.buffer.byteLength;
    assert.ok(room <= 9_000, `room for ${room} bytes`);
  } finally {
    await sockets.close();
  }
});
