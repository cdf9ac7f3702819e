import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { Browser } from "../../src/zeroconf/mod.ts";
import { encodeMessage } from "../../src/zeroconf/wire_format.ts";
import { until } from "../until.ts";
import { serviceRecords, TYPE } from "./helpers.ts";
import { workOf } from "./work.ts";

const OTHERS = 200;

Deno.test("Packets that concern nobody here are dropped before they are decoded", async () => {
  const type = `_t${crypto.randomUUID().slice(0, 8)}._tcp`;
  const named = (name: string): string => name.replace(TYPE, `${type}.local`);
  await using browser = new Browser({ type, interfaces: ["127.0.0.1"] });
  await browser.start();
  await using stack = new AsyncDisposableStack();
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  stack.defer(() =>
    new Promise<void>((resolve) => socket.close(() => resolve()))
  );
  await new Promise<void>((resolve) =>
    socket.bind(5353, "127.0.0.1", () => resolve())
  );
  socket.setMulticastInterface("127.0.0.1");
  const say = (records: ReturnType<typeof serviceRecords>): Promise<void> => {
    const answers = Object.values(records);
    const packet = encodeMessage({ type: "response", answers });
    return new Promise((resolve, reject) =>
      socket.send(
        packet,
        5353,
        "224.0.0.251",
        (error) => error ? reject(error) : resolve(),
      )
    );
  };
  const { ptr, srv, txt, a } = serviceRecords();
  const ours = {
    ptr: { ...ptr, name: named(ptr.name), data: named(ptr.data as string) },
    srv: { ...srv, name: named(srv.name) },
    txt: { ...txt, name: named(txt.name) },
    a,
  } as ReturnType<typeof serviceRecords>;
  const work = await workOf(async () => {
    for (let i = 0; i < OTHERS; i++) {
      await say(
        serviceRecords({ instance: `other ${i}`, host: `h${i}.local` }),
      );
    }
    // What comes after them tells that they have come.
    await until(async () => {
      await say(ours);
      return browser.services.length > 0;
    });
  });
  const decoded = work.calls("wire_format.ts", "decodeMessage");
  assert.ok(decoded > 0 && decoded < OTHERS / 2, `${decoded} were decoded`);
});
