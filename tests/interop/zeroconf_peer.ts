import type { Namespace, Running } from "../namespaces.ts";
import { PYTHON } from "../python.ts";

/** What a peer says. */
export interface Said {
  event?: "added" | "updated" | "removed";
  done?: string;
  renamed?: string;
  /** The addresses that are announced, whenever they have changed. */
  announces?: string[];
  name?: string;
  port?: number;
  /** The names of the services that one look has found. */
  found?: string[];
  addresses?: string[];
  properties?: Record<string, string>;
}

/** The Zeroconf stacks that are tried. */
export type Stack = "ours" | "python" | "python-both" | "avahi" | "node";

const TYPE = "_platypush-redis._tcp.local.";
const deno = ["run", "-A", "--no-prompt"];

/** A Zeroconf stack on a host of its own. */
export class Peer implements AsyncDisposable {
  readonly #running: Running;
  readonly #stack: Stack;
  readonly #heard: Said[] = [];
  #news = Promise.withResolvers<void>();
  readonly #mark = { next: 0 };
  #hasEnded = false;

  /**
   * Starts a stack.
   *
   * @param args For our own, the interfaces to use, `eth0` by default, or
   * `--all`; for Avahi, the name of the host.
   */
  constructor(namespace: Namespace, stack: Stack, args: string[] = []) {
    const script = (name: string): string =>
      new URL(name, import.meta.url).pathname;
    this.#stack = stack;
    this.#running = {
      ours: () =>
        namespace.start(Deno.execPath(), [
          ...deno,
          script("zeroconf_ours.ts"),
          ...args,
        ]),
      node: () =>
        namespace.start(Deno.execPath(), [...deno, script("zeroconf_node.ts")]),
      python: () =>
        namespace.start(PYTHON, [
          "-u",
          script("zeroconf_python.py"),
        ]),
      "python-both": () =>
        namespace.start(PYTHON, [
          "-u",
          script("zeroconf_python.py"),
          "--both",
        ]),
      avahi: () =>
        namespace.start(PYTHON, [
          "-u",
          script("zeroconf_avahi.py"),
          ...args,
        ]),
    }[stack]();
    this.#read();
  }

  async #read(): Promise<void> {
    for (let line; (line = await this.#running.line()) !== undefined;) {
      if (!line.startsWith("{")) continue;
      this.#heard.push(JSON.parse(line));
      this.#news.resolve();
      this.#news = Promise.withResolvers();
    }
    this.#hasEnded = true;
    this.#news.resolve();
  }

  /** Resolves once the program runs. */
  async ready(): Promise<void> {
    await this.#command({ do: "hello" });
  }

  /** Lets its time run twenty times as fast from now on; only our own stack does this. */
  async hurry(): Promise<void> {
    await this.#command({ do: "hurry" });
  }

  /** Sets its time of day on by an hour; only our own stack does this. */
  async jump(): Promise<void> {
    await this.#command({ do: "jump" });
  }

  /** Has the process stand still, or go on. */
  freeze(isFrozen: boolean): void {
    this.#running.signal(isFrozen ? "SIGSTOP" : "SIGCONT");
  }

  /** Begins to look for services. */
  async browse(): Promise<void> {
    await this.#command({ do: "browse" });
  }

  /**
   * Begins to look for services, and tells of what is added alone, as soon as
   * the stack does: Avahi is not asked time and again what has changed.
   */
  async look(): Promise<void> {
    await this.#command({ do: "look" });
  }

  /** Announces a service and returns its final name. */
  async register(
    instance: string,
    port: number,
    address: string,
    properties: Record<string, string> = {},
  ): Promise<string> {
    const name = `${instance}.${TYPE}`;
    const command = { do: "register", name, port, address, properties };
    return (await this.#command(command)).name ?? name;
  }

  /** Announces `service 0`, `service 1`, …; only our own stack does this. */
  async registerMany(count: number): Promise<void> {
    await this.#command({ do: "register many", count });
  }

  /** The name under which the host is announced; only Avahi tells. */
  async hostName(): Promise<string | undefined> {
    return (await this.#command({ do: "host name" })).name;
  }

  /** Looks once, and returns what was found; only our own stack does this. */
  async discover(seconds: number): Promise<readonly string[]> {
    const { found } = await this.#command({ do: "discover", seconds });
    return found!;
  }

  /** Changes what is announced. */
  async update(
    instance: string,
    port: number,
    address: string,
    properties: Record<string, string>,
  ): Promise<void> {
    const name = `${instance}.${TYPE}`;
    await this.#command({ do: "update", name, port, address, properties });
  }

  /** Says goodbye. */
  async unregister(): Promise<void> {
    await this.#command({ do: "unregister" });
  }

  /** The first event from now on, or since the last one, that fits. */
  async sees(
    label: string,
    fits: (said: Said) => boolean,
    seconds = 15,
    mark = this.#mark,
  ): Promise<Said> {
    const late = Promise.withResolvers<void>();
    let over = false;
    const timer = setTimeout(() => {
      over = true;
      late.resolve();
    }, seconds * 1_000);
    try {
      while (true) {
        const news = this.#news.promise;
        while (mark.next < this.#heard.length) {
          const said = this.#heard[mark.next++]!;
          if (fits(said)) return said;
        }
        if (over || this.#hasEnded) {
          throw new Error(
            `${this.#stack} did not see ${label} ${
              over ? `within ${seconds} s` : "before it ended"
            }, but: ${JSON.stringify(this.#heard)}`,
          );
        }
        await Promise.race([news, late.promise]);
      }
    } finally {
      clearTimeout(timer);
    }
  }

  /** Everything it said. */
  get heard(): readonly Said[] {
    return this.#heard;
  }

  /** Ends it without a goodbye. */
  crash(): Promise<void> {
    return this.#running.stop("SIGKILL");
  }

  async #command(command: Record<string, unknown>): Promise<Said> {
    const mark = { next: this.#heard.length };
    await this.#running.write(JSON.stringify(command));
    return await this.sees(
      `"${command.do}" done`,
      ({ done }) => done === command.do,
      90,
      mark,
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#running.stop("SIGTERM");
  }
}
