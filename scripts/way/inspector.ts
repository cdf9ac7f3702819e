/** A place in a script, as V8 counts: lines and columns from 0. */
export interface Location {
  scriptId: string;
  lineNumber: number;
  columnNumber: number;
}

/** The functions of a script that have run, as V8's precise coverage tells. */
export interface ScriptCoverage {
  scriptId: string;
  url: string;
  functions: {
    functionName: string;
    ranges: { startOffset: number; endOffset: number; count: number }[];
  }[];
}

interface Answer {
  id?: number;
  result?: unknown;
  error?: { message: string };
}

/** Speaks the DevTools protocol with a program under Deno's inspector. */
export class Inspector {
  readonly #socket: WebSocket;
  readonly #answers = new Map<number, PromiseWithResolvers<unknown>>();
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.onmessage = ({ data }) => this.#hear(JSON.parse(data));
  }

  /**
   * Connects to a program.
   *
   * @param url The address that the program prints when it starts.
   */
  static async connect(url: string): Promise<Inspector> {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.onopen = resolve;
      socket.onerror = reject;
    });
    return new Inspector(socket);
  }

  /** Sends a command of the protocol, and returns what comes back. */
  async send<Result = unknown>(
    method: string,
    params: Record<string, unknown> = {},
  ): Promise<Result> {
    const id = ++this.#last;
    const answer = Promise.withResolvers<unknown>();
    this.#answers.set(id, answer);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return await answer.promise as Result;
  }

  /** Lets go of the program. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#socket.onclose = resolve);
    this.#socket.close();
    await closed;
  }

  #hear({ id, result, error }: Answer): void {
    const answer = id === undefined ? undefined : this.#answers.get(id);
    if (answer === undefined) return;
    this.#answers.delete(id!);
    if (error) answer.reject(new Error(error.message));
    else answer.resolve(result);
  }
}
