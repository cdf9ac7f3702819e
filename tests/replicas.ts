import { freePort, TestServer } from "./servers.ts";
import { setUp } from "./set_up.ts";
import { TcpProxy } from "./tcp_proxy.ts";
import { until } from "./until.ts";

/** What lets a replica begin at once, and hear of its master often. */
const CONFIG = ["repl-diskless-sync-delay 0", "repl-ping-replica-period 1"];

/** A master and its replica, with one address in front as a name or a virtual IP is. */
export class ReplicaPair implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();
  master!: TestServer;
  replica!: TestServer;
  /** Leads to the master at first. */
  proxy!: TcpProxy;

  private constructor() {}

  /** Starts both, and waits until the replica has what the master has. */
  static async start(): Promise<ReplicaPair> {
    return await setUp(new ReplicaPair(), async (pair) => {
      pair.master = await pair.#server();
      pair.replica = await pair.#server();
      pair.proxy = pair.#stack.use(new TcpProxy(pair.master.args.port!));
      await pair.replica.run(
        "REPLICAOF",
        "127.0.0.1",
        String(pair.master.args.port),
      );
      await until(async () =>
        /master_link_status:up/.test(
          await pair.replica.run("INFO", "replication"),
        )
      );
    });
  }

  async #server(): Promise<TestServer> {
    return this.#stack.use(
      await TestServer.start({ port: freePort(), config: CONFIG }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

/**
 * Waits until a replica has all that its master was told so far, by whomever:
 * `WAIT` looks only at what its own connection has written.
 */
export async function caughtUp(
  replica: TestServer,
  master: TestServer,
): Promise<void> {
  const told = await offset(master, "master_repl_offset");
  await until(
    async () => await offset(replica, "slave_repl_offset") >= told,
    "the replica has caught up with its master",
  );
}

async function offset(server: TestServer, name: string): Promise<number> {
  const facts = await server.run<string>("INFO", "replication");
  return Number(new RegExp(`${name}:(\\d+)`).exec(facts)?.[1]);
}
