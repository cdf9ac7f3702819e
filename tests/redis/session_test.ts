import assert from "node:assert/strict";
import { Connection } from "../../src/redis/mod.ts";
import { Session } from "../../src/redis/session.ts";
import { later } from "../later.ts";
import { LineLogger } from "../line_logger.ts";
import { TestServer } from "../servers.ts";

/** So many bytes are not too much for the way. */
const PLENTY = 2 ** 20;

interface Lost {
  readonly control: Connection;
  readonly session: Session;
  readonly numbers: readonly number[];
  /** The connection breaks while a list is read. */
  readonly breakAt: (number: number) => void;
  readonly options: {
    readonly queue: string;
    readonly logger: LineLogger;
    readonly control: Connection;
  };
}

/** Lays lists to which nothing came, but for one, as if their answers were lost. */
async function layLost(server: TestServer): Promise<Lost> {
  const logger = new LineLogger();
  const control = await Connection.connect(server.args, { logger });
  const session = new Session("queue", "me");
  const numbers = Array.from({ length: 10 }, () => session.next());
  session.known = new Set();
  await server.run("RPUSH", session.keys.batch(numbers[0]!), "a", "b");
  const options = { queue: "queue", logger, control };
  const breakAt = (number: number): void =>
    session.unread.add(number, session.keys.batch(number), options);
  return { control, session, numbers, breakAt, options };
}

Deno.test("Session reads one of many lists a second after one connection has broken", async () => {
  await using server = await TestServer.start();
  const lost = await layLost(server);
  await using _control = lost.control;
  const { session, numbers, breakAt, options } = lost;
  for (const number of numbers) breakAt(number);
  assert.deepEqual(await session.findLost(numbers, PLENTY, options), []);
  using _later = later(1.1);
  assert.deepEqual(await session.findLost(numbers, PLENTY, options), [
    numbers[0],
  ]);
});

Deno.test("Session reads what breaks the connection ever more rarely, and begins anew with another list", async () => {
  await using server = await TestServer.start();
  const lost = await layLost(server);
  await using _control = lost.control;
  const { session, numbers, breakAt, options } = lost;
  const [first, second] = numbers as [number, number];
  breakAt(first);
  {
    using _later = later(10);
    breakAt(first);
  }
  {
    using _later = later(20);
    breakAt(first);
    session.known.add(first);
    // It is just being read.
    await session.findLost([first, second], PLENTY, options);
    assert.ok(session.unread.size > 0);
    session.known.delete(first);
  }
  {
    using _later = later(21.5);
    assert.deepEqual(await session.findLost([first], PLENTY, options), []);
    // Somebody has removed it.
    assert.deepEqual(await session.findLost([], PLENTY, options), []);
    assert.ok(session.unread.size === 0);
  }
  using _later = later(30);
  breakAt(first);
  using _muchLater = later(1.1);
  assert.deepEqual(await session.findLost([first], PLENTY, options), [first]);
});
