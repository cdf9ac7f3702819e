import { errorOf } from "../guarded.ts";

/**
 * An error of the connection to Redis or of a command. Its fields say what was
 * attempted, where, why it did not work and what to do; its message is the
 * sentence made of them, without a full stop. No field has a password in it.
 *
 * @example
 * ```ts
 * import { RedisError } from "@platypush/redis";
 *
 * const error = new RedisError({
 *   attempted: 'send to "queue"',
 *   place: "127.0.0.1:6379",
 *   reason: "the server is out of memory",
 * }, "memory");
 * console.assert(
 *   error.message ===
 *     'Cannot send to "queue" at 127.0.0.1:6379: the server is out of memory',
 * );
 * if (error.code !== "memory" || error.mayHaveRun) throw error;
 * ```
 */
export class RedisError extends Error {
  /** `RedisError`. */
  override name = "RedisError";
  /**
   * Names what went wrong, for programs:
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
  readonly code:
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
  /** The work that was attempted, as in `Cannot ${attempted}: ...`. */
  readonly attempted: string | undefined;
  /** The server, as `host:port` or the path of its socket. */
  readonly place: string | undefined;
  /** Why it did not work. */
  readonly reason: string;
  /** Advises what to do about it. */
  readonly advice: string | undefined;
  /** One more sentence, such as how far the work has come. */
  readonly note: string | undefined;
  /** The first word of the server's answer, such as `READONLY`. */
  readonly reply: string | undefined;
  /**
   * The thing that the server refuses: to this user a `command` or a `key`,
   * where the code is `permission`; or an `unknown-command`, which it does not
   * have, or not under this name.
   */
  readonly refused: "command" | "key" | "unknown-command" | undefined;
  /**
   * The command that the server refuses, such as `memory|usage`, the key that
   * is of another type, or the node of a cluster to ask instead, where its
   * answer names one.
   */
  readonly subject: string | undefined;
  /**
   * True if the server may have run the command although no answer came:
   * running it once more could then do its work twice.
   */
  readonly mayHaveRun: boolean;

  /**
   * Makes an error.
   *
   * @param problem What the sentence is made of, or the sentence itself.
   * @param code What went wrong, for programs.
   * @param options The cause, and what else is known of it.
   */
  constructor(
    problem:
      | string
      | (
        & Pick<RedisError, "reason">
        & Partial<Pick<RedisError, "attempted" | "place" | "advice" | "note">>
      ),
    code: RedisError["code"],
    options:
      & ErrorOptions
      & Partial<
        Pick<RedisError, "mayHaveRun" | "reply" | "refused" | "subject">
      > = {},
  ) {
    const { mayHaveRun = false, reply, refused, subject, ...rest } = options;
    const parts: RedisProblem = typeof problem === "string"
      ? { reason: problem }
      : problem;
    super(compose(parts), rest);
    this.code = code;
    this.attempted = parts.attempted;
    this.place = parts.place;
    this.reason = parts.reason;
    this.advice = parts.advice;
    this.note = parts.note;
    this.reply = reply;
    this.refused = refused;
    this.subject = subject;
    this.mayHaveRun = mayHaveRun;
  }

  /**
   * True where the same may succeed a little later; else somebody has to change
   * something first.
   */
  get isTransient(): boolean {
    return TRANSIENT.has(this.code);
  }
}

/** The parts of the sentence. */
type RedisProblem = Exclude<
  ConstructorParameters<typeof RedisError>[0],
  string
>;

/** Makes the sentence. */
function compose(
  { attempted, place, reason, advice, note }: RedisProblem,
): string {
  const where = place === undefined ? "" : ` at ${place}`;
  const start = attempted === undefined ? "" : `Cannot ${attempted}${where}: `;
  const hint = advice === undefined ? "" : `; ${advice}`;
  const end = note === undefined ? "" : `. ${note}`;
  return start + reason + hint + end;
}

/**
 * Tells an error again, of what was attempted in the end.
 *
 * @param error The error; it becomes the cause.
 * @param changes The fields that are others now; a note is added to the one
 * that is there.
 * @returns An error with the same code and all the other fields.
 */
export function restate(
  error: RedisError,
  { note, mayHaveRun = error.mayHaveRun, subject = error.subject, ...changes }:
    Partial<RedisProblem & Pick<RedisError, "mayHaveRun" | "subject">>,
): RedisError {
  const { attempted, place, reason, advice, reply, refused } = error;
  const notes = [error.note, note].filter((text) => text !== undefined);
  return new RedisError(
    {
      attempted,
      place,
      reason,
      advice,
      ...(notes.length > 0 ? { note: notes.join(". ") } : {}),
      ...changes,
    },
    error.code,
    { cause: error, mayHaveRun, reply, refused, subject },
  );
}

