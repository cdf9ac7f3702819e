import { retry, settledWithin } from "../waiting.ts";
import { checkOptions, type Rows } from "../options.ts";
import { OBJECT, PORT, TEXT, TEXTS } from "../kinds.ts";
import { createLogger } from "../logger.ts";
import { BriefConnection } from "./brief_connection.ts";
import { RedisError } from "./redis_error.ts";
import { type Address, formatAddress } from "./address.ts";
import type { RedisArgs } from "./redis_args.ts";
import { withoutSecrets } from "./without_secrets.ts";

/** Says which program {@linkcode startRedis} starts, where it listens and where its data stay. */
export interface StartRedisOptions {
  /** A TCP port of 127.0.0.1 to listen on. Default: a Unix socket instead. */
  port?: number;
  /**
   * The server's working directory, which stays when the server stops. Default:
   * a temporary one, removed in the end.
   */
  directory?: string;
  /** Further lines of the server's configuration, such as `appendonly yes`. Default: none. */
  config?: readonly string[];
  /**
   * Anything that the first connection needs beyond the address, such as a
   * password.
   */
  redisArgs?: RedisArgs;
  /** The programs to try, in this order. Default: `redis-server`, `valkey-server`. */
  programs?: readonly string[];
}

const OPTIONS: Rows<StartRedisOptions> = {
  port: PORT,
  directory: TEXT,
  config: TEXTS,
  redisArgs: OBJECT,
  programs: TEXTS,
};

/** A Redis server that belongs to this process, as {@linkcode startRedis} gives it. */
export interface PrivateRedis extends AsyncDisposable {
  /** The way to reach it. */
  readonly redisArgs: RedisArgs;
  /** Its address, for people. */
  readonly address: string;
  /** Its process id. */
  readonly pid: number;
  /** Settles when the process has ended, for whatever reason. */
  readonly ended: Promise<void>;
  /** Stops it and removes its temporary directory. */
  stop(): Promise<void>;
}

const PROGRAMS = ["redis-server", "valkey-server"];
const STOP_TIMEOUT = 5;

/**
 * Starts a Redis (or Valkey) server from the `PATH` that only this user can
 * reach and that keeps nothing on disk, for those who have none running. Needs
 * the permissions to run it and to write its directory. With the permission to
 * run `sh` it also ends when this process is killed; without it, the log warns.
 *
 * @param options The port, the folder and more; see {@linkcode StartRedisOptions}.
 * @returns The server, ready for connections.
 * @throws {TypeError} There is no such option or it is of another kind.
 * @throws {RangeError} The port is none.
 * @throws {Deno.errors.NotFound} No server is installed; the message names the
 * command that installs one.
 * @throws {Deno.errors.NotCapable} Deno does not permit to run the server, to
 * write its directory, or to reach its port.
 * @throws {Error} The server did not start; the message ends with what it said.
 *
 * @example
 * ```ts
 * import { Connection, startRedis } from "@platypush/redis";
 *
 * await using server = await startRedis();
 * await using connection = await Connection.connect(server.redisArgs);
 * console.assert(await connection.command(["PING"]) === "PONG");
 * ```
 */
export async function startRedis(
  options: StartRedisOptions = {},
): Promise<PrivateRedis> {
  checkOptions("start Redis", options, OPTIONS);
  let directory = options.directory;
  try {
    if (options.port !== undefined) requireFree(options.port);
    directory ??= await makeTemporary();
    return await start(directory, options);
  } catch (error) {
    if (directory !== undefined) await removeTemporary(directory, options);
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    const needed = options.port === undefined
      ? "without --allow-run, --allow-read and --allow-write"
      : "on a port without --allow-run, --allow-read, --allow-write and --allow-net";
    throw new Deno.errors.NotCapable(
      `Cannot start Redis ${needed}: ${error.message}`,
    );
  }
}

