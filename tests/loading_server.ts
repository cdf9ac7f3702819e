import { type PrivateRedis, startRedis } from "../src/redis/mod.ts";
import { freePort, TestServer } from "./servers.ts";

/** How many keys it loads. */
const KEYS = 500;

/** A server that goes on loading its data until it is let finish. */
export class LoadingServer implements AsyncDisposable {
  /** The port of 127.0.0.1 on which it answers that it is still loading. */
  readonly port: number;
  readonly #directory: string;
  readonly #starting: Promise<PrivateRedis>;
  #finished: Promise<PrivateRedis> | undefined;

  private constructor(port: number, directory: string) {
    this.port = port;
    this.#directory = directory;
    this.#starting = startRedis({
      port,
      directory,
      // For each key it takes a rest, and then looks at what clients want.
      config: [
        "key-load-delay 50000",
        "loading-process-events-interval-bytes 1024",
      ],
    });
  }

  /** Starts one; there is no hurry to see that it is loading. */
  static async start(): Promise<LoadingServer> {
    const port = freePort();
    const directory = await Deno.makeTempDir();
    const config = ["rdbcompression no"];
    const server = await TestServer.start({ port, directory, config });
    const value = "x".repeat(1024);
    const pairs = Array.from({ length: KEYS }, (_, n) => [`key${n}`, value]);
    await server.run("MSET", ...pairs.flat());
    await server.run("SAVE");
    await server[Symbol.asyncDispose]();
    return new LoadingServer(port, directory);
  }

  /** How many keys it has once it has loaded them. */
  get keys(): number {
    return KEYS;
  }

  /** Lets it load the rest at once. */
  finish(): Promise<PrivateRedis> {
    return this.#finished ??= this.#finish();
  }

  async #finish(): Promise<PrivateRedis> {
    const { port } = this;
    using connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const command = "CONFIG SET key-load-delay 0\r\n";
    await connection.write(new TextEncoder().encode(command));
    await connection.read(new Uint8Array(16));
    return await this.#starting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.finish()).stop();
    await Deno.remove(this.#directory, { recursive: true });
  }
}
