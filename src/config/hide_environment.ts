import process from "node:process";

/**
 * Runs a function to which `process.env` is empty. The YAML parser looks into
 * it, which needs a permission, for variables that make it print all that it
 * reads, passwords included.
 *
 * @param run What to run; it must not wait for anything.
 * @returns What the function returns.
 */
export function hideEnvironment<T>(run: () => T): T {
  const { env } = process;
  process.env = {};
  try {
    return run();
  } finally {
    process.env = env;
  }
}