const TRANSIENT: ReadonlySet<RedisError["code"]> = new Set([
  "connection",
  "unavailable",
  "moved",
  "readonly",
  "memory",
  "no-script",
]);

/** The first words of the answers that say that this is not the right server. */
const WRONG_SERVER: ReadonlySet<string | undefined> = new Set(
  "READONLY UNBLOCKED MASTERDOWN LOADING MOVED CLUSTERDOWN NOAUTH".split(
    " ",
  ),
);

/**
 * Tells whether an answer means that another server is the right one by now: a
 * replica, or a node without the key. The connection is dropped then, and the
 * server looked up again.
 */
export function meansWrongServer({ reply }: RedisError): boolean {
  return WRONG_SERVER.has(reply);
}

/** Tells whether the server does not run a command, for this user or for anybody. */
export function isWithheld({ code, refused }: RedisError): boolean {
  return code === "permission" || refused === "unknown-command";
}

/** Tells whether an error ends a connection, which reports that itself. */
export function isLoss(error: RedisError): boolean {
  const { code } = error;
  return code === "connection" || code === "closed" || meansWrongServer(error);
}

/** Says in an error that a queue was to be read; that a connection was lost stays as it is. */
export function nameQueue<Thrown>(
  error: Thrown,
  queue: string,
): Thrown | RedisError {
  if (!(error instanceof RedisError) || isLoss(error)) return error;
  const attempted = `read "${queue}"`;
  if (error.code !== "wrong-type") return restate(error, { attempted });
  const advice = "use another queue or remove the key";
  if (error.subject === queue) {
    const reason = "the key exists, but is no list";
    return restate(error, { attempted, reason, advice });
  }
  if (error.subject !== undefined) return restate(error, { attempted, advice });
  // A script that does not name the key. To remove the queue would be a loss.
  return restate(error, {
    attempted,
    reason: "a key that belongs to it is of another type than is needed",
    advice: "`platypush-redis doctor` tells which (WRONGTYPE)",
  });
}

/**
 * Turns whatever the client, a socket or the server reported into a
 * {@linkcode RedisError} that tells a person what to do. It is the only place
 * that reads their words.
 *
 * @param what What was attempted, on which server, and as which user.
 * @param sent Whether a command was on its way when a connection failed.
 */
export function toRedisError(
  error: unknown,
  { user, ...what }: Pick<RedisProblem, "attempted" | "place"> & {
    readonly user?: string;
  },
  sent = false,
): RedisError {
  if (error instanceof RedisError) return error;
  const cause = errorOf(error);
  const { code, reason, advice, ...known } = classify(cause, user);
  return new RedisError(
    { ...what, reason: reason ?? cause.message.replace(/\.$/, ""), advice },
    code,
    { cause, mayHaveRun: sent && code === "connection", ...known },
  );
}

/**
 * Tells what a user may not use, of the words of a server that refuses it, as
 * `NOPERM` and `ACL DRYRUN` have them.
 */
export function readRefusal(text: string): "command" | "key" {
  return /access .*key/i.test(text) ? "key" : "command";
}

/** Holds what is known of an error. */
interface Diagnosis {
  readonly code: RedisError["code"];
  readonly reason?: string;
  readonly advice?: string | undefined;
  readonly reply?: string | undefined;
  readonly refused?: RedisError["refused"];
  readonly subject?: string | undefined;
}

