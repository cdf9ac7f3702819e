import {
  BATCH,
  BLOCK,
  type Delivered,
  MAX_DELIVERIES,
  PAUSE,
  rest,
  type Shape,
  type ShapeOptions,
  Wire,
} from "./shape.ts";

/** From this size on, on average, messages do not go through a script. */
const LARGE = 4096;
/** Bytes of large messages that are taken at once. */
const LARGE_BATCH = 2 ** 20;
/** So many batches may be in hand; each has a list with a name of its own. */
const SLOTS = 8;

/**
 * KEYS[1]  the queue
 * KEYS[2]  the list of the batch
 * KEYS[3]  the hash of the histories
 * KEYS[4…] the lists of batches that are settled
 * ARGV[1]  how many messages at most; one, when any has a history
 */
const TAKE = `
if #KEYS > 3 then redis.call('DEL', unpack(KEYS, 4)) end
local limit = redis.call('EXISTS', KEYS[3]) == 1 and 1 or tonumber(ARGV[1])
local batch = redis.call('LRANGE', KEYS[1], 0, limit - 1)
if #batch == 0 then return {0, batch} end
redis.call('RPUSH', KEYS[2], unpack(batch))
redis.call('LTRIM', KEYS[1], #batch, -1)
local before = limit == 1 and redis.call('HGET', KEYS[3], redis.sha1hex(batch[1]))
return {tonumber(before or 0), batch}
`;

/**
 * Puts back what a consumer had in hand: only if it has given no sign since.
 *
 * KEYS[1]  the queue
 * KEYS[2]  the hash of the histories
 * KEYS[3]  the hash of the consumers
 * KEYS[4…] the lists of its batches
 * ARGV[1]  the consumer
 * ARGV[2]  its last sign of life, or '' where it is not in the hash
 * ARGV[3]  by how much the history of each message grows
 */
const RECOVER = `
for at = 1, #KEYS do
  local kind = redis.call('TYPE', KEYS[at]).ok
  local wanted = (at == 2 or at == 3) and 'hash' or 'list'
  if kind ~= wanted and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[at] .. ' is a ' .. kind)
  end
end
if (redis.call('HGET', KEYS[3], ARGV[1]) or '') ~= ARGV[2] then return 0 end
local count = 0
for at = #KEYS, 4, -1 do
  local batch = redis.call('LRANGE', KEYS[at], 0, -1)
  for position = #batch, 1, -1 do
    if ARGV[3] ~= '0' then
      redis.call('HINCRBY', KEYS[2], redis.sha1hex(batch[position]), ARGV[3])
    end
    redis.call('LPUSH', KEYS[1], batch[position])
  end
  count = count + #batch
  redis.call('DEL', KEYS[at])
end
redis.call('HDEL', KEYS[3], ARGV[1])
return count
`;

/**
 * KEYS[1]  the list of the batch
 * KEYS[2]  the list of what waits for another try
 * KEYS[3]  the dead letters
 * KEYS[4]  the hash of the histories
 * ARGV[1]  how many of the rest are tried again; what follows them is dead
 * ARGV[2…] the messages that have failed
 */
const FAIL = `
for at, wanted in ipairs({'list', 'list', 'list', 'hash'}) do
  local kind = redis.call('TYPE', KEYS[at]).ok
  if kind ~= wanted and kind ~= 'none' then
    return redis.error_reply('WRONGTYPE ' .. KEYS[at] .. ' is a ' .. kind)
  end
end
for at = 2, #ARGV do
  local isDead = at - 1 > tonumber(ARGV[1])
  redis.call('RPUSH', KEYS[isDead and 3 or 2], ARGV[at])
  if isDead then redis.call('HDEL', KEYS[4], redis.sha1hex(ARGV[at])) end
end
if KEYS[1] == KEYS[2] then
  for at = 2, #ARGV do redis.call('LREM', KEYS[1], 1, ARGV[at]) end
else
  redis.call('DEL', KEYS[1])
end
`;

interface Batch {
  readonly list: string;
  readonly payloads: readonly Uint8Array[];
  readonly redelivered: number;
  /** Whether there may be more. */
  readonly isBurst: boolean;
}

