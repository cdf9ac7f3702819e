import { inTime } from "./in_time.ts";
import type { Namespace } from "./namespaces.ts";

const ROOT = new URL("../", import.meta.url).pathname;

/** How to run a {@linkcode Program}. */
export interface ProgramOptions {
  /** Variables of the environment, beside what programs need anyway. */
  readonly env?: Record<string, string>;
  /** Where it runs; here by default. */
  readonly namespace?: Namespace | undefined;
  /** Permissions. Default: all. */
  readonly permissions?: readonly string[];
  /** What it reads. Default: nothing. */
  readonly input?: string | undefined;
  /** Whether what it reads goes on, see {@linkcode Program.write}. */
  readonly leavesInputOpen?: boolean;
  /** A file that it reads instead. */
  readonly inputFile?: string;
  /** Whether it runs on a terminal, whose output is all on stdout then. */
  readonly isOnTerminal?: boolean;
  /** How many columns that terminal has. Default: it does not say. */
  readonly columns?: number;
}

/** What remains of a program that has ended. */
export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A Deno program of this repository that runs as a process, as users start it. */
export class Program implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #out: Output;
  readonly #err: Output;
  #input: WritableStreamDefaultWriter<Uint8Array> | undefined;

  /**
   * @param args The file, from the repository on or with its whole path, and its arguments.
   * @param options Where and how it runs.
   */
  constructor(args: readonly string[], options: ProgramOptions = {}) {
    const { namespace, permissions = ["-A"], env = {}, input } = options;
    const { isOnTerminal = false, columns, inputFile } = options;
    const [file = "", ...rest] = args;
    let command = [
      Deno.execPath(),
      "run",
      // Where the cache is new, Deno tells on stderr what it downloads.
      "--quiet",
      "--no-prompt",
      ...permissions,
      new URL(file, `file://${ROOT}`).pathname,
      ...rest,
    ];
    if (isOnTerminal) command = onTerminal(command, inputFile, columns);
    if (namespace) command.unshift("ip", "netns", "exec", namespace.name);
    this.#child = new Deno.Command(command[0]!, {
      args: command.slice(1),
      clearEnv: true,
      env: { ...needed(), ...(!isOnTerminal && { NO_COLOR: "1" }), ...env },
      stdin: input === undefined ? "null" : "piped",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    if (input !== undefined) this.#feed(input, options.leavesInputOpen);
    this.#out = new Output(this.#child.stdout);
    this.#err = new Output(this.#child.stderr);
  }

  get pid(): number {
    return this.#child.pid;
  }

  /** Gives it more to read, where its input was left open. */
  async write(text: string): Promise<void> {
    await this.#input!.write(new TextEncoder().encode(text));
  }

  /** Gives its terminal another size, of which it hears (`SIGWINCH`). */
  async resize(columns: number): Promise<void> {
    // Deno reads below /proc only with all permissions, which tests do not have.
    const { success } = await new Deno.Command("sh", {
      args: [
        "-c",
        'read -r child _ < "/proc/$1/task/$1/children"; stty -F "/proc/$child/fd/1" cols "$2"',
        "sh",
        String(this.pid),
        String(columns),
      ],
    }).output();
    if (!success) throw new Error(`Cannot resize the terminal of ${this.pid}`);
  }

  /** Waits for the next line on stdout. */
  line(): Promise<string> {
    return this.#out.line();
  }

  /** Waits for something on stderr; returns what a group of it has caught, or all. */
  async says(pattern: RegExp): Promise<string> {
    const match = await this.#err.match(pattern);
    return match[1] ?? match[0];
  }

  /** Waits until it has ended, after a signal if one is given. */
  async end(signal?: Deno.Signal): Promise<Ended> {
    if (signal) this.#child.kill(signal);
    const ended = Promise.all([
      this.#child.status,
      this.#out.all(),
      this.#err.all(),
    ]);
    const [{ code }, stdout, stderr] = await inTime(ended, "the end");
    return { code, stdout, stderr };
  }

  async #feed(input: string, isLeftOpen = false): Promise<void> {
    this.#input = this.#child.stdin.getWriter();
    try {
      await this.write(input);
      if (isLeftOpen) await this.#child.status;
      await this.#input.close();
    } catch {
      // It has ended before it has read everything.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch {
      // It has ended by itself.
    }
    await this.end();
  }
}

/** Why {@linkcode ProgramOptions.isOnTerminal} does not work here; `undefined` where it does. */
export function whyNoTerminals(): string | undefined {
  const hasTerminals = Deno.build.os === "linux" &&
    new Deno.Command("sh", { args: ["-c", "command -v script"] })
      .outputSync().success;
  return hasTerminals ? undefined : "there is no `script`";
}

/** The same command, run by `script` on a terminal of its own. */
function onTerminal(
  command: readonly string[],
  inputFile?: string,
  columns?: number,
): string[] {
  const quoted = command.map((word) => `'${word.replaceAll("'", `'\\''`)}'`);
  if (inputFile !== undefined) quoted.push(`< '${inputFile}'`);
  if (columns) quoted.unshift(`stty cols ${columns} &&`);
  return ["script", "-qec", quoted.join(" "), "/dev/null"];
}

/** What a program writes. */
class Output {
  #text = "";
  #read = 0;
  #isOver = false;
  readonly #over: Promise<void>;
  #more = Promise.withResolvers<void>();

  constructor(stream: ReadableStream<Uint8Array>) {
    this.#over = this.#collect(stream);
  }

  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n", this.#read);
      if (end >= 0) {
        const line = this.#text.slice(this.#read, end);
        this.#read = end + 1;
        return line;
      }
      await this.#next();
    }
  }

  async match(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match !== null) return match;
      await this.#next();
    }
  }

  async all(): Promise<string> {
    await this.#over;
    return this.#text;
  }

  async #next(): Promise<void> {
    if (this.#isOver) throw new Error(`The program ended: ${this.#text}`);
    await inTime(this.#more.promise, `more than ${JSON.stringify(this.#text)}`);
  }

  async #collect(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      this.#text += text;
      this.#wake();
    }
    this.#isOver = true;
    this.#wake();
  }

  #wake(): void {
    this.#more.resolve();
    this.#more = Promise.withResolvers();
  }
}

/** The variables without which Deno finds neither its cache nor programs. */
function needed(): Record<string, string> {
  const names = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "TMPDIR"];
  return Object.fromEntries(
    names.map((name) => [name, Deno.env.get(name)] as const)
      .filter((pair): pair is [string, string] => pair[1] !== undefined),
  );
}

/** Runs a program to its end. */
export async function runProgram(
  args: readonly string[],
  options?: ProgramOptions,
): Promise<Ended> {
  await using program = new Program(args, options);
  return await program.end();
}
