/** The ways of `consumer.ts` that are ours. */
import {
  Bus,
  type BusOptions,
  Event,
  Inbox,
  RedisBackend,
  type RedisBackendOptions,
} from "../../mod.ts";
import { countOne } from "./count.ts";
import type { Ours } from "./process.ts";
import { listenInWorkers } from "./workers.ts";

const [, path, queue] = Deno.args as [string, string, string];

/** Ours; `listen` is what is done with the bus in place of a handler. */
async function startOurs(
  options: RedisBackendOptions = {},
  listen?: (bus: RedisBackend["bus"]) => void,
  busOptions: BusOptions = {},
): Promise<void> {
  const bus = new Bus(busOptions);
  if (listen) listen(bus);
  else bus.registerHandler(Event, ({ args }) => countOne(args.sent));
  const backend = new RedisBackend({
    redisArgs: { unix_socket_path: path },
    deviceId: "livingroom",
    queue,
    bus,
    ...options,
  });
  await backend.start();
}

/** What each contender does; it resolves when that takes messages. */
export const ways: Record<Ours, () => Promise<void>> = {
  "ours": () => startOurs(),
  "ours, plain: false": () => startOurs({}, undefined, { plain: false }),
  "ours, at most once": () => startOurs({ delivery: "at-most-once" }),
  "ours, async handler": () =>
    startOurs({}, (bus) => {
      // deno-lint-ignore require-await -- the promise is what is measured
      bus.registerHandler(Event, async ({ args }) => countOne(args.sent));
    }),
  "ours, for await": () =>
    startOurs({}, async (bus) => {
      for await (const _ of bus) countOne();
    }),
  "ours, handler in a worker": async () => {
    await startOurs({}, () => {});
    await listenInWorkers(1, "listener.ts");
  },
  "ours, handler in a worker, plain: false": async () => {
    await startOurs({}, () => {}, { plain: false });
    await listenInWorkers(1, "listener.ts");
  },
  "ours, 1,000 queues": () =>
    startOurs({
      queue: Array.from({ length: 1000 }, (_, at) => `${queue}${at}`),
    }),
  "ours, 60 workers": async () => {
    await startOurs();
    await listenInWorkers(60, "listener.ts");
  },
  "ours, 100 consumers": async () => {
    for (let n = 0; n < 100; n++) {
      await Inbox.open({ unix_socket_path: path }, { queue });
    }
  },
  "ours, after 100 were killed": () => startOurs(),
};
