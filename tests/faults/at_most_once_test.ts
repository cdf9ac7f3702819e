import assert from "node:assert/strict";
import { TestServer } from "../servers.ts";
import { Flow } from "./flow.ts";

const KILLS = 20;
/** A batch that is on its way when its connection breaks is lost. */
const ON_ITS_WAY = 2 * 100;

Deno.test("Nothing comes twice when it is delivered at most once and connections break", async () => {
  await using server = await TestServer.start();
  await using flow = new Flow();
  const { stop } = await flow.consume(server.args, {
    delivery: "at-most-once",
  });
  const producing = flow.produce(server.args, 5000, 1);
  for (let kill = 1; kill <= KILLS; kill++) {
    await flow.until(kill * 150);
    await server.run("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
  }
  await producing;
  await flow.produce(server.args, 5010);
  const last = Math.max(...flow.sent);
  while (!flow.handled.has(last)) await flow.until(flow.handled.size + 1);
  await stop();
  assert.equal(flow.duplicates, 0);
  assert.equal(await server.run("EXISTS", "queue"), 0);
  const lost = [...flow.sent].filter((number) => !flow.handled.has(number));
  assert.ok(lost.length <= KILLS * ON_ITS_WAY, String(lost.length));
});