/**
 * The shape of today, made lean: what is in hand lies on one of a few lists of
 * the consumer, so that nothing has to be announced; it is settled with the next
 * wait; a sign of life is a number that grows, whose reader has the clock.
 */
export class Lists implements Shape {
  readonly #options: ShapeOptions;
  readonly #name = crypto.randomUUID();
  readonly #blocking: Wire;
  readonly #control: Wire;
  readonly #free: string[] = [];
  readonly #settled: string[] = [];
  /** Lists on which a batch may lie, whose answer was lost. */
  readonly #stray: string[] = [];
  readonly #seen = new Map<string, { sign: string; since: number }>();
  readonly #histories: string;
  readonly #consumers: string;
  readonly #retry: string;
  readonly #dead: string;
  #take = "";
  /** The average size of the messages of the last batch. */
  #size = LARGE - 1;
  #knowsHistories = false;
  #isStopping = false;
  #flush: ReturnType<typeof setTimeout> | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #running: Promise<void> | undefined;

  private constructor(options: ShapeOptions) {
    this.#options = options;
    this.#blocking = new Wire(options);
    this.#control = new Wire(options);
    const { queue } = options;
    this.#histories = `{${queue}}:histories`;
    this.#consumers = `{${queue}}:consumers`;
    this.#dead = `{${queue}}:dead`;
    this.#retry = this.#list(this.#name, "retry");
    for (let slot = 0; slot < SLOTS; slot++) {
      this.#free.push(this.#list(this.#name, slot));
    }
  }

