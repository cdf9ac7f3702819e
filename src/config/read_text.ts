import { ConfigError } from "./config_error.ts";

/** No configuration is larger, in bytes. */
const MAX_SIZE = 2 ** 20;

/** Tells whether a file may be read without asking anybody. */
export async function mayRead(path: string): Promise<boolean> {
  const { state } = await Deno.permissions.query({ name: "read", path });
  return state === "granted";
}

/**
 * Reads a text file of reasonable size. It never asks for the permission.
 *
 * @param name What to call it in an error.
 * @throws {ConfigError} If it cannot be read, and why.
 */
export async function readText(path: string, name = path): Promise<string> {
  if (!await mayRead(path)) {
    throw new ConfigError(
      `${name} may not be read; run the program with --allow-read=${path}`,
    );
  }
  const bytes = await readBytes(path, name);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigError(`${name} is not encoded in UTF-8`);
  }
}

async function readBytes(path: string, name: string): Promise<Uint8Array> {
  const bytes = new Uint8Array(MAX_SIZE + 1);
  let size = 0;
  try {
    using file = await Deno.open(path);
    // Not `readFile()`, since a device or a pipe may have no end.
    while (size < bytes.length) {
      const count = await file.read(bytes.subarray(size));
      if (count === null) return bytes.subarray(0, size);
      size += count;
    }
  } catch (cause) {
    throw new ConfigError(`${name} ${explain(cause)}`, { cause });
  }
  throw new ConfigError(
    `${name} is larger than ${MAX_SIZE / 2 ** 20} MiB, and is not read`,
  );
}

function explain(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "does not exist";
  if (error instanceof Deno.errors.PermissionDenied) {
    return "may not be read by this user; check its owner and mode";
  }
  if (error instanceof Deno.errors.IsADirectory) return "is a folder";
  return `cannot be read (${(error as Error).message})`;
}
