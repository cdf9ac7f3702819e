import {
  Connection,
  type PrivateRedis,
  type RedisArgs,
  startRedis,
  type StartRedisOptions,
} from "../src/redis/mod.ts";

/** A TCP port of 127.0.0.1 that was free a moment ago. */
export function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr as Deno.NetAddr;
  listener.close();
  return port;
}

/** A real server with a connection for the test itself. */
export class TestServer implements AsyncDisposable {
  #server: PrivateRedis;
  /** The test's own connection. */
  readonly redis: Connection;

  private constructor(server: PrivateRedis, redis: Connection) {
    this.#server = server;
    this.redis = redis;
  }

  static async start(options: StartRedisOptions = {}): Promise<TestServer> {
    const server = await startRedis(options);
    return new TestServer(server, await Connection.connect(server.redisArgs));
  }

  /** How to reach the server. */
  get args(): RedisArgs {
    return this.#server.redisArgs;
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

  async [Symbol.asyncDispose](): Promise<void> {
    await this.redis.close();
    await this.#server.stop();
  }
}

/** A logger that keeps what it is told. */
export class TestLogger {
  readonly lines: string[] = [];
  debug = (text: string): void => void this.lines.push(`debug: ${text}`);
  info = (text: string): void => void this.lines.push(`info: ${text}`);
  warn = (text: string): void => void this.lines.push(`warn: ${text}`);
  error = (text: string): void => void this.lines.push(`error: ${text}`);
}
