import assert from "node:assert/strict";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
import type { TestServer } from "../servers.ts";

/** One script that ran: the arguments with which it called each command. */
export type Ran = Map<string, string[][]>;

/** Tells what each script does that runs meanwhile (`MONITOR`). */
export async function watchScripts(
  server: TestServer,
  work: () => Promise<void>,
): Promise<Ran[]> {
  const { host, port, unix_socket_path: path } = server.args;
  const socket = createConnection(path ? { path } : { host, port: port! });
  const scripts: Ran[] = [];
  const end = crypto.randomUUID();
  socket.write("MONITOR\r\n");
  const lines = createInterface({
    input: socket,
    // Else a line end that comes in two parts, 100 ms apart, is an empty line, too.
    crlfDelay: Infinity,
  })[Symbol.asyncIterator]();
  assert.equal((await lines.next()).value, "+OK");
  await work();
  await server.run("ECHO", end);
  for (
    let line;
    !(line = (await lines.next()).value as string).includes(end);
  ) {
    const [, who, text] = /^\S+ \[\d+ ([^\]]*)\] (.*)$/.exec(line)!;
    const [name, ...args] = [...text!.matchAll(/"((?:[^"\\]|\\.)*)"/g)]
      .map(([, word]) => word!);
    if (who !== "lua") {
      if (name!.startsWith("EVAL")) scripts.push(new Map());
      continue;
    }
    const script = scripts.at(-1)!;
    script.set(name!, [...script.get(name!) ?? [], args]);
  }
  socket.destroy();
  return scripts;
}

/** Counts how often one script called a command, at most. */
export function mostOf(name: string, scripts: readonly Ran[]): number {
  return Math.max(...scripts.map((script) => script.get(name)?.length ?? 0));
}
