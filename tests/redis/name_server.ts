import { Buffer } from "node:buffer";
import { createSocket, type RemoteInfo } from "node:dgram";
import { once } from "node:events";
import { decode, encode } from "dns-packet";
import { until } from "../until.ts";

/** What is read of a query. */
interface Query {
  id: number;
  questions: { name: string; type: string }[];
}

/** A name server on loopback that knows one name, and counts who asks for it. */
export class NameServer implements AsyncDisposable {
  readonly #name: string;
  readonly #socket = createSocket("udp4");
  #addresses: readonly string[] = [];
  #asked = 0;

  private constructor(name: string) {
    this.#name = name;
    this.#socket.on("message", (query, sender) => this.#answer(query, sender));
  }

  /** Starts one at the port where all look for one, which needs a network of its own. */
  static async start(name: string): Promise<NameServer> {
    const server = new NameServer(name);
    server.#socket.bind(53, "127.0.0.1");
    await once(server.#socket, "listening");
    return server;
  }

  /** Lets the name stand for these IPv4 addresses from now on. */
  point(...addresses: string[]): void {
    this.#addresses = addresses;
    this.#asked = 0;
  }

  /** Waits until a number of questions for the name were answered since {@link point}. */
  async asked(times: number): Promise<void> {
    await until(() => this.#asked >= times, `${this.#name} is looked up`);
  }

  #answer(query: Buffer, { address, port }: RemoteInfo): void {
    const { id, questions }: Query = decode(query);
    const addresses =
      questions.some(({ name, type }) => name === this.#name && type === "A")
        ? this.#addresses
        : [];
    if (addresses.length > 0) this.#asked++;
    const answer = encode({
      type: "response",
      id,
      questions,
      answers: addresses.map((data) => (
        { name: this.#name, type: "A", ttl: 0, data } as const
      )),
    });
    this.#socket.send(answer, port, address);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#socket.close();
    await once(this.#socket, "close");
  }
}
