/**
 * Looks for what usually goes wrong.
 *
 * @module
 */

export { diagnose, type DiagnoseOptions } from "./diagnose.ts";
export type { Finding } from "./finding.ts";
