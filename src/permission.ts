/** Says what a permission of Deno's is needed for. */
interface Need {
  /** Names the work that cannot be done without it, as in `Cannot send`. */
  readonly attempted: string;
  /** Names the deed that Deno does not let the program do. */
  readonly deed: string;
  /** The flag that gives the permission. */
  readonly flag: string;
  /** Says what to do otherwise, where there is something. */
  readonly instead?: string;
}

/**
 * Tells a missing permission well: Deno's own error says what is lacking, and not
 * what for, nor what to do otherwise.
 *
 * @param thrown What was thrown.
 * @param need What the permission is needed for.
 * @returns What to throw: every other error is returned as it is.
 */
export function toldLack(thrown: unknown, need: Need): unknown {
  if (!(thrown instanceof Deno.errors.NotCapable)) return thrown;
  const { attempted, deed, flag, instead } = need;
  return new Deno.errors.NotCapable(
    `Cannot ${attempted}: Deno does not let this program ${deed}; run it with ${flag}${
      instead === undefined ? "" : `, or ${instead}`
    }`,
    { cause: thrown },
  );
}

/**
 * Gives the host's name, by which a device goes that nobody has named.
 *
 * @param attempted What needs the name, as in `Cannot send`.
 * @param instead What to do otherwise, such as to give another name.
 * @throws {Deno.errors.NotCapable} The name may not be read.
 */
export function readHostName(
  attempted: string,
  instead: string = OWN_ID,
): string {
  try {
    return Deno.hostname();
  } catch (error) {
    throw toldLack(error, {
      attempted,
      deed: "read the host's name",
      flag: "--allow-sys=hostname",
      instead,
    });
  }
}

const OWN_ID =
  "give the device an id (`deviceId`, --device-id or PLATYPUSH_DEVICE_ID)";
