const decoder = new TextDecoder("latin1");
const NOTHING = new Uint8Array();

/**
 * A TCP proxy on loopback that can stop forwarding without closing anything,
 * lose answers, and forge them.
 */
export class TcpProxy implements AsyncDisposable {
  #listener: Deno.TcpListener;
  /** The port to which it forwards new connections. */
  target: number;
  #connections = new Set<Deno.TcpConn>();
  #clients = new Set<Deno.TcpConn>();
  #pumps = new Set<Promise<void>>();
  #accepting: Promise<void>;
  #thawed: PromiseWithResolvers<void> | undefined;
  #forgery: {
    text: string;
    forge: (answer: string) => string;
    done: PromiseWithResolvers<void>;
  } | undefined;
  #loss: { text: string; begun: PromiseWithResolvers<void> } | undefined;

  /**
   * @param target The port to which it forwards.
   * @param place Where it listens.
   */
  constructor(
    target: number,
    place: { hostname: string; port: number } = {
      hostname: "127.0.0.1",
      port: 0,
    },
  ) {
    this.target = target;
    this.#listener = Deno.listen(place);
    this.#accepting = this.#accept();
  }

  /** The port on which it listens. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** Stops forwarding; new connections are accepted and stay silent. */
  freeze(): void {
    this.#thawed ??= Promise.withResolvers();
  }

  /** Forwards again, also what was held back. */
  thaw(): void {
    this.#thawed?.resolve();
    this.#thawed = undefined;
  }

  /**
   * Loses everything that the server sends, from this text on until connections
   * are {@linkcode cut}.
   *
   * @returns Resolves when that begins.
   */
  lose(text: string): Promise<void> {
    this.#loss = { text, begun: Promise.withResolvers() };
    return this.#loss.begun.promise;
  }

  /**
   * Puts something else in the place of the next thing that the server sends
   * with this text in it.
   *
   * @returns Resolves when that has happened.
   */
  forge(text: string, forge: (answer: string) => string): Promise<void> {
    this.#forgery = { text, forge, done: Promise.withResolvers() };
    return this.#forgery.done.promise;
  }

  /** Sends something to all clients, as if it came from the server. */
  async inject(text: string): Promise<void> {
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    for (const client of this.#clients) {
      await client.write(bytes).catch(() => {});
    }
  }

  /** Closes every connection. */
  cut(): void {
    this.#loss = undefined;
    for (const connection of this.#connections) close(connection);
    this.#connections.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await this.#accepting;
    this.cut();
    this.thaw();
    await Promise.all(this.#pumps);
  }

  async #accept(): Promise<void> {
    try {
      for await (const client of this.#listener) {
        this.#track(this.#serve(client));
      }
    } catch {
      // The listener was closed.
    }
  }

  async #serve(client: Deno.TcpConn): Promise<void> {
    this.#connections.add(client);
    await this.#thawed?.promise;
    try {
      const server = await Deno.connect({
        hostname: "127.0.0.1",
        port: this.target,
      });
      this.#connections.add(server);
      this.#clients.add(client);
      await Promise.all([
        this.#pump(client, server, (bytes) => bytes),
        this.#pump(
          server,
          client,
          (bytes) => this.#isLost(bytes) ? NOTHING : this.#forged(bytes),
        ),
      ]);
    } catch {
      close(client);
    } finally {
      this.#clients.delete(client);
    }
  }

  #isLost(bytes: Uint8Array): boolean {
    if (this.#loss === undefined) return false;
    if (decoder.decode(bytes).includes(this.#loss.text)) {
      this.#loss.text = "";
      this.#loss.begun.resolve();
    }
    return this.#loss.text === "";
  }

  #forged(bytes: Uint8Array): Uint8Array {
    if (this.#forgery === undefined) return bytes;
    const { text, forge, done } = this.#forgery;
    const answer = decoder.decode(bytes);
    if (!answer.includes(text)) return bytes;
    this.#forgery = undefined;
    done.resolve();
    return Uint8Array.from(forge(answer), (char) => char.charCodeAt(0));
  }

  async #pump(
    from: Deno.TcpConn,
    to: Deno.TcpConn,
    change: (bytes: Uint8Array) => Uint8Array,
  ): Promise<void> {
    const buffer = new Uint8Array(65536);
    try {
      for (let count; (count = await from.read(buffer)) !== null;) {
        await this.#thawed?.promise;
        const bytes = change(buffer.subarray(0, count));
        for (let start = 0; start < bytes.length;) {
          start += await to.write(bytes.subarray(start));
        }
      }
    } catch {
      // One of the two sides is gone.
    }
    close(from);
    close(to);
    this.#connections.delete(from);
    this.#connections.delete(to);
  }

  #track(work: Promise<void>): void {
    this.#pumps.add(work);
    work.finally(() => this.#pumps.delete(work));
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
