/** A consumer in a process of its own, as `consumer.ts` runs it. */
export class Consumer implements AsyncDisposable {
  readonly #process: Deno.ChildProcess;
  readonly #output: ReadableStreamDefaultReader<string>;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  #text = "";
  #isOver = false;

  private constructor(process: Deno.ChildProcess) {
    this.#process = process;
    this.#output = process.stdout.pipeThrough(new TextDecoderStream())
      .getReader();
    this.#input = process.stdin.getWriter();
  }

  /** Starts one, which takes messages when this resolves. */
  static async start(options: {
    shape: string;
    path: string;
    queue: string;
    count?: number;
    timeout?: number;
    log?: string;
    username?: string;
  }): Promise<Consumer> {
    const { shape, path, queue, count, timeout, log, username } = options;
    const process = new Deno.Command(Deno.execPath(), {
      args: [
        "run",
        "-A",
        "--quiet",
        "--no-check",
        new URL("consumer.ts", import.meta.url).pathname,
        shape,
        path,
        queue,
        String(count ?? 0),
        String(timeout ?? 30),
        log ?? "",
        username ?? "",
      ],
      stdin: "piped",
      stdout: "piped",
      stderr: Deno.env.has("SHAPES_ERRORS") ? "inherit" : "null",
    }).spawn();
    const consumer = new Consumer(process);
    await consumer.hear(/started/);
    return consumer;
  }

  /** Resolves when the process has said something. */
  async hear(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.#text);
      if (match) return match;
      const { value, done } = await this.#output.read();
      if (done) throw new Error(`The consumer ended: ${this.#text}`);
      this.#text += value;
    }
  }

  /** The processor time that it has used, in milliseconds. */
  async cpu(): Promise<number> {
    this.#text = "";
    await this.#input.write(new TextEncoder().encode("\n"));
    return Number((await this.hear(/cpu (\S+) \d+\n/))[1]);
  }

  /** Ends it in order. */
  async stop(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#input.close().catch(() => {});
    await this.#end();
  }

  /** Ends it at once, as a power failure would. */
  async kill(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#process.kill("SIGKILL");
    await this.#input.close().catch(() => {});
    await this.#end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #end(): Promise<void> {
    while (!(await this.#output.read()).done);
    await this.#process.status;
  }
}
