import { RedisBackend } from "../../mod.ts";
import { readCommandLine, readNumber } from "./options.ts";
import { printLine } from "./print_line.ts";
import { ExitCode } from "./program.ts";
import { UsageError } from "./usage_error.ts";

/** `send`: sends an event, a request, or a message as it is. */
export async function runSend(args: string[]): Promise<void> {
  const line = await readCommandLine(args, {
    target: { type: "string" },
    wait: { type: "string" },
  });
  const [kind, subject, ...pairs] = line.positionals;
  if (subject === undefined) {
    throw new UsageError(
      "Nothing to send: expected `event TYPE`, `request ACTION` or `message JSON`. See --help",
    );
  }
  const { target, wait } = line.values;
  if (wait !== undefined && kind !== "request") {
    throw new UsageError("Only a request has a response to --wait for");
  }
  await using backend = new RedisBackend({
    redisArgs: line.url ? { url: line.url } : {},
    queue: line.queue,
    deviceId: line.deviceId,
  });
  const to = typeof target === "string" ? { target } : {};
  const values = Object.fromEntries(pairs.map(readPair));
  switch (kind) {
    case "event":
      await backend.sendEvent({ ...to, args: { ...values, type: subject } });
      return;
    case "request": {
      const request = {
        target: backend.deviceId,
        ...to,
        origin: backend.deviceId,
        action: subject,
        args: values,
      };
      if (wait === undefined) {
        return await backend.sendMessage({ type: "request", ...request });
      }
      const response = await backend.sendRequest(request, {
        responseTimeout: readNumber(line, "wait")!,
      });
      await printLine(response.toString());
      if (response.errors.length > 0) Deno.exitCode = ExitCode.No;
      return;
    }
    case "message":
      return await backend.sendMessage(subject);
    default:
      throw new UsageError(
        `Cannot send "${kind}", expected event, request or message`,
      );
  }
}

function readPair(pair: string): [name: string, value: unknown] {
  const at = pair.indexOf("=");
  if (at < 1) {
    throw new UsageError(`"${pair}" is no argument, expected NAME=VALUE`);
  }
  const text = pair.slice(at + 1);
  try {
    return [pair.slice(0, at), JSON.parse(text)];
  } catch {
    return [pair.slice(0, at), text];
  }
}
