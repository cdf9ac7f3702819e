import type { TestServer } from "./servers.ts";

/** Counts the commands that a server has run, also within scripts, each by its name. */
export async function calls(
  server: TestServer,
): Promise<Record<string, number>> {
  const text = await server.run<string>("INFO", "commandstats");
  const all = text.matchAll(/cmdstat_(\S+?):calls=(\d+)/g);
  return Object.fromEntries(
    [...all].map(([, name, count]) => [name, Number(count)]),
  );
}

/** Counts how often a server has run a command, also within scripts. */
export async function callsOf(
  server: TestServer,
  name: string,
): Promise<number> {
  return (await calls(server))[name] ?? 0;
}
