import { LoopbackServer } from "./loopback_server.ts";

/** The start of the command behind which a write is split. */
const SECOND = "*5\r\n$5\r\nLMOVE\r\n";
const encoder = new TextEncoder();

/** A write of which the server has only the first part, and the client no answer. */
export interface Late {
  /** Ends the client's connection. */
  lose(): void;
  /** Passes the rest to the server; resolves when the server has dealt with it. */
  arrive(): Promise<void>;
}

/** A TCP proxy on loopback on which a burst of `LMOVE`s can be late behind its `BLMOVE`. */
export class LateProxy extends LoopbackServer {
  readonly #target: number;
  #split: PromiseWithResolvers<Late> | undefined;

  /** @param target The port to which it forwards. */
  constructor(target: number) {
    super();
    this.#target = target;
  }

  /** Splits the next burst; resolves when its first part has been passed. */
  split(): Promise<Late> {
    this.#split = Promise.withResolvers();
    return this.#split.promise;
  }

  protected override async serve(client: Deno.TcpConn): Promise<void> {
    using _client = client;
    using server = await Deno.connect({
      hostname: "127.0.0.1",
      port: this.#target,
    });
    let isLate = false;
    const down = (async (): Promise<void> => {
      const buffer = new Uint8Array(65_536);
      for (let count; (count = await server.read(buffer)) !== null;) {
        if (!isLate) await writeAll(client, buffer.subarray(0, count));
      }
    })().catch(() => {});
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const count = await client.read(buffer).catch(() => null);
      if (count === null) break;
      const bytes = buffer.slice(0, count);
      const place = this.#split === undefined
        ? -1
        : new TextDecoder("latin1").decode(bytes).indexOf(SECOND);
      if (place < 0) {
        await writeAll(server, bytes);
        continue;
      }
      const split = this.#split!;
      this.#split = undefined;
      isLate = true;
      const arriving = Promise.withResolvers<void>();
      const arrived = Promise.withResolvers<void>();
      const lost = Promise.withResolvers<void>();
      await writeAll(server, bytes.subarray(0, place));
      split.resolve({
        lose: lost.resolve,
        arrive: () => {
          arriving.resolve();
          return arrived.promise;
        },
      });
      await lost.promise;
      client.close();
      await arriving.promise;
      await writeAll(server, bytes.subarray(place));
      // The server closes when it has dealt with all that came before.
      await writeAll(server, encoder.encode("*1\r\n$4\r\nQUIT\r\n"));
      await down;
      arrived.resolve();
      return;
    }
    server.close();
    await down;
  }
}

async function writeAll(to: Deno.TcpConn, bytes: Uint8Array): Promise<void> {
  for (let start = 0; start < bytes.length;) {
    start += await to.write(bytes.subarray(start));
  }
}
