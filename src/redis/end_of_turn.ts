import { nextTick } from "node:process";
import { promisify } from "node:util";

/**
 * Resolves when all that needs no timer and no socket has gone on, still in the
 * same turn of the event loop. It is not in `waiting.ts`, since `node:process`
 * takes a MiB in each worker that has a bus.
 */
export const endOfTurn: () => Promise<void> = promisify(nextTick);
