import { Connection, type RedisArgs } from "../src/redis/mod.ts";
import { freePort, TestServer } from "./servers.ts";
import { setUp } from "./set_up.ts";
import { until } from "./until.ts";

/** A master, a replica, and three sentinels that watch them. */
export class SentinelSetup implements AsyncDisposable {
  master!: TestServer;
  replica!: TestServer;
  readonly #ports = [freePort(), freePort(), freePort()];
  readonly #stack = new AsyncDisposableStack();

  private constructor() {}

  static async start(): Promise<SentinelSetup> {
    return await setUp(new SentinelSetup(), async (setup) => {
      await setup.#startServers();
      await setup.#startSentinels();
      await setup.#agree();
    });
  }

  get args(): RedisArgs {
    return {
      sentinels: this.#ports.map((port) => `127.0.0.1:${port}`),
      serviceName: "tested",
      socket_connect_timeout: 10,
    };
  }

  /**
   * Makes the replica the master and the other way round. Sentinel would close
   * the old master's connections; they stay open here.
   */
  async swap(): Promise<void> {
    const port = String(this.replica.args.port);
    await this.replica.run("REPLICAOF", "NO", "ONE");
    for (const own of this.#ports) {
      await using sentinel = await Connection.connect({ port: own });
      await sentinel.command(["SENTINEL", "REMOVE", "tested"]);
      const monitor = ["SENTINEL", "MONITOR", "tested", "127.0.0.1", port, "2"];
      await sentinel.command(monitor);
    }
    await this.master.run("REPLICAOF", "127.0.0.1", port);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }

  async #startServers(): Promise<void> {
    const config = ["repl-diskless-sync-delay 0", "repl-ping-replica-period 1"];
    const start = async (): Promise<TestServer> =>
      this.#stack.use(await TestServer.start({ port: freePort(), config }));
    this.master = await start();
    this.replica = await start();
    await this.replica.run(
      "REPLICAOF",
      "127.0.0.1",
      String(this.master.args.port),
    );
  }

  async #startSentinels(): Promise<void> {
    const directory = await Deno.makeTempDir();
    this.#stack.defer(() => Deno.remove(directory, { recursive: true }));
    for (const port of this.#ports) {
      const file = `${directory}/${port}.conf`;
      await Deno.writeTextFile(
        file,
        [
          `port ${port}`,
          "bind 127.0.0.1",
          `dir "${directory}"`,
          `sentinel monitor tested 127.0.0.1 ${this.master.args.port} 2`,
          "sentinel down-after-milliseconds tested 3000",
          "sentinel failover-timeout tested 9000",
          "",
        ].join("\n"),
      );
      const sentinel = new Deno.Command("redis-server", {
        args: [file, "--sentinel"],
        stdout: "null",
        stderr: "null",
      }).spawn();
      this.#stack.defer(async () => {
        try {
          sentinel.kill("SIGKILL");
        } catch {
          // It has ended by itself.
        }
        await sentinel.status;
      });
    }
  }

  /** Waits until all sentinels know each other and the replica. */
  async #agree(): Promise<void> {
    for (const port of this.#ports) {
      await using sentinel = await Connection.connect({ port });
      await until(async () => {
        const facts = await sentinel.command<Record<string, string>>(
          ["SENTINEL", "MASTER", "tested"],
        );
        return facts["num-slaves"] === "1" &&
          facts["num-other-sentinels"] === "2";
      }, `the sentinel at ${port} to know all others`);
    }
  }
}
