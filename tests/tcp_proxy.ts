import { Proxy } from "./proxy.ts";

const decoder = new TextDecoder("latin1");
const NOTHING = new Uint8Array();

/**
 * A TCP proxy on loopback that can stop forwarding without closing anything,
 * lose answers, and forge them.
 */
export class TcpProxy extends Proxy {
  #clients = new Set<Deno.TcpConn>();
  readonly #stranded = new WeakSet<Deno.TcpConn>();
  #thawed: PromiseWithResolvers<void> | undefined;
  #forgery: {
    text: string;
    forge: (answer: string) => string;
    done: PromiseWithResolvers<void>;
  } | undefined;
  #loss: { text: string; begun: PromiseWithResolvers<void> } | undefined;

  /** Stops forwarding; new connections are accepted and stay silent. */
  freeze(): void {
    this.#thawed ??= Promise.withResolvers();
  }

  /** Forwards again, also what was held back. */
  thaw(): void {
    this.#thawed?.resolve();
    this.#thawed = undefined;
  }

  /** Swallows from now on whatever goes through the connections that there are. */
  strand(): void {
    for (const client of this.#clients) this.#stranded.add(client);
  }

  /**
   * Loses everything that the server sends, from this text on until connections
   * are {@linkcode cut}.
   *
   * @returns Resolves when that begins.
   */
  lose(text: string): Promise<void> {
    this.#loss = { text, begun: Promise.withResolvers() };
    return this.#loss.begun.promise;
  }

  /**
   * Puts something else in the place of the next thing that the server sends
   * with this text in it.
   *
   * @returns Resolves when that has happened.
   */
  forge(text: string, forge: (answer: string) => string): Promise<void> {
    this.#forgery = { text, forge, done: Promise.withResolvers() };
    const { promise } = this.#forgery.done;
    // It may be awaited late, or never.
    promise.catch(() => {});
    return promise;
  }

  /** Sends something to all clients, as if it came from the server. */
  async inject(text: string): Promise<void> {
    const bytes = Uint8Array.from(text, (char) => char.charCodeAt(0));
    for (const client of this.#clients) {
      await client.write(bytes).catch(() => {});
    }
  }

  /** Closes every connection. */
  override cut(): void {
    this.#loss = undefined;
    super.cut();
  }

  override async [Symbol.asyncDispose](): Promise<void> {
    this.thaw();
    await super[Symbol.asyncDispose]();
  }

  protected override async admit(client: Deno.TcpConn): Promise<void> {
    await this.#thawed?.promise;
    this.#clients.add(client);
  }

  protected override end(client: Deno.TcpConn): void {
    this.#clients.delete(client);
  }

  protected override async carry(
    bytes: Uint8Array,
    isToServer: boolean,
    client: Deno.TcpConn,
  ): Promise<Uint8Array> {
    await this.#thawed?.promise;
    if (this.#stranded.has(client)) return NOTHING;
    if (isToServer) return bytes;
    return this.#isLost(bytes) ? NOTHING : this.#forged(bytes);
  }

  #isLost(bytes: Uint8Array): boolean {
    if (this.#loss === undefined) return false;
    if (decoder.decode(bytes).includes(this.#loss.text)) {
      this.#loss.text = "";
      this.#loss.begun.resolve();
    }
    return this.#loss.text === "";
  }

  #forged(bytes: Uint8Array): Uint8Array {
    if (this.#forgery === undefined) return bytes;
    const { text, forge, done } = this.#forgery;
    const answer = decoder.decode(bytes);
    if (!answer.includes(text)) return bytes;
    this.#forgery = undefined;
    try {
      const forged = forge(answer);
      done.resolve();
      return Uint8Array.from(forged, (char) => char.charCodeAt(0));
    } catch (error) {
      done.reject(error);
      throw error;
    }
  }
}
