import {
  Connection,
  type PrivateRedis,
  type RedisArgs,
  startRedis,
  type StartRedisOptions,
} from "../src/redis/mod.ts";

/**
 * Where ports begin that no connection is given by itself. Each process takes
 * them from a block of its own, so that nobody takes one before a server that is
 * still starting does. The node of a cluster has another one, 10,000 above.
 */
const FIRST_PORT = 10_000;
const BLOCKS = 96;
const BLOCK_SIZE = 100;

const block = FIRST_PORT + Deno.pid % BLOCKS * BLOCK_SIZE;
let taken = Math.floor(Math.random() * BLOCK_SIZE);

/** A TCP port of 127.0.0.1 on which nobody listens. */
export function freePort(): number {
  for (let attempt = 0; attempt < BLOCK_SIZE; attempt++) {
    const port = block + taken++ % BLOCK_SIZE;
    try {
      Deno.listen({ hostname: "127.0.0.1", port }).close();
      return port;
    } catch (error) {
      if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    }
  }
  throw new Error(`No port from ${block} on is free`);
}

/**
 * Whether servers listen on a Unix socket where the test does not say, instead
 * of TCP: `deno task test` runs some rooms a second time like this.
 */
const OVER_SOCKET = Deno.env.get("TEST_TRANSPORT") === "socket";

interface TestServerOptions extends StartRedisOptions {
  /** Whether it has to listen on a socket, for who is in a network of its own. */
  socket?: boolean;
}

/** The folder of the certificates for tests; `server.crt` is of the CA `ca.crt`. */
export const CERTIFICATES: string =
  new URL("redis/certificates/", import.meta.url).pathname;

interface TlsOptions {
  /** The name of its certificate. */
  certificate?: string;
  /** Whether it wants to see a client's certificate. */
  asksClients?: boolean;
  port?: number;
  /** More lines of its configuration. */
  config?: readonly string[];
  /** How to reach it, besides the port. */
  redisArgs: RedisArgs;
}

/** A real server with a connection for the test itself. */
export class TestServer implements AsyncDisposable {
  #server: PrivateRedis;
  /** The test's own connection. */
  redis: Connection;
  /** What it is started with again, where its data outlive it. */
  #lasting: StartRedisOptions & { directory: string } | undefined;

  private constructor(server: PrivateRedis, redis: Connection) {
    this.#server = server;
    this.redis = redis;
  }

  /** Starts one, over TCP unless {@linkcode OVER_SOCKET}. */
  static async start(
    { socket = OVER_SOCKET, ...options }: TestServerOptions = {},
  ): Promise<TestServer> {
    for (let tries = 5;; tries--) {
      try {
        const server = await startRedis({
          ...(!socket && { port: freePort() }),
          ...options,
        });
        const redis = await Connection.connect(server.redisArgs);
        return new TestServer(server, redis);
      } catch (error) {
        // Another process may have taken the port since it was looked at.
        const isTaken = options.port === undefined && tries > 1 &&
          String(error).includes("Address already in use");
        if (!isTaken) throw error;
      }
    }
  }

  /** Starts one that only speaks TLS. */
  static async startTls({
    certificate = "server",
    asksClients = false,
    port = freePort(),
    config = [],
    redisArgs,
  }: TlsOptions): Promise<TestServer> {
    return await TestServer.start({
      port: freePort(),
      config: [
        "port 0",
        `tls-port ${port}`,
        `tls-cert-file "${CERTIFICATES}${certificate}.crt"`,
        `tls-key-file "${CERTIFICATES}${certificate}.key"`,
        `tls-ca-cert-file "${CERTIFICATES}ca.crt"`,
        ...(asksClients ? [] : ["tls-auth-clients no"]),
        ...config,
      ],
      redisArgs: { ...redisArgs, port },
    });
  }

  /** Starts one that writes down what it is told, for {@linkcode restart}. */
  static async startLasting(): Promise<TestServer> {
    const lasting = {
      port: freePort(),
      directory: await Deno.makeTempDir(),
      config: ["appendonly yes", "appendfsync always"],
    };
    const server = await TestServer.start(lasting);
    server.#lasting = lasting;
    return server;
  }

  /** How to reach the server. */
  get args(): RedisArgs {
    return this.#server.redisArgs;
  }

  /** Where it listens, as people are told. */
  get address(): string {
    return this.#server.address;
  }

  /** How to reach it, as one address for a command line. */
  get url(): string {
    const { unix_socket_path, port } = this.args;
    return unix_socket_path === undefined
      ? `redis://127.0.0.1:${port}`
      : `unix://${unix_socket_path}`;
  }

  /** Counts the connections beside the test's own. */
  async clients(): Promise<number> {
    const list = await this.run<string>("CLIENT", "LIST");
    return list.trim().split("\n").length - 1;
  }

  get pid(): number {
    return this.#server.pid;
  }

  /** Runs a command given as words. */
  run<Reply = unknown>(...words: (string | Uint8Array)[]): Promise<Reply> {
    return this.redis.command<Reply>(words);
  }

  /** Ends the server at once, as a power failure would. */
  async kill(): Promise<void> {
    Deno.kill(this.pid, "SIGKILL");
    await this.#server.ended;
  }

  /** Kills one that was started lasting, and starts it again with what it knows. */
  async restart(): Promise<void> {
    await this.kill();
    await this.#stop();
    this.#server = await startRedis(this.#lasting!);
    this.redis = await Connection.connect(this.args);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
    if (this.#lasting === undefined) return;
    await Deno.remove(this.#lasting.directory, { recursive: true });
  }

  async #stop(): Promise<void> {
    await this.redis.close();
    await this.#server.stop();
  }
}
