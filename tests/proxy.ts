import { LoopbackServer } from "./loopback_server.ts";

/**
 * A TCP proxy on loopback. What derives from it says how bytes go through.
 */
export abstract class Proxy extends LoopbackServer {
  /** The port to which it forwards new connections. */
  target: number;
  readonly #connections = new Set<Deno.TcpConn>();

  /**
   * @param target The port to which it forwards.
   * @param at Where it listens.
   */
  constructor(target: number, at?: { hostname: string; port: number }) {
    super(at);
    this.target = target;
  }

  /** Closes every connection. */
  cut(): void {
    for (const connection of this.#connections) close(connection);
    this.#connections.clear();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    const over = super[Symbol.asyncDispose]();
    this.cut();
    await over;
  }

  /** Resolves when a new connection may be forwarded. */
  protected async admit(_client: Deno.TcpConn): Promise<void> {}

  /** Takes notice that a connection is over. */
  protected end(_client: Deno.TcpConn): void {}

  /**
   * Carries bytes on their way.
   *
   * @returns What arrives in their place.
   */
  protected abstract carry(
    bytes: Uint8Array,
    isToServer: boolean,
    client: Deno.TcpConn,
  ): Promise<Uint8Array>;

  /** The number of bytes that are read at once. */
  protected chunk(_isToServer: boolean): number {
    return 65_536;
  }

  protected override async serve(client: Deno.TcpConn): Promise<void> {
    this.#connections.add(client);
    try {
      await this.admit(client);
      const server = await Deno.connect({
        hostname: "127.0.0.1",
        port: this.target,
      });
      this.#connections.add(server);
      await Promise.all([
        this.#pump(client, server, client),
        this.#pump(server, client, client),
      ]);
    } catch {
      close(client);
    } finally {
      this.end(client);
    }
  }

  async #pump(
    from: Deno.TcpConn,
    to: Deno.TcpConn,
    client: Deno.TcpConn,
  ): Promise<void> {
    const isToServer = from === client;
    const buffer = new Uint8Array(this.chunk(isToServer));
    try {
      for (let count; (count = await from.read(buffer)) !== null;) {
        const read = buffer.subarray(0, count);
        const bytes = await this.carry(read, isToServer, client);
        for (let start = 0; start < bytes.length;) {
          start += await to.write(bytes.subarray(start));
        }
      }
    } catch {
      // One of the two sides is gone.
    }
    for (const connection of [from, to]) {
      close(connection);
      this.#connections.delete(connection);
    }
  }
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
