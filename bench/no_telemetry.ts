/** Stands in for `src/telemetry` where its cost is measured: it does nothing. */
import type { Message } from "../src/message/mod.ts";

export function addMetricSource(): () => void {
  return () => {};
}

export function isTracing(): boolean {
  return false;
}

export async function traceSending(
  _destination: string,
  messages: readonly Message[],
  send: (texts: readonly string[]) => Promise<unknown>,
): Promise<void> {
  await send(messages.map(String));
}

export function inTraceOf<Result>(
  _message: Message,
  work: () => Result,
): Result {
  return work();
}

export class Processing {
  run(call: () => void): void {
    call();
  }

  end(): void {}
}
