import { PYTHON } from "./python.ts";
import { setUp } from "./set_up.ts";

/** What a program did in a namespace. */
export interface Output {
  success: boolean;
  stdout: string;
  stderr: string;
}

/** A program that runs in a namespace until it is disposed of. */
export interface Running extends AsyncDisposable {
  /** The next line on stdout; undefined once it has ended. */
  line(): Promise<string | undefined>;
  /** Writes a line to stdin. */
  write(line: string): Promise<void>;
  /** Sends it a signal. */
  signal(signal: Deno.Signal): void;
  /** Ends it with SIGTERM, or with SIGKILL as a crash would. */
  stop(signal?: Deno.Signal): Promise<void>;
}

/** Runs a program to its end. */
export async function run(command: string, ...args: string[]): Promise<Output> {
  const { success, stdout, stderr } = await new Deno.Command(command, {
    args,
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }).output();
  const decoder = new TextDecoder();
  return {
    success,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
  };
}

async function ip(...args: string[]): Promise<void> {
  const { success, stderr } = await run("ip", ...args);
  if (!success) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
}

/** In all names, and not of the process' number: one that was killed may have left some behind. */
const RUN = crypto.randomUUID().slice(0, 6);

/** Why no namespaces can be made here, or undefined when they can. */
export async function whyNoNamespaces(): Promise<string | undefined> {
  if (Deno.build.os !== "linux") return "network namespaces need Linux";
  const name = `pr${RUN}p`;
  try {
    await ip("netns", "add", name);
    await ip("netns", "del", name);
    return undefined;
  } catch (error) {
    return `network namespaces cannot be made: ${(error as Error).message}`;
  }
}

let count = 0;

/** A host of its own: a network namespace with one cable to a network. */
export class Namespace implements AsyncDisposable {
  readonly name: string;
  readonly #started = new Set<Running>();

  private constructor(name: string) {
    this.name = name;
  }

  /** Makes an empty one, with the loopback interface up. */
  static async make(): Promise<Namespace> {
    const namespace = new Namespace(`pr${RUN}n${count++}`);
    await ip("netns", "add", namespace.name);
    await namespace.ip("link", "set", "lo", "up");
    return namespace;
  }

  /** Runs `ip` in it. */
  ip(...args: string[]): Promise<void> {
    return ip("-n", this.name, ...args);
  }

  /** Runs a program in it to its end. */
  run(command: string, ...args: string[]): Promise<Output> {
    return run("ip", "netns", "exec", this.name, command, ...args);
  }

  /** Starts a program in it. */
  start(command: string, args: string[]): Running {
    const child = new Deno.Command("ip", {
      args: ["netns", "exec", this.name, command, ...args],
      stdin: "piped",
      stdout: "piped",
      stderr: "inherit",
    }).spawn();
    const running = new Child(child, () => this.#started.delete(running));
    this.#started.add(running);
    return running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const running of this.#started) await running.stop("SIGKILL");
    await ip("netns", "del", this.name);
  }
}

class Child implements Running {
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #onEnd: () => void;
  #ended: Promise<void> | undefined;

  constructor(child: Deno.ChildProcess, onEnd: () => void) {
    this.#child = child;
    this.#onEnd = onEnd;
    this.#lines = linesOf(child.stdout);
    this.#writer = child.stdin.getWriter();
  }

  async line(): Promise<string | undefined> {
    const { done, value } = await this.#lines.next();
    return done ? undefined : value;
  }

  write(line: string): Promise<void> {
    return this.#writer.write(new TextEncoder().encode(`${line}\n`));
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  stop(signal: Deno.Signal = "SIGTERM"): Promise<void> {
    return this.#ended ??= this.#stop(signal);
  }

  async #stop(signal: Deno.Signal): Promise<void> {
    try {
      this.#child.kill(signal);
    } catch {
      // It has ended by itself.
    }
    const draining = (async () => {
      while (await this.line() !== undefined);
    })();
    await this.#writer.close().catch(() => {});
    await this.#child.status;
    await draining;
    this.#onEnd();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }
}

async function* linesOf(
  stream: ReadableStream<Uint8Array>,
): AsyncGenerator<string, undefined> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop()!;
    yield* lines;
  }
  return undefined;
}

/** How a {@linkcode Lan} is. */
export interface LanOptions {
  /**
   * The part of all packets that is lost, from 0 to 1; 0 by default. It needs
   * two hosts and Python: the kernel's `netem` is not everywhere.
   */
  loss?: number;
  /** Whether the hosts have fd00:77::1, ::2, … in place of IPv4 addresses. */
  ipv6Only?: boolean;
}

