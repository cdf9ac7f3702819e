import { Connection, type RedisArgs } from "../src/redis/mod.ts";
import { freePort, TestServer } from "./servers.ts";

/** A master, a replica, and three sentinels that watch them. */
export class SentinelSetup implements AsyncDisposable {
  readonly master: TestServer;
  readonly replica: TestServer;
  #sentinels: Deno.ChildProcess[];
  #directory: string;
  #ports: number[];

  private constructor(
    master: TestServer,
    replica: TestServer,
    sentinels: Deno.ChildProcess[],
    ports: number[],
    directory: string,
  ) {
    this.master = master;
    this.replica = replica;
    this.#sentinels = sentinels;
    this.#ports = ports;
    this.#directory = directory;
  }

  static async start(): Promise<SentinelSetup> {
    const config = ["repl-diskless-sync-delay 0", "repl-ping-replica-period 1"];
    const master = await TestServer.start({ port: freePort(), config });
    const replica = await TestServer.start({ port: freePort(), config });
    const port = master.args.port!;
    await replica.run("REPLICAOF", "127.0.0.1", String(port));
    const directory = await Deno.makeTempDir();
    const ports = [freePort(), freePort(), freePort()];
    const sentinels: Deno.ChildProcess[] = [];
    for (const own of ports) {
      const file = `${directory}/${own}.conf`;
      await Deno.writeTextFile(
        file,
        [
          `port ${own}`,
          "bind 127.0.0.1",
          `dir "${directory}"`,
          `sentinel monitor tested 127.0.0.1 ${port} 2`,
          "sentinel down-after-milliseconds tested 1000",
          "sentinel failover-timeout tested 3000",
          "",
        ].join("\n"),
      );
      sentinels.push(
        new Deno.Command("redis-server", {
          args: [file, "--sentinel"],
          stdout: "null",
          stderr: "null",
        }).spawn(),
      );
    }
    const setup = new SentinelSetup(
      master,
      replica,
      sentinels,
      ports,
      directory,
    );
    await setup.#agree();
    return setup;
  }

  get args(): RedisArgs {
    return {
      sentinels: this.#ports.map((port) => `127.0.0.1:${port}`),
      serviceName: "tested",
      socket_connect_timeout: 1,
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
    for (const sentinel of this.#sentinels) sentinel.kill("SIGKILL");
    for (const sentinel of this.#sentinels) await sentinel.status;
    await this.master[Symbol.asyncDispose]();
    await this.replica[Symbol.asyncDispose]();
    await Deno.remove(this.#directory, { recursive: true });
  }

  /** Waits until all sentinels know each other and the replica. */
  async #agree(): Promise<void> {
    for (const port of this.#ports) {
      await using sentinel = await Connection.connect({ port });
      for (let known = ""; known !== "1 2";) {
        const facts = await sentinel.command<Record<string, string>>(
          ["SENTINEL", "MASTER", "tested"],
        );
        known = `${facts["num-slaves"]} ${facts["num-other-sentinels"]}`;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }
}
