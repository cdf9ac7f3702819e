import { Browser, type ServiceInfo } from "../zeroconf/mod.ts";
import type { Logger } from "../logger.ts";

/** Somebody on the network. */
export interface Peer {
  readonly service: ServiceInfo;
  /** `here`: it says so. `unreachable`: nobody answers at its Redis. `gone`: it has left. */
  readonly state: "here" | "unreachable" | "gone";
  /** When it was first heard, in seconds since the epoch. */
  readonly since: number;
  /** When it was last seen to change, in seconds since the epoch. */
  readonly changed: number;
}

/** So many are remembered, those that are gone included. */
const MAX_PEERS = 200;
/** The time that a server may take to answer, in seconds. */
const ANSWER_TIMEOUT = 2;

/** Follows who is on the network while somebody looks, and remembers who was. */
export class Peers implements AsyncDisposable {
  readonly #logger: Logger;
  readonly #interfaces: readonly string[] | undefined;
  readonly #onChange: () => void;
  readonly #known = new Map<string, Peer>();
  #browser: Browser | undefined;
  #starting: Promise<void> | undefined;
  #startedAt = 0;
  #isClosed = false;
  /** Why the network cannot be asked. */
  problem: string | undefined;

  constructor(
    logger: Logger,
    interfaces: readonly string[] | undefined,
    onChange: () => void,
  ) {
    this.#logger = logger;
    this.#interfaces = interfaces;
    this.#onChange = onChange;
  }

  /** Those that are known, by their names. */
  get known(): Peer[] {
    return [...this.#known.values()]
      .toSorted((a, b) => a.service.deviceId < b.service.deviceId ? -1 : 1);
  }

  /** True as long as answers may be on their way. */
  get isLooking(): boolean {
    return this.problem === undefined &&
      (this.#browser === undefined || Date.now() / 1000 - this.#startedAt < 3);
  }

  /** Begins to follow the network. */
  look(): void {
    if (this.#isClosed || this.#browser !== undefined) return;
    this.#startedAt = Date.now() / 1000;
    const browser = new Browser({
      daemon: true,
      logger: this.#logger,
      ...(this.#interfaces && { interfaces: this.#interfaces }),
      onChange: ({ kind, service }) => this.#note(kind, service),
    });
    this.#browser = browser;
    this.problem = undefined;
    this.#starting = browser.start().then(() => {}, (error: Error) => {
      this.problem = error.message;
    }).then(this.#onChange);
  }

  /** Looks no longer; what is known stays. */
  async rest(): Promise<void> {
    const browser = this.#browser;
    this.#browser = undefined;
    await this.#starting;
    await browser?.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.rest();
  }

  #note(kind: "added" | "updated" | "removed", service: ServiceInfo): void {
    const now = Date.now() / 1000;
    const known = this.#known.get(service.name);
    const isBack = known === undefined || known.state === "gone";
    this.#known.delete(service.name);
    this.#known.set(service.name, {
      service,
      state: kind === "removed" ? "gone" : "here",
      since: isBack && kind !== "removed" ? now : known?.since ?? now,
      changed: now,
    });
    if (this.#known.size > MAX_PEERS) {
      this.#known.delete(this.#known.keys().next().value!);
    }
    if (kind !== "removed") this.#try(service);
    this.#onChange();
  }

  /** Finds out whether its Redis can be reached; nothing is said there. */
  async #try(service: ServiceInfo): Promise<void> {
    if (await answers(service)) return;
    const known = this.#known.get(service.name);
    if (known === undefined || known.state === "gone") return;
    this.#known.set(service.name, { ...known, state: "unreachable" });
    this.#onChange();
  }
}

async function answers({ redisUrl }: ServiceInfo): Promise<boolean> {
  if (redisUrl === undefined) return false;
  const { hostname, port } = new URL(redisUrl.replace(/^\w+:/, "http:"));
  try {
    const connection = await Deno.connect({
      hostname: hostname.replace(/^\[|\]$/g, ""),
      port: Number(port || 80),
      signal: AbortSignal.timeout(ANSWER_TIMEOUT * 1000),
    });
    connection.close();
    return true;
  } catch {
    return false;
  }
}
