const TICK = 0.02;

/**
 * A TCP proxy on loopback that forwards no faster than a slow link, for all
 * connections together.
 */
export class ThrottledProxy implements AsyncDisposable {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #connections = new Set<Deno.TcpConn>();
  readonly #work = new Set<Promise<void>>();
  readonly #target: number;
  readonly #down: Direction;
  readonly #up: Direction;

  /**
   * @param down How many bytes a second it carries from the server.
   * @param up How many it carries to the server.
   */
  constructor(target: number, down: number, up = Infinity) {
    this.#target = target;
    this.#down = new Direction(down);
    this.#up = new Direction(up);
    this.#track(this.#accept());
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) close(connection);
    await Promise.all(this.#work);
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
    const server = await Deno.connect({
      hostname: "127.0.0.1",
      port: this.#target,
    });
    this.#connections.add(server);
    await Promise.all([
      pump(client, server, this.#up),
      pump(server, client, this.#down),
    ]);
    this.#connections.delete(client);
    this.#connections.delete(server);
  }

  #track(work: Promise<void>): void {
    this.#work.add(work);
    work.finally(() => this.#work.delete(work));
  }
}

/** One direction of the link. */
class Direction {
  readonly #bytesPerSecond: number;
  /** When it has carried everything so far. */
  #free = 0;

  constructor(bytesPerSecond: number) {
    this.#bytesPerSecond = bytesPerSecond;
  }

  /** How much to carry at once. */
  get chunk(): number {
    return Math.min(
      65536,
      Math.max(256, Math.ceil(this.#bytesPerSecond * TICK)),
    );
  }

  /** Waits until it has carried so many bytes more. */
  async carry(count: number): Promise<void> {
    const now = performance.now();
    this.#free = Math.max(now, this.#free) +
      count / this.#bytesPerSecond * 1000;
    const wait = this.#free - now;
    if (wait > 1) await new Promise((resolve) => setTimeout(resolve, wait));
  }
}

async function pump(
  from: Deno.TcpConn,
  to: Deno.TcpConn,
  direction: Direction,
): Promise<void> {
  const buffer = new Uint8Array(direction.chunk);
  try {
    for (let count; (count = await from.read(buffer)) !== null;) {
      await direction.carry(count);
      for (let start = 0; start < count;) {
        start += await to.write(buffer.subarray(start, count));
      }
    }
  } catch {
    // One of the two sides is gone.
  }
  close(from);
  close(to);
}

function close(connection: Deno.TcpConn): void {
  try {
    connection.close();
  } catch {
    // It is closed already.
  }
}
