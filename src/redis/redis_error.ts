/**
 * What went wrong with Redis, as a {@linkcode RedisError} tells programs:
 *
 * - `connection`: no server answered, or the connection was lost.
 * - `unavailable`: the server answers but does not serve yet (loading, busy,
 *   no quorum, between two masters).
 * - `moved`: the key lives on another node of the cluster by now.
 * - `readonly`: the server is a replica, or may not be written to.
 * - `memory`: the server is out of memory.
 * - `auth`: the user's name or password is wrong or missing.
 * - `permission`: the user may not run the command or touch the key.
 * - `tls`: the two sides do not agree on TLS, or a certificate is not trusted.
 * - `wrong-type`: a key holds something else than was expected.
 * - `unsupported`: the server is too old.
 * - `no-script`: the server has forgotten a script.
 * - `taken`: another consumer took this consumer for dead.
 * - `closed`: the connection was closed on this side.
 * - `reply`: any other error that the server answered.
 */
export type RedisErrorCode =
  | "connection"
  | "unavailable"
  | "moved"
  | "readonly"
  | "memory"
  | "auth"
  | "permission"
  | "tls"
  | "wrong-type"
  | "unsupported"
  | "no-script"
  | "taken"
  | "closed"
  | "reply";

/**
 * An error of the connection to Redis or of a command. Its message never has a
 * password in it.
 *
 * @example
 * ```ts
 * import { RedisError } from "@platypush/redis";
 *
 * const error = new RedisError("The server is out of memory.", "memory");
 * if (error.code !== "memory" || error.mayHaveRun) throw error;
 * ```
 */
export class RedisError extends Error {
  /** `RedisError`. */
  override name = "RedisError";
  /** What went wrong, for programs. */
  readonly code: RedisErrorCode;
  /**
   * Whether the server may have run the command although no answer came:
   * running it once more could then do its work twice.
   */
  readonly mayHaveRun: boolean;

  /**
   * Makes an error.
   *
   * @param message A sentence for people.
   * @param code What went wrong, for programs.
   * @param options `cause`, and `mayHaveRun` where a command was on its way.
   */
  constructor(
    message: string,
    code: RedisErrorCode,
    options: ErrorOptions & { mayHaveRun?: boolean } = {},
  ) {
    super(message, options);
    this.code = code;
    this.mayHaveRun = options.mayHaveRun ?? false;
  }

  /** Whether waiting and trying again can help. */
  get isTransient(): boolean {
    return TRANSIENT.has(this.code);
  }
}

const TRANSIENT: ReadonlySet<RedisErrorCode> = new Set([
  "connection",
  "unavailable",
  "moved",
  "readonly",
  "memory",
  "no-script",
]);

/**
 * Turns whatever the client, a socket or the server reported into a
 * {@linkcode RedisError} that tells a person what to do.
 *
 * @param error What was thrown.
 * @param what What was being done, as in `Cannot ${what}: …`.
 * @param sent Whether a command was on its way when a connection failed.
 */
export function toRedisError(
  error: unknown,
  what: string,
  sent = false,
): RedisError {
  if (error instanceof RedisError) return error;
  const cause = error instanceof Error ? error : new Error(String(error));
  const text = cause.message;
  const [code, advice] = classify(cause, text);
  const detail = advice ?? text.replace(/\.$/, "");
  return new RedisError(`Cannot ${what}: ${detail}.`, code, {
    cause,
    mayHaveRun: sent && code === "connection",
  });
}

/** The first word of an error reply, by which Redis tells kinds of errors apart. */
const REPLIES: Readonly<Record<string, [RedisErrorCode, string?]>> = {
  WRONGPASS: [
    "auth",
    "the server refused the user's name or password; check `username` and `password`",
  ],
  NOAUTH: ["auth", "the server wants a password; set `password`"],
  LOADING: ["unavailable", "the server is still loading its data (LOADING)"],
  BUSY: ["unavailable"],
  MASTERDOWN: ["unavailable"],
  CLUSTERDOWN: ["unavailable"],
  TRYAGAIN: ["unavailable"],
  NOREPLICAS: ["unavailable"],
  MISCONF: ["unavailable"],
  MOVED: ["moved"],
  ASK: ["moved"],
  READONLY: [
    "readonly",
    "the server only serves reads; it is a replica, or it has just become one",
  ],
  OOM: [
    "memory",
    "the server is out of memory; raise its `maxmemory` or remove what is no longer needed",
  ],
  WRONGTYPE: [
    "wrong-type",
    "the key exists, but is of another type than is needed; use another name, or remove it (WRONGTYPE)",
  ],
  NOSCRIPT: ["no-script"],
  TAKEN: ["taken"],
};

const TLS_ERRORS = /^(ERR_TLS|ERR_SSL|EPROTO)|CERT|SIGNATURE/;
const TLS_TEXTS = /certificate|handshake|corrupt message|fatal alert/i;
/** What Deno does not tell apart. */
const TLS_HINTS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    "the server's certificate has expired, or nobody trusted has signed it",
};
const CONNECTION_ERRORS =
  /^(ECONN|EHOST|ENET|EPIPE|ETIMEDOUT|EAI_|ENOTFOUND|ENOENT|EACCES|ERR_STREAM)/;

const PERMISSION_ADVICE =
  "give the user what is missing with ACL SETUSER; the guide to Redis set-ups lists all that is needed";

const CONNECTION_ADVICE: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused; does a server run there?",
  ENOTFOUND: "the host's name does not resolve; check `host`",
  EAI_AGAIN: "the host's name does not resolve at the moment",
  ENOENT: "there is no such socket; check `unix_socket_path`",
  EACCES: "this user may not open the socket",
  ECONNRESET: "the server broke the connection off",
};

function classify(
  error: Error & { code?: unknown },
  text: string,
): [RedisErrorCode, string?] {
  // Redis 6.2 hides the reply that ended a script behind where it happened.
  const word =
    /^(?:ERR Error running script.*?@user_script: ?\d+: )?-?([A-Z]+)\b/
      .exec(text)?.[1];
  if (word === "NOPERM" || /user executing the script can't/.test(text)) {
    return ["permission", `${text.replace(/\.$/, "")}; ${PERMISSION_ADVICE}`];
  }
  const known = word === undefined ? undefined : REPLIES[word];
  if (known !== undefined) return known;
  if (/invalid password|AUTH .*without any password/i.test(text)) {
    return [
      "auth",
      "the server refused the password, or has none configured; check `username` and `password`",
    ];
  }
  if (/unknown command .?HELLO/i.test(text)) {
    return [
      "unsupported",
      "the server does not know HELLO, so it is older than Redis 6.2, the oldest supported version",
    ];
  }
  if (TLS_ERRORS.test(String(error.code)) || TLS_TEXTS.test(text)) {
    const hint = TLS_HINTS[String(error.code)];
    return [
      "tls",
      `the TLS handshake failed (${text}${
        hint === undefined ? "" : `: ${hint}`
      }); check the \`ssl…\` arguments`,
    ];
  }
  const advice = CONNECTION_ADVICE[String(error.code)];
  if (advice !== undefined) return ["connection", `${advice} (${error.code})`];
  if (
    CONNECTION_ERRORS.test(String(error.code)) ||
    /timeout|closed|Disconnects|offline|aborted|connect|reset|refused|broken pipe/i
      .test(text)
  ) {
    return ["connection"];
  }
  return ["reply"];
}