  static async start(options: ShapeOptions): Promise<Lists> {
    const lists = new Lists(options);
    await lists.#blocking.connect();
    await lists.#control.connect();
    [lists.#take] = await lists.#blocking.load(TAKE) as [string];
    await lists.#audit();
    await lists.#round();
    lists.#beat = setInterval(
      () => void lists.#round().catch(lists.#report),
      options.timeout * 1000 / 3,
    );
    lists.#running = lists.#run();
    return lists;
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    clearInterval(this.#beat);
    clearTimeout(this.#flush);
    this.#blocking.close();
    await this.#running;
    if (this.#settled.length > 0) {
      await this.#control.run("DEL", ...this.#settled);
    }
    const [sign] = await this.#control.run<(Buffer | null)[]>(
      "HMGET",
      this.#consumers,
      this.#name,
    );
    await this.#recover(this.#name, String(sign ?? ""), 0)
      .finally(() => this.#control.close());
  }

  #list(consumer: string, slot: number | string): string {
    return `{${this.#options.queue}}:hand:${consumer}:${slot}`;
  }

  #report = (error: Error): void => {
    if (!this.#isStopping) this.#options.onError?.(error);
  };

  async #run(): Promise<void> {
    let ahead: Promise<Batch> | undefined;
    let isBurst = true;
    while (!this.#isStopping) {
      try {
        while (this.#free.length + this.#stray.length < 2) await rest(1);
        const batch: Batch = await (ahead ??
          (isBurst || this.#stray.length > 0 ? this.#ask() : this.#wait()));
        ahead = undefined;
        const { length } = batch.payloads;
        isBurst = batch.isBurst && length > 0;
        if (length >= this.#limit && this.#free.length > 1) ahead = this.#ask();
        if (length === 0) this.#free.push(batch.list);
        else this.#hand(batch);
        if (ahead) await rest(0);
      } catch (error) {
        ahead = undefined;
        this.#report(error as Error);
        if (!this.#isStopping) await rest(100);
      }
    }
    await ahead?.catch(() => {});
  }

  /** How many messages are taken at once. */
  get #limit(): number {
    return this.#size < LARGE
      ? BATCH
      : Math.max(1, Math.floor(LARGE_BATCH / this.#size));
  }

  async #ask(): Promise<Batch> {
    for (let list; (list = this.#stray[0]) !== undefined;) {
      const payloads = await this.#control.run<Uint8Array[]>(
        ...["LRANGE", list, "0", "-1"],
      );
      this.#stray.shift();
      if (payloads.length > 0) {
        return { list, payloads, redelivered: 0, isBurst: true };
      }
      this.#free.push(list);
    }
    const batch = this.#size < LARGE || this.#knowsHistories
      ? await this.#askScript()
      : await this.#askLarge();
    const { payloads } = batch;
    if (payloads.length === 0) return batch;
    let bytes = 0;
    for (const { length } of payloads) bytes += length;
    this.#size = bytes / payloads.length;
    return batch;
  }

  /** Takes what is there in many commands, which copy it only on the server. */
  async #askLarge(): Promise<Batch> {
    const { queue } = this.#options;
    const list = this.#free.shift()!;
    const settled = this.#settled.splice(0);
    const moves = Array.from(
      { length: this.#limit },
      () =>
        this.#blocking.run<Uint8Array | null>(
          ...["LMOVE", queue, list, "LEFT", "RIGHT"],
        ),
    );
    const [exist, moved] = await Promise.all([
      this.#blocking.run<number>("EXISTS", this.#histories),
      Promise.all(moves),
      settled.length > 0 && this.#blocking.run("DEL", ...settled),
    ]).catch((error) => {
      this.#settled.push(...settled);
      this.#stray.push(list);
      throw error;
    });
    this.#free.push(...settled);
    this.#knowsHistories = exist === 1;
    const payloads = moved.filter((payload) => payload !== null);
    let redelivered = 0;
    for (const payload of exist === 1 ? payloads : []) {
      redelivered = Math.max(redelivered, await this.#history(payload));
    }
    return { list, payloads, redelivered, isBurst: true };
  }

  async #history(payload: Uint8Array): Promise<number> {
    return Number(
      await this.#control.run("HGET", this.#histories, await field(payload)),
    );
  }

  /** Takes what is there in one script, and removes what is settled. */
  async #askScript(): Promise<Batch> {
    const list = this.#free.shift()!;
    const settled = this.#settled.splice(0);
    try {
      const keys = [this.#options.queue, list, this.#histories, ...settled];
      const [redelivered, payloads] = await this.#blocking.run<
        [number, Uint8Array[]]
      >(
        "EVALSHA",
        this.#take,
        String(keys.length),
        ...keys,
        String(this.#limit),
      );
      this.#free.push(...settled);
      this.#knowsHistories &&= redelivered > 0 || payloads.length === 1;
      return { list, payloads, redelivered, isBurst: true };
    } catch (error) {
      this.#settled.push(...settled);
      this.#stray.push(list);
      throw error;
    }
  }

  /** Waits for a message; what is settled is removed on the way. */
  async #wait(): Promise<Batch> {
    const { queue } = this.#options;
    const list = this.#free.shift()!;
    const settled = this.#settled.splice(0);
    const sent = performance.now();
    const [removed, moved, exist] = await Promise.allSettled([
      settled.length > 0 && this.#blocking.run("DEL", ...settled),
      this.#blocking.run<Uint8Array | null>(
        ...["BLMOVE", queue, list, "LEFT", "RIGHT", BLOCK],
      ),
      this.#blocking.run<number>("EXISTS", this.#histories),
    ]);
    (removed.status === "fulfilled" ? this.#free : this.#settled)
      .push(...settled);
    if (moved.status === "rejected") {
      this.#stray.push(list);
      throw moved.reason;
    }
    const { value } = moved;
    // It was there already: there may be more.
    const isBurst = performance.now() - sent < 0.3;
    if (value === null) {
      return { list, payloads: [], redelivered: 0, isBurst: false };
    }
    const known = exist.status === "rejected" || exist.value === 1;
    const redelivered = known ? await this.#history(value) : 0;
    return { list, payloads: [value], redelivered, isBurst };
  }

  #hand(batch: Batch): void {
    const { payloads, redelivered } = batch;
    const failed: Uint8Array[] = [];
    const pending: Promise<void>[] = [];
    for (const payload of payloads) {
      if (redelivered >= MAX_DELIVERIES) {
        failed.push(payload);
        continue;
      }
      try {
        const handled = this.#options.handle({ payload, redelivered });
        if (handled instanceof Promise) {
          pending.push(handled.catch(() => void failed.push(payload)));
        }
      } catch {
        failed.push(payload);
      }
    }
    if (pending.length === 0) this.#settle(batch, failed);
    else void Promise.all(pending).then(() => this.#settle(batch, failed));
  }

  #settle(batch: Batch, failed: Uint8Array[]): void {
    const { list, redelivered } = batch;
    if (failed.length === 0 && redelivered === 0) {
      this.#settled.push(list);
      this.#flush ??= setTimeout(() => {
        this.#flush = undefined;
        const settled = this.#settled.splice(0);
        if (settled.length === 0) return;
        this.#control.run("DEL", ...settled)
          .then(() => this.#free.push(...settled), this.#report);
      }, 5);
      return;
    }
    void this.#fail(batch, failed).catch(this.#report);
  }

  async #fail(batch: Batch, failed: Uint8Array[]): Promise<void> {
    const { list, redelivered } = batch;
    for (const payload of redelivered > 0 ? batch.payloads : []) {
      await this.#control.run("HDEL", this.#histories, await field(payload));
    }
    const isDead = redelivered + 1 >= MAX_DELIVERIES;
    await this.#control.script(
      FAIL,
      [list, this.#retry, this.#dead, this.#histories],
      [isDead ? "0" : String(failed.length), ...failed],
    );
    this.#free.push(list);
    if (isDead || failed.length === 0) return;
    setTimeout(() => {
      for (const payload of failed) {
        void this.#again({ payload, redelivered: redelivered + 1 })
          .catch(this.#report);
      }
    }, PAUSE);
  }

  /** Tries once more what waits on the list for it. */
  async #again(message: Delivered): Promise<void> {
    if (this.#isStopping) return;
    const { payload, redelivered } = message;
    try {
      await this.#options.handle(message);
      await this.#control.run("LREM", this.#retry, "1", payload);
    } catch {
      if (redelivered + 1 < MAX_DELIVERIES) {
        setTimeout(
          () =>
            void this.#again({ payload, redelivered: redelivered + 1 })
              .catch(this.#report),
          PAUSE,
        );
        return;
      }
      await this.#control.script(
        FAIL,
        [this.#retry, this.#retry, this.#dead, this.#histories],
        ["0", payload],
      );
    }
  }

  /** Gives a sign of life, and looks for those who have given none. */
  async #round(): Promise<void> {
    const { timeout } = this.#options;
    const [, all] = await Promise.all([
      this.#control.run("HINCRBY", this.#consumers, this.#name, "1"),
      this.#control.run<Buffer[] | Record<string, Buffer>>(
        "HGETALL",
        this.#consumers,
      ),
    ]);
    const now = performance.now();
    const flat = all instanceof Array ? all : Object.entries(all).flat();
    for (let at = 0; at < flat.length; at += 2) {
      const [consumer, sign] = [String(flat[at]), String(flat[at + 1])];
      const seen = this.#seen.get(consumer);
      if (seen?.sign !== sign) this.#seen.set(consumer, { sign, since: now });
      else if (now - seen.since > timeout * 1000 && consumer !== this.#name) {
        await this.#recover(consumer, sign, 1);
        this.#seen.delete(consumer);
      }
    }
  }

  #recover(consumer: string, sign: string, died: number): Promise<number> {
    const lists = [
      ...Array.from({ length: SLOTS }, (_, slot) => this.#list(consumer, slot)),
      this.#list(consumer, "retry"),
    ];
    return this.#control.script<number>(
      RECOVER,
      [this.#options.queue, this.#histories, this.#consumers, ...lists],
      [consumer, sign, String(died)],
    );
  }

  /** Enters those whose messages nobody would look for. */
  async #audit(): Promise<void> {
    const start = this.#list("", "").slice(0, -1);
    let cursor = "0";
    do {
      const [next, keys] = await this.#control.run<[Buffer, Buffer[]]>(
        ...["SCAN", cursor, "MATCH", `${start}*`, "COUNT", "1000"],
      );
      for (const key of keys) {
        const consumer = String(key).slice(start.length).split(":")[0]!;
        await this.#control.run("HSETNX", this.#consumers, consumer, "0");
      }
      cursor = String(next);
    } while (cursor !== "0");
  }
}

async function field(payload: Uint8Array): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-1", payload.slice());
  return new Uint8Array(digest).toHex();
}
