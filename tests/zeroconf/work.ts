import { Session } from "node:inspector/promises";

const FOLDER = new URL("../../src/zeroconf/", import.meta.url).href;

/** What ran meanwhile, counted by V8: on a busy machine it is the same. */
export interface Work {
  /** How often a function of a file in `src/zeroconf` was called. */
  calls(file: string, name: string): number;
  /** How often all functions of `src/zeroconf` were called, and blocks in them, such as of loops. */
  readonly total: number;
}

/** Counts what runs in `src/zeroconf` meanwhile. */
export async function workOf(run: () => void | Promise<void>): Promise<Work> {
  const session = new Session();
  session.connect();
  try {
    await session.post("Profiler.enable");
    await session.post("Profiler.startPreciseCoverage", {
      callCount: true,
      detailed: true,
    });
    await run();
    const { result } = await session.post("Profiler.takePreciseCoverage");
    const scripts = result.filter(({ url }) => url.startsWith(FOLDER));
    return {
      calls: (file, name) =>
        scripts.filter(({ url }) => url === FOLDER + file)
          .flatMap(({ functions }) => functions)
          .filter(({ functionName }) => functionName === name)
          .reduce((sum, { ranges }) => sum + ranges[0]!.count, 0),
      total: scripts.flatMap(({ functions }) => functions)
        .flatMap(({ ranges }) => ranges)
        .reduce((sum, { count }) => sum + count, 0),
    };
  } finally {
    session.disconnect();
  }
}
