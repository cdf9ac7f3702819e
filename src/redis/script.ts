import { createHash } from "node:crypto";

/**
 * A Lua script for {@linkcode Connection.script}, together with the digest that
 * names it on the server.
 */
export interface Script {
  /** The script's text. */
  readonly lua: string;
  /** The hexadecimal SHA-1 digest of the text (`EVALSHA`). */
  readonly sha1: string;
}

/** Prepares a script. */
export function defineScript(lua: string): Script {
  return { lua, sha1: createHash("sha1").update(lua).digest("hex") };
}
