/**
 * The other process of the demonstration: pushes twenty messages with nothing
 * but a Redis client, as any program in any language can.
 *
 * @module
 */

import { createClient } from "@redis/client";

const [path = "", queue = "", target = ""] = Deno.args;
const client = await createClient({ socket: { path, tls: false } })
  .connect();
for (let n = 1; n <= 20; n++) {
  await client.rPush(queue, n % 5 === 0 ? python(n) : json(n));
  await new Promise((resolve) => setTimeout(resolve, 50));
}
await client.close();

function json(n: number): string {
  return JSON.stringify({
    type: "event",
    target,
    args: { type: "demo.Temperature", n, celsius: 20 + n / 10 },
  });
}

/** What `str()` makes of a dict in Python. */
function python(n: number): string {
  return `{'type': 'event', 'target': '${target}', ` +
    `'args': {'type': 'demo.Motion', 'n': ${n}, 'seen': True, 'by': None}}`;
}