/** Two hosts, or more, on one network that can lose packets. */
export class Lan implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  readonly #cable: Namespace;
  readonly hosts: Namespace[] = [];
  #wire: Running | undefined;

  private constructor(cable: Namespace) {
    this.#cable = cable;
    this.#stack.use(cable);
  }

  /**
   * Makes hosts 192.168.77.1, .2, … with an interface `eth0` each, on a bridge.
   *
   * @param options How it differs from that.
   */
  static async make(
    hosts: number,
    { loss = 0, ipv6Only = false }: LanOptions = {},
  ): Promise<Lan> {
    return await setUp(new Lan(await Namespace.make()), async (lan) => {
      const cable = lan.#cable;
      if (loss === 0) {
        await cable.ip("link", "add", "br0", "type", "bridge");
        await cable.ip(
          "link",
          "set",
          "br0",
          "type",
          "bridge",
          "mcast_snooping",
          "0",
        );
        await cable.ip("link", "set", "br0", "up");
      }
      for (let i = 1; i <= hosts; i++) {
        const host = await Namespace.make();
        lan.#stack.use(host);
        lan.hosts.push(host);
        await lan.#connect(i, "eth0", { loss, ipv6Only });
      }
      if (loss > 0) {
        lan.#wire = cable.start(PYTHON, [
          new URL("./interop/zeroconf_wire.py", import.meta.url).pathname,
          "port1",
          "port2",
          String(loss),
        ]);
        await lan.#wire.line();
      }
    });
  }

  /** Lays a cable to an interface of a host, numbered from 1, and gives it its address. */
  async #connect(
    host: number,
    name: string,
    { loss = 0, ipv6Only = false, mac }: LanOptions & { mac?: string },
    address = ipv6Only ? `fd00:77::${host}/64` : `192.168.77.${host}/24`,
  ): Promise<void> {
    const namespace = this.hosts[host - 1]!;
    const cable = this.#cable;
    const port = name === "eth0" ? `port${host}` : `port${host}${name}`;
    await ip(
      ...["link", "add", name, "netns", namespace.name, "type", "veth"],
      ...["peer", "name", port, "netns", cable.name],
    );
    if (loss === 0) await cable.ip("link", "set", port, "master", "br0");
    await cable.ip("link", "set", port, "up");
    if (ipv6Only) {
      // Some stacks never send from an address that is on trial when they start.
      await namespace.run(
        "sh",
        "-c",
        `echo 0 > /proc/sys/net/ipv6/conf/${name}/accept_dad`,
      );
    }
    if (mac !== undefined) {
      await namespace.ip("link", "set", name, "address", mac);
    }
    const nodad = ipv6Only ? ["nodad"] : [];
    await namespace.ip("addr", "add", address, ...nodad, "dev", name);
    await namespace.ip("link", "set", name, "up");
    if (ipv6Only || name !== "eth0") return;
    // Some stacks leave the choice of the interface to the routes.
    await namespace.ip("route", "add", "default", "dev", name);
  }

  /** Takes the interface of a host away and makes it anew, with the same addresses. */
  async replace(host: number): Promise<void> {
    const namespace = this.hosts[host - 1]!;
    const mac = "/sys/class/net/eth0/address";
    const { stdout } = await namespace.run("cat", mac);
    await namespace.ip("link", "del", "eth0");
    await this.#connect(host, "eth0", { mac: stdout.trim() });
  }

  /** Gives a host a second interface in the same network, `wlan0`. */
  addSecond(host: number): Promise<void> {
    const address = `192.168.77.${host}01/24`;
    return this.#connect(host, "wlan0", {}, address);
  }

  /** Pulls the plug of a host, numbered from 1, or puts it in again. */
  plug(host: number, state: "up" | "down"): Promise<void> {
    return this.#cable.ip("link", "set", `port${host}`, state);
  }

  /** Parts the hosts into networks of one host each, or joins these again. */
  async part(isParted: boolean): Promise<void> {
    for (let i = 1; i <= this.hosts.length; i++) {
      const isolated = ["isolated", isParted ? "on" : "off"];
      await this.#cable.ip(
        "link",
        "set",
        `port${i}`,
        "type",
        "bridge_slave",
        ...isolated,
      );
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#wire?.stop("SIGKILL");
    await this.#stack.disposeAsync();
  }
}