/** Whoever has the port already would be taken for the server that is started. */
function requireFree(port: number): void {
  try {
    Deno.listen({ hostname: "127.0.0.1", port }).close();
  } catch (cause) {
    if (!(cause instanceof Deno.errors.AddrInUse)) throw cause;
    throw new Error(
      `Cannot start Redis: port ${port} of 127.0.0.1 is taken; choose another \`port\`, or leave it out for a Unix socket`,
      { cause },
    );
  }
}

async function makeTemporary(): Promise<string> {
  try {
    return await Deno.makeTempDir({ prefix: "platypush-redis-" });
  } catch (cause) {
    if (cause instanceof Deno.errors.NotCapable) throw cause;
    throw new Error(
      `Cannot start Redis: no temporary folder can be made; check TMPDIR. ${
        (cause as Error).message
      }`,
      { cause },
    );
  }
}

async function start(
  directory: string,
  options: StartRedisOptions,
): Promise<PrivateRedis> {
  const socket = `${directory}/redis.sock`;
  const place: Address = options.port === undefined
    ? { path: socket }
    : { host: "127.0.0.1", port: options.port };
  const redisArgs: RedisArgs = {
    ...("path" in place ? { unix_socket_path: socket } : place),
    ...options.redisArgs,
  };
  withoutSecrets(redisArgs);
  const process = spawn(options.programs ?? PROGRAMS);
  const guard = watch(
    process,
    options.directory === undefined ? directory : undefined,
  );
  const output = Promise.all([process.stdout, process.stderr].map(collect));
  await configure(process, directory, place, options.config);
  const ending = new AbortController();
  const ended = process.status.then(() => ending.abort());
  try {
    await waitUntilReady(redisArgs, ending.signal);
  } catch (cause) {
    const hasEnded = ending.signal.aborted;
    await dismiss(guard);
    await end(process, ended);
    if (!hasEnded) throw cause;
    const reason = whyEnded((await output).join("\n"));
    throw new Error(`Cannot start Redis: ${reason}`, { cause });
  }

  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> =>
    stopping ??= (async () => {
      await dismiss(guard);
      await end(process, ended);
      await output;
      await removeTemporary(directory, options);
    })();
  return {
    redisArgs,
    address: formatAddress(place),
    pid: process.pid,
    ended,
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

function spawn(programs: readonly string[]): Deno.ChildProcess {
  for (const program of programs) {
    try {
      return new Deno.Command(program, {
        args: ["-"],
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
        // A terminal's Ctrl-C is for its owner, who may still need it.
        detached: true,
      }).spawn();
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }
  throw new Deno.errors.NotFound(
    `Cannot start Redis: neither ${
      programs.join(" nor ")
    } is installed. Install it with: ${installCommand()}`,
  );
}

/**
 * Ends the server $1 and removes the directory $2 when their owner has died,
 * whose end of the standard input is closed then.
 */
const GUARD = `read -r _
kill "$1" || exit
n=0
while kill -0 "$1"; do
  [ $((n += 1)) -lt 50 ] || kill -9 "$1"
  sleep 0.1
done
[ -z "$2" ] || rm -rf "$2"`;

/** Sees to it that the server does not outlive this process, however that ends. */
function watch(
  server: Deno.ChildProcess,
  temporary = "",
): Deno.ChildProcess | undefined {
  const { state } = Deno.permissions.querySync({ name: "run", command: "sh" });
  try {
    if (state !== "granted") throw new Deno.errors.NotCapable();
    const guard = new Deno.Command("sh", {
      args: ["-c", GUARD, "sh", String(server.pid), temporary],
      stdin: "piped",
      stdout: "null",
      stderr: "null",
      detached: true,
    }).spawn();
    guard.unref();
    return guard;
  } catch {
    // There are systems without a shell.
    createLogger("redis").warn(
      `If this process is killed, its private Redis (process ${server.pid}) stays behind: what would end it is run by \`sh\`, which may not be run, or is not there. Allow it by --allow-run=sh,...`,
    );
    return undefined;
  }
}

/** Tells a server its configuration, also where it has ended already, which is seen later. */
async function configure(
  process: Deno.ChildProcess,
  directory: string,
  place: Address,
  config: readonly string[] = [],
): Promise<void> {
  const lines = [
    `dir "${directory}"`,
    "bind 127.0.0.1",
    ...("path" in place
      ? ["port 0", `unixsocket "${place.path}"`, "unixsocketperm 700"]
      : [`port ${place.port}`]),
    'save ""',
    "appendonly no",
    "daemonize no",
    ...config,
  ];
  // By standard input, so that no password appears in the list of processes.
  const input = process.stdin.getWriter();
  await input.write(new TextEncoder().encode(lines.join("\n") + "\n"))
    .catch(() => {});
  await input.close().catch(() => {});
}

/** Tries until the server answers: it is not there at once, which is no trouble to be told of. */
async function waitUntilReady(
  redisArgs: RedisArgs,
  signal: AbortSignal,
): Promise<void> {
  using _ready = await retry(
    () => BriefConnection.open(redisArgs, { signal }),
    {
      signal,
      mayHelp: (error) => error instanceof RedisError && error.isTransient,
      first: 0.01,
      longest: 0.5,
    },
  );
}

async function dismiss(guard: Deno.ChildProcess | undefined): Promise<void> {
  if (guard === undefined) return;
  guard.ref();
  kill(guard, "SIGKILL");
  await guard.stdin.close().catch(() => {});
  await guard.status;
}

/** The last of what the server said, in case it has to be shown. */
async function collect(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of stream) {
    text = (text + decoder.decode(chunk, { stream: true })).slice(-4096);
  }
  return text;
}

async function end(
  process: Deno.ChildProcess,
  ended: Promise<void>,
): Promise<void> {
  kill(process, "SIGTERM");
  if (await settledWithin(ended, STOP_TIMEOUT)) return;
  kill(process, "SIGKILL");
  await ended;
}

function kill(process: Deno.ChildProcess, signal: Deno.Signal): void {
  try {
    process.kill(signal);
  } catch {
    // It has ended by itself.
  }
}

async function removeTemporary(
  directory: string,
  options: StartRedisOptions,
): Promise<void> {
  if (options.directory !== undefined) return;
  await Deno.remove(directory, { recursive: true }).catch(() => {});
}

/** The text that Redis puts in front of each line of its log. */
const LOG_PREFIX = /^\d+:[A-Z] \d+ \w+ \d+ [\d:.]+ [-.*#] /;

/**
 * Says why a server ended as soon as it was started.
 *
 * @param said The last of what it has said.
 */
function whyEnded(said: string): string {
  const lines = said.split("\n")
    // The lines of the configuration, which it repeats, may have a password; what
    // it counts in a file that is damaged does not say that it is.
    .filter((line) => !/^(>>>|\*\*\*|---|\[)/.test(line))
    .map((line) => line.replace(LOG_PREFIX, "").trim())
    .filter((line) => line !== "");
  return `the server ended at once. ${lines.slice(-2).join(": ")}`;
}

const INSTALLERS: readonly [program: string, command: string][] = [
  ["apt-get", "sudo apt-get install redis-server"],
  ["dnf", "sudo dnf install redis"],
  ["apk", "sudo apk add redis"],
  ["pacman", "sudo pacman -S valkey"],
  ["brew", "brew install redis"],
];

/**
 * The command that installs a Redis server here, by the package manager that is
 * there.
 *
 * @param path The directories to look in. Default: `PATH`.
 */
export function installCommand(
  path: readonly string[] = (Deno.env.get("PATH") ?? "").split(":"),
): string {
  const found = INSTALLERS.find(([program]) =>
    path.some((directory) => isFile(`${directory}/${program}`))
  );
  return (found ?? INSTALLERS[Deno.build.os === "darwin" ? 4 : 0]!)[1];
}

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}
