import type { Failure } from "./receipt.ts";

/** What became of a frame. */
export interface Report {
  /** The frame's number. */
  readonly number: number;
  /** What failed of it. */
  readonly failures: readonly Failure[];
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();
const HEADER = 8;

/**
 * Makes a report.
 *
 * ```text
 * u32  bytes of the whole report
 * u32  number of the frame
 *      failures (JSON, where there are any)
 * ```
 */
export function encodeReport({ number, failures }: Report): Uint8Array {
  const body = failures.length === 0
    ? new Uint8Array()
    : encoder.encode(JSON.stringify(failures.map(({ error, ...failure }) => ({
      ...failure,
      error: { name: error.name, message: error.message },
    }))));
  const report = new Uint8Array(HEADER + body.length);
  new Uint32Array(report.buffer, 0, 2).set([report.length, number]);
  report.set(body, HEADER);
  return report;
}

/** Reads a report that {@linkcode encodeReport} has made. */
export function decodeReport(report: Uint8Array): Report {
  const number = new Uint32Array(report.buffer, 4, 1)[0]!;
  if (report.length === HEADER) return { number, failures: [] };
  const failures: Failure[] = JSON.parse(
    decoder.decode(report.subarray(HEADER)),
  );
  return {
    number,
    failures: failures.map(({ error, ...failure }) => ({
      ...failure,
      error: Object.assign(new Error(error.message), { name: error.name }),
    })),
  };
}