/** The first word of an error reply, by which Redis tells kinds of errors apart. */
const REPLIES: Readonly<Record<string, Diagnosis>> = {
  WRONGPASS: {
    code: "auth",
    reason: "the server refused the user's name or password",
    advice: "check `username` and `password`",
  },
  NOAUTH: {
    code: "auth",
    reason: "the server wants a password",
    advice: "set `password`",
  },
  DENIED: {
    code: "auth",
    reason:
      "it is in protected mode, and serves its own host only as long as it has no password (DENIED)",
    advice:
      "give it a password (`requirepass`), and set `password` to the same",
  },
  LOADING: {
    code: "unavailable",
    reason: "the server is still loading its data (LOADING)",
  },
  BUSY: {
    code: "unavailable",
    reason: "a script keeps the server busy (BUSY)",
    advice: "wait, or end the script with SCRIPT KILL",
  },
  MASTERDOWN: {
    code: "unavailable",
    reason: "the server is a replica that has lost its master (MASTERDOWN)",
  },
  CLUSTERDOWN: {
    code: "unavailable",
    reason: "the cluster is down (CLUSTERDOWN)",
    advice: "bring its nodes back; CLUSTER INFO tells which slots are served",
  },
  TRYAGAIN: {
    code: "unavailable",
    reason:
      "only some of the keys have been moved to another node yet (TRYAGAIN)",
  },
  NOREPLICAS: {
    code: "unavailable",
    reason: "the server takes no writes without more replicas (NOREPLICAS)",
    advice: "bring the replicas back, or lower its `min-replicas-to-write`",
  },
  MISCONF: {
    code: "unavailable",
    reason:
      "the server cannot save its data to disk, and takes no writes (MISCONF)",
    advice: "make room on its disk and look into its log",
  },
  // A master that becomes a replica ends the commands that block.
  UNBLOCKED: { code: "readonly" },
  MOVED: { code: "moved" },
  ASK: { code: "moved" },
  READONLY: {
    code: "readonly",
    reason:
      "the server only serves reads; it is a replica, or it has just become one",
  },
  OOM: {
    code: "memory",
    reason: "the server is out of memory",
    advice: "raise its `maxmemory` or remove what is no longer needed",
  },
  WRONGTYPE: {
    code: "wrong-type",
    reason: "the key exists, but is of another type than is needed",
    advice: "use another name, or remove it (WRONGTYPE)",
  },
  NOSCRIPT: { code: "no-script" },
  TAKEN: { code: "taken" },
};

/**
 * The classes by which the client says that it has no connection (any more), by
 * name: the client takes long to load, and this file is needed without it.
 */
const CLIENT_LOSSES: ReadonlySet<string> = new Set([
  "AbortError",
  "ClientClosedError",
  "ClientOfflineError",
  "CommandTimeoutDuringMaintenanceError",
  "ConnectionTimeoutError",
  "DisconnectsClientError",
  "SocketClosedUnexpectedlyError",
  "SocketTimeoutDuringMaintenanceError",
  "SocketTimeoutError",
  "TimeoutError",
]);

const TLS_ERRORS = /^(ERR_TLS|ERR_SSL|EPROTO)|CERT|SIGNATURE/;
const TLS_TEXTS = /certificate|handshake|corrupt message|fatal alert/i;
/** The hints for errors that Deno does not tell apart. */
const TLS_HINTS: Readonly<Record<string, string>> = {
  UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    ": the server's certificate has expired, or nobody trusted has signed it",
};
const CONNECTION_ERRORS =
  /^(ECONN|EHOST|ENET|EPIPE|ETIMEDOUT|EAI_|ENOTFOUND|ENOENT|EACCES|ERR_STREAM)/;

/** A script may not do something: in the words of Redis up to 7.0, and of all newer servers. */
const REFUSED_IN_SCRIPT =
  /user executing the script can't|ACL failure in script/;

/** Reads which command a reply refuses, such as `memory|usage`, if it names one. */
function refusedCommand(text: string): string | undefined {
  return /permissions to run the '([\w|-]+)'/.exec(text)?.[1];
}

/** Says how to permit what a reply says is refused. */
function permissionAdvice(text: string, user: string | undefined): string {
  const command = refusedCommand(text);
  const missing = command === undefined ? "what is missing" : `+${command}`;
  if (user !== undefined && command !== undefined) {
    return `ACL SETUSER ${user} ${missing}`;
  }
  if (user !== undefined && /access .*channel/.test(text)) {
    return `let the user use that channel: ACL SETUSER ${user} '&CHANNEL', with its name`;
  }
  return `give the user ${missing} with ACL SETUSER; the guide to Redis set-ups lists all that is needed`;
}

const CONNECTION_REASONS: Readonly<
  Record<string, readonly [reason: string, advice?: string]>
> = {
  ECONNREFUSED: ["the connection was refused", "does a server run there?"],
  ENOTFOUND: ["the host's name does not resolve", "check `host`"],
  EAI_AGAIN: ["the host's name does not resolve at the moment"],
  ENOENT: ["there is no such socket", "check `unix_socket_path`"],
  EACCES: ["this user may not open the socket"],
  EINVAL: [
    "the system takes no such address",
    "the path of a socket has at most 107 bytes, and an address such as fe80::1 ends with its interface, as in %eth0",
  ],
  ENETUNREACH: ["no network leads there", "is the network up?"],
  ENETDOWN: ["the network is down", "is the network up?"],
  EHOSTUNREACH: [
    "nobody answers for that host in its network",
    "is it on, and is `host` right?",
  ],
  ECONNRESET: ["the server broke the connection off"],
  EPIPE: ["the server broke the connection off"],
  EMFILE: [
    "this process has as many files open as it may",
    "raise its limit (`ulimit -n`, LimitNOFILE in systemd)",
  ],
};

