import {
  BATCH,
  BLOCK,
  MAX_DELIVERIES,
  PAUSE,
  rest,
  type Shape,
  type ShapeOptions,
  Wire,
} from "./shape.ts";

/**
 * Moves what lies at the door onto the stream; what was on its way first.
 *
 * KEYS[1]  the queue
 * KEYS[2]  the list where a wait puts what has come
 * KEYS[3]  the stream
 * ARGV[1]  how many messages at most
 */
const MOVE = `
local count = 0
for at = 2, 1, -1 do
  local batch = redis.call('LRANGE', KEYS[at], 0, ARGV[1] - 1)
  for _, payload in ipairs(batch) do
    redis.call('XADD', KEYS[3], '*', 'm', payload)
  end
  if #batch > 0 then redis.call('LTRIM', KEYS[at], #batch, -1) end
  count = count + #batch
end
return count
`;

/**
 * KEYS[1]  the stream
 * KEYS[2]  the dead letters
 * ARGV[1]  the group
 * ARGV[2]  the entry
 * ARGV[3]  the message
 */
const BURY = `
redis.call('RPUSH', KEYS[2], ARGV[3])
redis.call('XACK', KEYS[1], ARGV[1], ARGV[2])
redis.call('XDEL', KEYS[1], ARGV[2])
`;

interface Entry {
  readonly id: string;
  readonly payload: Uint8Array;
  readonly redelivered: number;
}

type Read = [id: Buffer, fields: Buffer[]][];

/**
 * The other shape: the list is the door, a stream behind it holds what is in
 * hand, and a consumer group knows who has what and how often it was given out.
 */
export class Streams implements Shape {
  readonly #options: ShapeOptions;
  readonly #name = crypto.randomUUID();
  readonly #blocking: Wire;
  readonly #control: Wire;
  readonly #inHand = new Set<string>();
  readonly #settled: string[] = [];
  readonly #stream: string;
  readonly #door: string;
  readonly #dead: string;
  readonly #group = "subscriber";
  #move = "";
  /** How many messages are taken at once: fewer of large ones. */
  #limit = BATCH;
  #isStopping = false;
  #flush: ReturnType<typeof setTimeout> | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #running: Promise<void> | undefined;

  private constructor(options: ShapeOptions) {
    this.#options = options;
    this.#blocking = new Wire(options);
    this.#control = new Wire(options);
    this.#stream = `{${options.queue}}:stream`;
    this.#door = `{${options.queue}}:door`;
    this.#dead = `{${options.queue}}:dead`;
  }

