import { type Address, parseAddress } from "./address.ts";
import { reachable } from "./find_server.ts";
import type { Settings } from "./settings.ts";
import type { RedisError } from "./redis_error.ts";
import { type ReplyOptions, ServerConnection } from "./server_connection.ts";

/**
 * Sends single commands to the nodes that a cluster names while a slot is being
 * moved: `ASK` means that the key is not here any more, or not yet, and that this
 * one command belongs there. The slot itself is still served here.
 */
export class AskedNodes {
  readonly #settings: Settings;
  readonly #signal: AbortSignal;
  readonly #nodes = new Map<string, Promise<ServerConnection>>();

  /** @param signal Aborted when the nodes are not needed any more. */
  constructor(settings: Settings, signal: AbortSignal) {
    this.#settings = settings;
    this.#signal = signal;
    signal.addEventListener("abort", () => this.close());
  }

  /**
   * Sends a command to the node that an answer names.
   *
   * @throws Whatever the client reports, as {@link ServerConnection.send} does.
   */
  async send<Reply>(
    ask: RedisError,
    args: readonly (string | Uint8Array)[],
    options: ReplyOptions,
  ): Promise<Reply> {
    const server = await this.#connect(askedNode(ask));
    const [, reply] = await Promise.all([
      server.send(["ASKING"]),
      server.send<Reply>(args, options),
    ]);
    return reply;
  }

  /** Closes the connections to all of them. */
  close(): void {
    for (const node of this.#nodes.values()) {
      node.then((server) => server.close(), () => {});
    }
    this.#nodes.clear();
  }

  #connect(named: Address): Promise<ServerConnection> {
    const name = JSON.stringify(named);
    const known = this.#nodes.get(name);
    if (known !== undefined) return known;
    const forget = (): void => {
      this.#nodes.delete(name);
    };
    const address = reachable(named, this.#settings);
    const made = ServerConnection.open(address, this.#settings, {
      signal: this.#signal,
      daemon: true,
      onLost: forget,
    });
    this.#nodes.set(name, made);
    made.catch(forget);
    return made;
  }
}

/** The node that an answer names: `ASK 3999 127.0.0.1:6381`. */
function askedNode({ cause }: RedisError): Address {
  const [, , place = ""] = (cause as Error).message.split(" ");
  const at = place.lastIndexOf(":");
  const host = place.slice(0, at);
  return parseAddress(
    host.includes(":") ? `[${host}]${place.slice(at)}` : place,
    6379,
  );
}
