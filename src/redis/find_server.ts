import { keySlot } from "./key_slot.ts";
import { Link, type LinkOptions } from "./link.ts";
import { type Address, formatAddress, type Settings } from "./options.ts";
import { RedisError } from "./redis_error.ts";

/**
 * Finds the server to talk to: the configured one, the master that the
 * sentinels name, or the cluster's node that holds a key. It is asked for again
 * on each connect, so a failover needs nothing else to be noticed.
 *
 * @param settings How to reach Redis.
 * @param key The key that matters, in a cluster.
 * @param options How to connect to whom is asked.
 * @throws {RedisError} Nobody knows the server at the moment.
 */
export async function findServer(
  settings: Settings,
  key: string | undefined,
  options: LinkOptions,
): Promise<Address> {
  const { sentinel, cluster } = settings;
  if (sentinel !== undefined) {
    return await ask(
      sentinel.addresses,
      {
        ...settings,
        db: 0,
        username: sentinel.username,
        password: sentinel.password,
      },
      options,
      `no sentinel knows a master named "${sentinel.serviceName}"`,
      (link) => masterOf(link, sentinel.serviceName),
    );
  }
  if (cluster !== undefined) {
    const slot = keySlot(key ?? "");
    return await ask(
      cluster,
      settings,
      options,
      `no node of the cluster serves slot ${slot}`,
      (link) => ownerOf(link, slot),
    );
  }
  return settings.address;
}

type Question = (link: Link) => Promise<Address | undefined>;

/** Asks one after the other until somebody knows. */
async function ask(
  addresses: readonly Address[],
  settings: Settings,
  options: LinkOptions,
  failure: string,
  question: Question,
): Promise<Address> {
  const problems: string[] = [];
  for (const address of addresses) {
    let link: Link | undefined;
    try {
      link = await Link.open(address, settings, options);
      const answer = await withTimeout(question(link), settings.connectTimeout);
      if (answer !== undefined) return answer;
      problems.push(`${formatAddress(address)} does not know it.`);
    } catch (error) {
      if (options.signal.aborted) throw error;
      if (
        error instanceof RedisError && !error.isTransient &&
        error.code !== "closed"
      ) throw error;
      problems.push((error as Error).message);
    } finally {
      link?.close();
    }
  }
  throw new RedisError(
    `Cannot connect to Redis: ${failure}. ${problems.join(" ")}`,
    "connection",
  );
}

/** `SENTINEL GET-MASTER-ADDR-BY-NAME`. */
async function masterOf(
  link: Link,
  name: string,
): Promise<Address | undefined> {
  const reply = await link.send<[string, string] | null>(
    ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", name],
  );
  if (reply === null) return undefined;
  return { host: reply[0], port: Number(reply[1]) };
}

/** `CLUSTER SLOTS`; an empty host there means the node that was asked. */
async function ownerOf(
  link: Link,
  slot: number,
): Promise<Address | undefined> {
  const ranges = await link.send<[number, number, [string | null, number]][]>(
    ["CLUSTER", "SLOTS"],
  );
  for (const [first, last, [host, port]] of ranges) {
    if (slot < first || slot > last) continue;
    const asked = "host" in link.address ? link.address.host : "127.0.0.1";
    return { host: host || asked, port };
  }
  return undefined;
}

async function withTimeout<Value>(
  promise: Promise<Value>,
  seconds: number,
): Promise<Value> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    return await Promise.race([
      promise,
      new Promise<never>((_, reject) => {
        timer = setTimeout(
          () => reject(new Error(`no answer within ${seconds} s`)),
          seconds * 1000,
        );
        Deno.unrefTimer(timer);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
