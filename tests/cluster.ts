import { Connection, type RedisArgs } from "../src/redis/mod.ts";
import { freePort, TestServer } from "./servers.ts";
import { setUp } from "./set_up.ts";
import { until } from "./until.ts";

const SLOTS = 16384;

/** A cluster of three masters with a replica each. */
export class ClusterSetup implements AsyncDisposable {
  /** Masters first, each replica three places after its master. */
  readonly nodes: TestServer[] = [];

  private constructor() {}

  static async start(): Promise<ClusterSetup> {
    return await setUp(new ClusterSetup(), async (setup) => {
      await setup.#startNodes();
      await setup.#form();
    });
  }

  get args(): RedisArgs {
    return {
      cluster: this.nodes.slice(1).map(({ args }) => `127.0.0.1:${args.port}`),
      socket_connect_timeout: 10,
    };
  }

  /** The master that serves a key. */
  async masterOf(key: string): Promise<TestServer> {
    await using connection = await Connection.connect(this.args, { key });
    const { address } = connection;
    return this.nodes.find(({ args }) =>
      "port" in address && args.port === address.port
    )!;
  }

  /** The replica that a master had at first. */
  replicaOf(master: TestServer): TestServer {
    return this.nodes[this.nodes.indexOf(master) + 3]!;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const node of this.nodes) await node[Symbol.asyncDispose]();
  }

  async #startNodes(): Promise<void> {
    while (this.nodes.length < 6) {
      const node = await TestServer.start({
        port: freePort(),
        config: [
          "cluster-enabled yes",
          "cluster-node-timeout 3000",
          "cluster-replica-validity-factor 0",
          "repl-diskless-sync-delay 0",
        ],
      });
      this.nodes.push(node);
    }
  }

  async #form(): Promise<void> {
    const [first] = this.nodes;
    const ids: string[] = [];
    for (const [index, node] of this.nodes.entries()) {
      ids.push(await node.run<string>("CLUSTER", "MYID"));
      if (index < 3) {
        const start = Math.ceil(SLOTS * index / 3);
        const end = Math.ceil(SLOTS * (index + 1) / 3);
        const slots = Array.from(
          { length: end - start },
          (_, at) => String(start + at),
        );
        await node.run("CLUSTER", "ADDSLOTS", ...slots);
      }
      if (index > 0) {
        await node.run("CLUSTER", "MEET", "127.0.0.1", `${first!.args.port}`);
      }
    }
    await this.#all("CLUSTER NODES", (text) => lines(text) === 6);
    for (const [index, node] of this.nodes.entries()) {
      if (index >= 3) await node.run("CLUSTER", "REPLICATE", ids[index - 3]!);
    }
    await this.#all("CLUSTER INFO", (text) => /cluster_state:ok/.test(text));
    await this.#all(
      "CLUSTER NODES",
      (text) => text.match(/slave/g)?.length === 3,
    );
    for (const replica of this.nodes.slice(3)) {
      await says(
        replica,
        "INFO replication",
        (text) => /master_link_status:up/.test(text),
      );
    }
  }

  async #all(
    command: string,
    isSo: (text: string) => boolean,
  ): Promise<void> {
    for (const node of this.nodes) await says(node, command, isSo);
  }
}

/** Waits until what a node answers is so. */
async function says(
  node: TestServer,
  command: string,
  isSo: (text: string) => boolean,
): Promise<void> {
  const answer = (): Promise<string> => node.run(...command.split(" "));
  await until(async () => isSo(await answer()), `${command}: ${isSo}`);
}

function lines(text: string): number {
  return text.trim().split("\n").length;
}
