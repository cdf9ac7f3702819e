import { PYTHON } from "../python.ts";
import { until } from "../until.ts";

const PROGRAM = new URL("./platypush_hub.py", import.meta.url).pathname;

/** A peer with the main bus of Platypush. */
export class Hub implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #stdin: WritableStreamDefaultWriter<Uint8Array>;
  readonly #reading: Promise<void>;
  /** The kinds of messages that it has taken. */
  readonly taken: { kind: string; id: string }[] = [];
  isListening = false;

  constructor(...args: string[]) {
    this.#child = new Deno.Command(PYTHON, {
      args: [PROGRAM, ...args],
      stdin: "piped",
      stdout: "piped",
    }).spawn();
    this.#stdin = this.#child.stdin.getWriter();
    this.#reading = this.#read();
  }

  static async start(...args: string[]): Promise<Hub> {
    const hub = new Hub(...args);
    await until(() => hub.isListening);
    return hub;
  }

  /** Lets it post an event. */
  async post(args: Record<string, unknown>): Promise<void> {
    await this.#stdin.write(
      new TextEncoder().encode(`${JSON.stringify(args)}\n`),
    );
  }

  async #read(): Promise<void> {
    let text = "";
    const chunks = this.#child.stdout.pipeThrough(new TextDecoderStream());
    for await (const chunk of chunks) {
      const lines = (text + chunk).split("\n");
      text = lines.pop()!;
      for (const line of lines) {
        if (line === "listens") this.isListening = true;
        else this.taken.push(JSON.parse(line));
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    await this.#reading;
    await this.#stdin.close().catch(() => {});
  }
}