export const UNKNOWN_ADVICE =
  "use Redis 6.2 or newer, or Valkey, and look for `rename-command` in its configuration";

/** Replies that are known by their words alone: the code in front is `ERR`, or says less. */
const WORDED_REPLIES: readonly (readonly [words: RegExp, Diagnosis])[] = [
  [/invalid password|AUTH .*without any password/i, {
    code: "auth",
    reason: "the server refused the password, or has none configured",
    advice: "check `username` and `password`",
  }],
  [/unknown command .?HELLO/i, {
    code: "unsupported",
    reason:
      "the server does not know HELLO, so it is older than Redis 6.2, the oldest supported version",
    refused: "unknown-command",
  }],
  [/DB index is out of range/i, {
    code: "reply",
    reason: "the server has no database with this number",
    advice: "check `db`",
  }],
  [/max number of clients/i, {
    code: "unavailable",
    reason: "the server has as many clients as it takes",
    advice: "raise its `maxclients`, or end some of them",
  }],
  [/unknown (redis )?command called/i, {
    code: "reply",
    reason:
      "a script needs a command that the server does not have, or not under its name",
    advice: UNKNOWN_ADVICE,
    refused: "unknown-command",
  }],
  [/unknown command/i, {
    code: "reply",
    advice: UNKNOWN_ADVICE,
    refused: "unknown-command",
  }],
  [/unknown subcommand/i, {
    code: "reply",
    reason: "the server does not have this command, or not under this name",
    advice: UNKNOWN_ADVICE,
    refused: "unknown-command",
  }],
];

/**
 * Makes fields of an error. Most that a server refuses, it tells in words only:
 * here they are read, and nowhere else.
 */
function classify(
  error: Error & { code?: unknown },
  user: string | undefined,
): Diagnosis {
  if (CLIENT_LOSSES.has(error.constructor.name)) {
    return { code: "connection" };
  }
  const text = error.message;
  // Redis 6.2 hides the reply that ended a script behind where it happened.
  const reply =
    /^(?:ERR Error running script.*?@user_script: ?\d+: )?-?([A-Z]+)\b/
      .exec(text)?.[1];
  return classifyReply(text, reply, user) ??
    classifyFailure(text, String(error.code)) ?? { code: "reply", reply };
}

/** Makes fields of what a server refuses; `undefined` where it does not look like that. */
function classifyReply(
  text: string,
  reply: string | undefined,
  user: string | undefined,
): Diagnosis | undefined {
  if (reply === "NOPERM" || REFUSED_IN_SCRIPT.test(text)) {
    return {
      code: "permission",
      advice: permissionAdvice(text, user),
      reply,
      refused: readRefusal(text),
      subject: refusedCommand(text),
    };
  }
  const known = reply === undefined ? undefined : REPLIES[reply];
  if (known !== undefined) {
    const [, node] = /^(?:ASK|MOVED) \d+ (\S+)/.exec(text) ?? [];
    if (node !== undefined) return { ...known, reply, subject: node };
    // Our scripts name the key.
    const [, reason, subject] =
      /^WRONGTYPE (the key "(.*)" is a .*)$/s.exec(text) ?? [];
    if (reason === undefined) return { ...known, reply };
    return { ...known, reply, reason, subject };
  }
  const [, worded] = WORDED_REPLIES.find(([words]) => words.test(text)) ?? [];
  if (worded === undefined) return undefined;
  // What was attempted may be told in other words.
  const [, command] = /unknown command .?([\w-]+)/i.exec(text) ?? [];
  if (command === undefined) return { ...worded, reply };
  const reason =
    `the server does not have the command ${command}, or not under its name`;
  return { reason, ...worded, reply, subject: command.toLowerCase() };
}

/** Makes fields of what went wrong on the way; `undefined` where it does not look like that. */
function classifyFailure(
  text: string,
  socketError: string,
): Diagnosis | undefined {
  if (TLS_ERRORS.test(socketError) || TLS_TEXTS.test(text)) {
    return {
      code: "tls",
      reason: `the TLS handshake failed (${text}${
        TLS_HINTS[socketError] ?? ""
      })`,
      advice: "check the `ssl...` arguments",
    };
  }
  const [reason, advice] = CONNECTION_REASONS[socketError] ?? [];
  if (reason !== undefined) {
    const mark = ` (${socketError})`;
    return advice === undefined
      ? { code: "connection", reason: reason + mark }
      : { code: "connection", reason, advice: advice + mark };
  }
  if (
    CONNECTION_ERRORS.test(socketError) ||
    /timeout|closed|aborted|connect|reset|refused|broken pipe/i
      .test(text)
  ) {
    return { code: "connection" };
  }
  return undefined;
}
