/** Listens on loopback, and serves everybody who comes until it is disposed. */
export abstract class LoopbackServer implements AsyncDisposable {
  readonly #listener: Deno.TcpListener;
  readonly #work = new Set<Promise<void>>();

  /** @param at Where it listens. */
  constructor(at = { hostname: "127.0.0.1", port: 0 }) {
    this.#listener = Deno.listen(at);
    this.#track(this.#accept());
  }

  /** The port on which it listens. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    while (this.#work.size > 0) await Promise.all(this.#work);
  }

  /** Serves one client until its connection is over; never rejects. */
  protected abstract serve(client: Deno.TcpConn): Promise<void>;

  async #accept(): Promise<void> {
    try {
      for await (const client of this.#listener) {
        this.#track(this.serve(client));
      }
    } catch {
      // The listener was closed.
    }
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    work.finally(() => this.#work.delete(work));
  }
}
