import { sleep } from "../waiting.ts";
import { showTurnsInHtml } from "./turns.ts";

const encoder = new TextEncoder();

/** The time between two looks, in seconds. */
const INTERVAL = 1;
/** A browser hears at each so-manieth look that we are there, also where nothing has changed. */
const LOOKS_PER_SIGN = 5;
/** So much may wait for a browser that reads slowly, in bytes; what is more is left out. */
const MAX_WAITING = 256 * 2 ** 10;

/** Gives a {@linkcode Viewer} what it needs. */
interface ViewerOptions {
  /** Called once a second, and when something has changed. */
  onTick(viewer: Viewer): unknown;
  /** Called when the browser has gone. */
  onEnd(): void;
}

/** One open page: a stream of server-sent events to a browser. */
export class Viewer {
  readonly #options: ViewerOptions;
  readonly #sent = new Map<string, string>();
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  readonly response: Response;

  constructor(options: ViewerOptions) {
    this.#options = options;
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => this.end(),
    }, new ByteLengthQueuingStrategy({ highWaterMark: MAX_WAITING }));
    this.response = new Response(stream, {
      headers: {
        "content-type": "text/event-stream",
        "cache-control": "no-store",
        // A proxy is not to collect what is live.
        "x-accel-buffering": "no",
      },
    });
    this.#write("retry: 1000\n\n");
  }

  /** True if the browser reads fast enough for more. */
  get hasRoom(): boolean {
    return (this.#controller?.desiredSize ?? 0) > 0;
  }

  /** Sends an event; tells whether there was room for it. */
  send(event: string, data: string): boolean {
    if (!this.hasRoom) return false;
    const lines = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}\n`);
    this.#write(`event: ${event}\n${lines.join("")}\n`);
    return true;
  }

  /** Sends HTML; tells whether there was room for it. */
  sendHtml(event: string, html: string): boolean {
    return this.send(event, showTurnsInHtml(html));
  }

  /** Sends a part of the page, if it is another one than it was last time. */
  sendPart(name: string, html: string): void {
    if (this.#sent.get(name) === html) return;
    if (this.sendHtml("part", html)) this.#sent.set(name, html);
  }

  /** Shows what is new. */
  async tick(): Promise<void> {
    await this.#options.onTick(this);
  }

  /** Ends the stream. */
  end(): void {
    const controller = this.#controller;
    if (controller === undefined) return;
    this.#controller = undefined;
    try {
      controller.close();
    } catch {
      // The browser has ended it.
    }
    this.#options.onEnd();
  }

  #write(text: string): void {
    this.#controller?.enqueue(encoder.encode(text));
  }
}

/** Called before the viewers are, once a second, while there are any. */
type Look = (signal: AbortSignal) => Promise<unknown>;

/** All open pages. A clock runs for them, and none while there are none. */
export class Live implements AsyncDisposable {
  readonly #look: Look;
  readonly #onRest: () => void;
  readonly #viewers = new Set<Viewer>();
  #clock: AbortController | undefined;
  #running: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(look: Look, onRest: () => void) {
    this.#look = look;
    this.#onRest = onRest;
  }

  /** Opens a page. */
  open({ onTick, onEnd }: ViewerOptions): Viewer {
    const viewer = new Viewer({
      onTick,
      onEnd: () => {
        this.#viewers.delete(viewer);
        if (this.#viewers.size === 0) this.#clock?.abort();
        onEnd();
      },
    });
    this.#viewers.add(viewer);
    if (this.#isClosed) viewer.end();
    else this.#start();
    return viewer;
  }

  /** Shows what is new at once. */
  wake(): void {
    for (const viewer of this.#viewers) {
      // What fails now is tried again by the clock.
      viewer.tick().catch(() => {});
    }
  }

  #start(): void {
    if (this.#clock !== undefined && !this.#clock.signal.aborted) return;
    const clock = new AbortController();
    this.#clock = clock;
    this.#running = this.#running.then(() => this.#run(clock.signal));
  }

  async #run(signal: AbortSignal): Promise<void> {
    for (let looks = 0; !signal.aborted; looks++) {
      await this.#look(signal);
      for (const viewer of [...this.#viewers]) {
        await viewer.tick();
        if (looks % LOOKS_PER_SIGN === 0) viewer.send("here", "");
      }
      await sleep(INTERVAL, { signal, daemon: true });
    }
    if (this.#viewers.size === 0) this.#onRest();
  }

  /** Ends all streams. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    for (const viewer of [...this.#viewers]) viewer.end();
    this.#clock?.abort();
    await this.#running;
  }
}
