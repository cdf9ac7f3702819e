/**
 * Servers of other makers and versions than the one on the `PATH`, for the
 * tests in `tests/interop`: Debian's own packages, verified by apt and unpacked
 * into a cache folder together with the libraries that they need, so that the
 * system stays as it is.
 *
 * @module
 */

import { existsSync } from "node:fs";

/** Which package of which release of Debian brings a server. */
export interface OtherServer {
  /** The server with its version, for people. */
  readonly name: string;
  /** The release of Debian. */
  readonly suite: string;
  /** The package, and the program in it. */
  readonly program: "redis-server" | "valkey-server";
}

/** The servers, the oldest first. */
export const OTHER_SERVERS: readonly OtherServer[] = [
  { name: "Redis 6.0", suite: "bullseye", program: "redis-server" },
  { name: "Redis 8", suite: "trixie", program: "redis-server" },
  { name: "Valkey 8", suite: "trixie", program: "valkey-server" },
  { name: "Valkey 9", suite: "forky", program: "valkey-server" },
];

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg";
const MIRROR = "http://deb.debian.org/debian";

/**
 * Where the program is, once {@linkcode fetchOtherServers} has brought it.
 *
 * @param server Which one.
 * @returns A path for `startRedis({ programs: [path] })`, or `undefined`.
 */
export function findOtherServer(
  { suite, program }: OtherServer,
): string | undefined {
  const path = `${cacheFolder()}/${suite}/${program}`;
  return existsSync(path) ? path : undefined;
}

/**
 * Brings the servers that are not in the cache yet.
 *
 * @returns Why some of them could not be brought, one line each.
 */
export async function fetchOtherServers(): Promise<string[]> {
  const missing = OTHER_SERVERS.filter((server) => !findOtherServer(server));
  if (missing.length === 0) return [];
  if (!existsSync(KEYRING)) {
    return [`other Redis servers are only fetched on Debian (no ${KEYRING})`];
  }
  const problems: string[] = [];
  for (const suite of new Set(missing.map(({ suite }) => suite))) {
    try {
      await fetchSuite(suite);
    } catch (error) {
      problems.push(`Debian ${suite}: ${(error as Error).message}`);
    }
  }
  return problems;
}

/** Brings the servers of one release, all or none. */
async function fetchSuite(suite: string): Promise<void> {
  const programs = OTHER_SERVERS
    .filter((server) => server.suite === suite)
    .map(({ program }) => program);
  const target = `${cacheFolder()}/${suite}`;
  await Deno.mkdir(cacheFolder(), { recursive: true });
  const folder = await Deno.makeTempDir({ dir: cacheFolder(), prefix: suite });
  try {
    const packages = await download(suite, programs, `${folder}/apt`);
    for (const file of packages) {
      await run(["dpkg-deb", "--extract", file, `${folder}/root`]);
    }
    await Deno.remove(`${folder}/apt`, { recursive: true });
    for (const program of programs) {
      await writeLauncher(folder, target, program);
    }
    await Deno.remove(target, { recursive: true }).catch(() => {});
    await Deno.rename(folder, target);
  } catch (error) {
    await Deno.remove(folder, { recursive: true });
    throw error;
  }
}

/** Lets apt find, load and verify packages, in a world where nothing is installed. */
async function download(
  suite: string,
  packages: readonly string[],
  folder: string,
): Promise<string[]> {
  const archives = `${folder}/cache/archives`;
  await Deno.mkdir(`${folder}/state/lists/partial`, { recursive: true });
  await Deno.mkdir(`${archives}/partial`, { recursive: true });
  await Deno.writeTextFile(`${folder}/status`, "");
  await Deno.writeTextFile(
    `${folder}/sources.list`,
    `deb [signed-by=${KEYRING}] ${MIRROR} ${suite} main\n`,
  );
  const options = [
    `Dir::Etc::sourcelist=${folder}/sources.list`,
    `Dir::Etc::sourceparts=/dev/null`,
    `Dir::Etc::preferencesparts=/dev/null`,
    `Dir::State=${folder}/state`,
    `Dir::State::status=${folder}/status`,
    `Dir::Cache=${folder}/cache`,
    "APT::Sandbox::User=",
    "APT::Install-Recommends=false",
    "Acquire::Languages=none",
    "Acquire::Retries=2",
    "Acquire::http::Timeout=10",
  ].flatMap((option) => ["--option", option]);
  const apt = ["apt-get", "--quiet=2", ...options];
  await run([...apt, "--error-on=any", "update"]);
  await run([...apt, "--yes", "--download-only", "install", ...packages]);
  const files: string[] = [];
  for await (const { name } of Deno.readDir(archives)) {
    if (name.endsWith(".deb")) files.push(`${archives}/${name}`);
  }
  return files;
}

/**
 * Writes a program that runs the server with the libraries that came with it.
 *
 * @param folder Where everything is now.
 * @param target Where everything will be.
 * @param program The server.
 */
async function writeLauncher(
  folder: string,
  target: string,
  program: string,
): Promise<void> {
  const root = `${folder}/root`;
  let loader: string | undefined;
  const libraries = new Set<string>();
  for (const start of ["lib", "lib64", "usr/lib", "usr/lib64"]) {
    for await (const path of files(root, start, 2)) {
      const name = path.slice(path.lastIndexOf("/") + 1);
      if (/^ld-linux.*\.so\.\d+$/.test(name)) loader ??= path;
      if (/\.so(\.\d+)*$/.test(name)) {
        libraries.add(`${target}/root/${path.slice(0, path.lastIndexOf("/"))}`);
      }
    }
  }
  if (loader === undefined) throw new Error("the C library has no loader");
  const path = `${folder}/${program}`;
  await Deno.writeTextFile(
    path,
    `#!/bin/sh
exec '${target}/root/${loader}' --library-path '${[...libraries].join(":")}' \\
  '${target}/root/usr/bin/${program}' "$@"
`,
  );
  await Deno.chmod(path, 0o755);
}

/** All files up to a depth, as paths below `root`. */
async function* files(
  root: string,
  folder: string,
  depth: number,
): AsyncGenerator<string> {
  if (!existsSync(`${root}/${folder}`)) return;
  for await (const entry of Deno.readDir(`${root}/${folder}`)) {
    const path = `${folder}/${entry.name}`;
    if (!entry.isDirectory) yield path;
    else if (depth > 1) yield* files(root, path, depth - 1);
  }
}

async function run(command: readonly string[]): Promise<void> {
  const [program = "", ...args] = command;
  const { success, code, stderr } = await new Deno.Command(program, {
    args,
    env: { DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).output();
  if (success) return;
  const lines = new TextDecoder().decode(stderr).trim().split("\n");
  throw new Error(
    `${program} failed: ${lines.at(-1) || `exit code ${code}`}`,
  );
}

function cacheFolder(): string {
  const cache = Deno.env.get("XDG_CACHE_HOME") ??
    `${Deno.env.get("HOME") ?? "/tmp"}/.cache`;
  return `${cache}/platypush-redis-servers`;
}
