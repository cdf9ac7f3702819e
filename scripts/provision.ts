/**
 * Installs what the tests and the demonstration need and this machine lacks,
 * with the system's own package manager: a Redis server and, for
 * `provision.ts --peers`, the other Zeroconf and Redis implementations that
 * the tests in `tests/interop` talk to. Servers of other versions only go to a
 * cache folder, see `other_servers.ts`.
 *
 * Nothing here is fatal. What cannot be installed is named together with the
 * reason; whoever needs it says so again when it is missed.
 *
 * @module
 */

import { fetchOtherServers } from "./other_servers.ts";

interface Manager {
  /** The program, looked for in this order. */
  readonly program: string;
  /** Refreshes the package lists, where that is a step of its own. */
  readonly refresh?: readonly string[];
  /** What comes before the names of the packages. */
  readonly install: readonly string[];
  /** Packages that bring a server, the first one that installs is taken. */
  readonly servers: readonly string[];
  /** Only Homebrew refuses to run as root. */
  readonly asRoot: boolean;
}

const MANAGERS: readonly Manager[] = [
  {
    program: "apt-get",
    refresh: ["update", "-qq"],
    install: ["install", "-qq", "--no-install-recommends"],
    servers: ["redis-server", "valkey-server"],
    asRoot: true,
  },
  {
    program: "dnf",
    install: ["install", "-y", "-q"],
    servers: ["redis", "valkey"],
    asRoot: true,
  },
  {
    program: "apk",
    install: ["add", "--no-cache", "-q"],
    servers: ["redis", "valkey"],
    asRoot: true,
  },
  {
    program: "pacman",
    install: ["-Sy", "--noconfirm", "--needed", "-q"],
    servers: ["valkey", "redis"],
    asRoot: true,
  },
  {
    program: "brew",
    install: ["install", "-q"],
    servers: ["redis", "valkey"],
    asRoot: false,
  },
];

/** Debian's and Ubuntu's packages with the peers of `tests/interop`. */
const PEERS: readonly string[] = [
  "python3-redis",
  "python3-zeroconf",
  "avahi-daemon",
  "avahi-utils",
  "iproute2",
];

/** The browser for the tests of the dashboard, under the names that it has. */
const BROWSERS: readonly string[] = [
  "chromium",
  "chromium-browser",
  "google-chrome",
];

await provision();

async function provision(): Promise<void> {
  const manager = MANAGERS.find(({ program }) => isOnPath(program));
  if (!isOnPath("redis-server") && !isOnPath("valkey-server")) {
    await provideServer(manager);
  }
  if (Deno.args.includes("--peers")) await providePeers(manager);
}

async function provideServer(manager: Manager | undefined): Promise<void> {
  if (manager === undefined) {
    say(
      "No Redis server here, and no package manager known to this script: " +
        "install redis-server or valkey-server yourself.",
    );
    return;
  }
  let reason = "";
  for (const server of manager.servers) {
    reason = await install(manager, [server]);
    if (reason === "") return;
  }
  say(`No Redis server could be installed: ${reason}`);
}

async function providePeers(manager: Manager | undefined): Promise<void> {
  if (manager?.program !== "apt-get") {
    say(
      "The tests against other implementations use what is there: their " +
        "programs are only installed on Debian and Ubuntu.",
    );
    return;
  }
  const missing: string[] = [];
  for (const name of PEERS) if (!await isInstalled(name)) missing.push(name);
  const reason = missing.length > 0 ? await install(manager, missing) : "";
  if (!BROWSERS.some(isOnPath)) {
    const problem = await install(manager, ["chromium"]);
    if (problem !== "") {
      say(`The tests of the dashboard in a browser are skipped: ${problem}`);
    }
  }
  for (const problem of [reason, ...await fetchOtherServers()]) {
    if (problem === "") continue;
    say(`The tests against other implementations may be skipped: ${problem}`);
  }
}

/** Installs packages; returns why it could not, or an empty string. */
async function install(
  manager: Manager,
  packages: readonly string[],
): Promise<string> {
  const command = [manager.program, ...manager.install, ...packages];
  const prefix = manager.asRoot ? asRoot() : [];
  if (prefix === undefined) {
    return `this needs root, and sudo is not there. Run: ${command.join(" ")}`;
  }
  say(`Installing ${packages.join(", ")} with ${manager.program} …`);
  if (manager.refresh !== undefined) {
    // Old lists often still do; what matters is whether the install works.
    await run([...prefix, manager.program, ...manager.refresh]);
  }
  const failure = await run([...prefix, ...command]);
  return failure === ""
    ? ""
    : `\`${[...prefix, ...command].join(" ")}\` failed: ${failure}`;
}

/** What to put before a command for root: nothing, or sudo, if it is there. */
function asRoot(): string[] | undefined {
  if (Deno.uid() === 0) return [];
  if (!isOnPath("sudo")) return undefined;
  // Without a terminal nobody could type the password.
  return Deno.stdin.isTerminal() ? ["sudo"] : ["sudo", "-n"];
}

/** Runs a command; returns its last words when it failed, or "". */
async function run(command: readonly string[]): Promise<string> {
  const [program = "", ...args] = command;
  try {
    const { success, code, stderr } = await new Deno.Command(program, {
      args,
      env: { DEBIAN_FRONTEND: "noninteractive", HOMEBREW_NO_AUTO_UPDATE: "1" },
      // A password prompt of sudo goes to the terminal, not through here.
      stdin: program === "sudo" && Deno.stdin.isTerminal() ? "inherit" : "null",
      stdout: "null",
      stderr: "piped",
    }).output();
    if (success) return "";
    const lines = new TextDecoder().decode(stderr).trim().split("\n");
    return lines.at(-1) || `exit code ${code}`;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function isInstalled(name: string): Promise<boolean> {
  const { stdout } = await new Deno.Command("dpkg-query", {
    args: ["--show", "--showformat=${db:Status-Status}", name],
    stderr: "null",
  }).output();
  return new TextDecoder().decode(stdout) === "installed";
}

function isOnPath(program: string): boolean {
  const separator = Deno.build.os === "windows" ? ";" : ":";
  return (Deno.env.get("PATH") ?? "").split(separator).some((folder) => {
    try {
      return Deno.statSync(`${folder}/${program}`).isFile;
    } catch {
      return false;
    }
  });
}

function say(text: string): void {
  // deno-lint-ignore no-console -- this is a program, and stdout is the tests'
  console.error(text);
}