  static async start(options: ShapeOptions): Promise<Streams> {
    const streams = new Streams(options);
    await streams.#blocking.connect();
    await streams.#control.connect();
    [streams.#move] = await streams.#blocking.load(MOVE) as [string];
    await streams.#control
      .run("XGROUP", "CREATE", streams.#stream, streams.#group, "0", "MKSTREAM")
      .catch((error) => {
        if (!String(error).includes("BUSYGROUP")) throw error;
      });
    streams.#beat = setInterval(
      () => void streams.#round().catch(streams.#report),
      options.timeout * 1000 / 3,
    );
    streams.#running = streams.#run();
    return streams;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#beat);
    clearTimeout(this.#flush);
    this.#blocking.close();
    await this.#running;
    await this.#acknowledge(this.#control, this.#settled.splice(0));
    if (this.#inHand.size > 0) {
      await this.#claim([...this.#inHand], "IDLE", "86400000", "JUSTID");
    } else {
      await this.#control.run(
        ...["XGROUP", "DELCONSUMER", this.#stream, this.#group, this.#name],
      );
    }
    this.#control.close();
  }

  #report = (error: Error): void => {
    if (!this.#isStopping) this.#options.onError?.(error);
  };

  async #run(): Promise<void> {
    let ahead: Promise<Entry[]> | undefined;
    let isBurst = true;
    while (!this.#isStopping) {
      try {
        while (this.#inHand.size > 8 * BATCH) await rest(1);
        const sent = performance.now();
        const entries: Entry[] = await (ahead ?? this.#ask(!isBurst));
        // A wait that took no time found what was there: there may be more.
        isBurst = entries.length > 1 ||
          entries.length === 1 && performance.now() - sent < 0.3;
        ahead = entries.length >= this.#limit ? this.#ask(false) : undefined;
        if (ahead) await rest(0);
        this.#hand(entries);
      } catch (error) {
        ahead = undefined;
        this.#report(error as Error);
        if (!this.#isStopping) await rest(100);
      }
    }
    await ahead?.catch(() => {});
  }

  /** Removes what is settled, waits if that is wanted, and takes what is new. */
  async #ask(wait: boolean): Promise<Entry[]> {
    const { queue } = this.#options;
    const settled = this.#settled.splice(0);
    const [acknowledged, , moved, read] = await Promise.allSettled([
      this.#acknowledge(this.#blocking, settled),
      wait &&
      this.#blocking.run("BLMOVE", queue, this.#door, "LEFT", "RIGHT", BLOCK),
      this.#blocking.run(
        ...["EVALSHA", this.#move, "3", queue, this.#door, this.#stream],
        String(this.#limit),
      ),
      this.#blocking.run<[Buffer, Read][] | { [stream: string]: Read } | null>(
        ...["XREADGROUP", "GROUP", this.#group, this.#name],
        ...["COUNT", String(this.#limit), "STREAMS", this.#stream, ">"],
      ),
    ]);
    if (acknowledged.status === "rejected") this.#settled.push(...settled);
    if (read.status === "rejected") throw read.reason;
    if (moved.status === "rejected") this.#report(moved.reason);
    const found = read.value;
    const entries = found === null
      ? []
      : found instanceof Array
      ? found[0]![1]
      : Object.values(found)[0]!;
    let bytes = 0;
    for (const [, [, payload]] of entries) bytes += payload!.length;
    if (bytes > 0) {
      const fit = Math.floor(2 ** 20 / (bytes / entries.length));
      this.#limit = Math.max(1, Math.min(BATCH, fit));
    }
    return entries.map(([id, fields]) => ({
      id: String(id),
      payload: fields[1]!,
      redelivered: 0,
    }));
  }

  async #acknowledge(wire: Wire, ids: string[]): Promise<void> {
    if (ids.length === 0) return;
    await Promise.all([
      wire.run("XACK", this.#stream, this.#group, ...ids),
      wire.run("XDEL", this.#stream, ...ids),
    ]);
  }

  #hand(entries: readonly Entry[]): void {
    for (const entry of entries) this.#inHand.add(entry.id);
    for (const entry of entries) {
      try {
        if (entry.redelivered >= MAX_DELIVERIES) throw new Error("too often");
        const handled = this.#options.handle(entry);
        if (handled instanceof Promise) {
          handled.then(() => this.#settle(entry), () => this.#fail(entry));
        } else this.#settle(entry);
      } catch {
        this.#fail(entry);
      }
    }
  }

  #settle({ id }: Entry): void {
    this.#inHand.delete(id);
    this.#settled.push(id);
    this.#flush ??= setTimeout(() => {
      this.#flush = undefined;
      const settled = this.#settled.splice(0);
      this.#acknowledge(this.#control, settled).catch((error) => {
        this.#settled.push(...settled);
        this.#report(error);
      });
    }, 5);
  }

  /** Tries again after a pause; the entry stays pending meanwhile. */
  #fail({ id, payload, redelivered }: Entry): void {
    if (redelivered + 1 >= MAX_DELIVERIES) {
      void this.#control.script(
        BURY,
        [this.#stream, this.#dead],
        [this.#group, id, payload],
      ).then(() => this.#inHand.delete(id), this.#report);
      return;
    }
    setTimeout(() => {
      if (this.#isStopping) return;
      this.#claim([id])
        .then(() => this.#hand([{ id, payload, redelivered: redelivered + 1 }]))
        .catch(this.#report);
    }, PAUSE);
  }

  #claim(ids: readonly string[], ...more: string[]): Promise<unknown> {
    const { run } = this.#control;
    return run.call(
      this.#control,
      ...["XCLAIM", this.#stream, this.#group, this.#name, "0"],
      ...ids,
      ...more,
    );
  }

  /** Says what is still in hand, and takes over from those who do not. */
  async #round(): Promise<void> {
    if (this.#inHand.size > 0) await this.#claim([...this.#inHand], "JUSTID");
    const idle = String(this.#options.timeout * 1000);
    const [, claimed] = await this.#control.run<[Buffer, Read]>(
      ...["XAUTOCLAIM", this.#stream, this.#group, this.#name],
      ...[idle, "0-0", "COUNT", String(BATCH)],
    );
    for (const [id, fields] of claimed) {
      if (fields === null) continue;
      const [pending] = await this.#control.run<
        [Buffer, Buffer, number, number][]
      >(...[
        "XPENDING",
        this.#stream,
        this.#group,
        String(id),
        String(id),
        "1",
      ]);
      const redelivered = (pending?.[3] ?? 1) - 1;
      this.#hand([{ id: String(id), payload: fields[1]!, redelivered }]);
    }
  }
}
