import { createHash } from "node:crypto";
import { type DeadLetter, decodeDeadLetter } from "./dead_letter.ts";
import { RANGE, type Run } from "./dead_letter_front.ts";
import { QueueKeys } from "./queue_keys.ts";
import { isNumber, isPayloads, isTexts } from "./reply_shape.ts";
import { defineScript } from "./script.ts";

/**
 * The number of dead letters that travel at once, and the bytes after which no
 * more do.
 */
const PAGE = 50;
const PAGE_BYTES = 2 ** 17;

/**
 * The number of dead letters on the way to an end of the list, and their bytes,
 * from which on they cost the server a tenth of a millisecond or more: half of what
 * there may be by default.
 */
const DEEP = 5000;
const DEEP_BYTES = 2 ** 23;

/** A dead letter, and the same as it is in the list. */
export interface Entry {
  readonly letter: DeadLetter;
  readonly raw: Uint8Array;
  /** The SHA-1 of that, by which a script names it, too. */
  readonly digest: string;
}

const NONE: readonly Entry[] = [];

/**
 * Leafs through the dead letters of one queue, the oldest first. Others may put
 * some into the list and take some out of it meanwhile: whatever is there from
 * the beginning to the end is read, and nothing is read twice. As many are read
 * as there were at the beginning, so that those that come back at once do not
 * keep it going for ever.
 *
 * Several may be the same, byte for byte, as after a restore. Each of them is read,
 * unless others change the list meanwhile: then one may be taken for another one,
 * which was read and is still there.
 */
export class DeadLetterPages {
  #run: Run;
  #queue: string;
  #keys: readonly [dead: string, front: string];
  /** Those that were read and are still there. */
  #seen = new Set<string>();
  #total = 0;
  /** The number that there were when the page was read, and of them in front. */
  #extent = { total: 0, front: 0 };
  #left: number | undefined;
  #page: readonly Entry[] = NONE;
  /** Those of the page that this is the first time for. */
  #news: readonly Entry[] = NONE;
  #position = 0;
  /** The digest of what is before the position, by which a list that has moved is noticed. */
  #anchor = "";
  /** The number that fitted into the last page. */
  #fitting = 1;
  /** From this place on none was read before: a list moves only towards its head. */
  #unread = 0;

  /** @param run Runs something on a connection to the server of the queue. */
  constructor(queue: string, run: Run) {
    this.#queue = queue;
    const { dead, front } = new QueueKeys(queue);
    this.#keys = [dead, front];
    this.#run = run;
  }

  /** The part that was read, from 0 to 1. */
  get part(): number {
    return this.#total === 0 ? 1 : 1 - (this.#left ?? 0) / this.#total;
  }

  /**
   * True where so many others are between the page and the ends of the list that
   * it has to be parted before some of the page are removed.
   */
  get isDeep(): boolean {
    const { total, front } = this.#extent;
    const place = this.#position;
    const depth = Math.min(Math.abs(place - front), total - place);
    const bytes = this.#page.reduce((sum, { raw }) => sum + raw.length, 0);
    const average = bytes / Math.max(1, this.#page.length);
    return depth > DEEP || depth * average > DEEP_BYTES;
  }

  /**
   * Reads the next page.
   *
   * @returns Some dead letters; none in the end.
   */
  async next(): Promise<readonly Entry[]> {
    if (this.#left === undefined) {
      this.#total = await countDeadLetters(this.#queue, this.#run);
      this.#left = this.#total;
    }
    while (this.#left > 0) {
      this.#turn();
      const page = await this.#read();
      if (page === undefined) {
        await this.#findPlace();
        continue;
      }
      if (page.length === 0) break;
      this.#page = page;
      this.#news = page.filter(({ digest, letter: { index } }) =>
        index >= this.#unread || !this.#seen.has(digest)
      ).slice(0, this.#left);
      if (this.#news.length > 0) {
        for (const { digest } of this.#news) this.#seen.add(digest);
        this.#left -= this.#news.length;
        return this.#news;
      }
    }
    return NONE;
  }

  /** Takes note that some of the page are no longer in the list. */
  forget(removed: readonly Entry[]): void {
    const gone = new Set(removed);
    this.#page = this.#page.filter((entry) => !gone.has(entry));
    for (const { digest } of removed) this.#seen.delete(digest);
  }

  /** Has some of the page read once more, wherever they are by now. */
  readAgain(some: readonly Entry[]): void {
    for (const { digest } of some) this.#seen.delete(digest);
    this.#left! += this.#news.length;
    this.#page = NONE;
  }

  #turn(): void {
    this.#position += this.#page.length;
    this.#anchor = this.#page.at(-1)?.digest ?? this.#anchor;
    this.#page = NONE;
  }

  /** Reads some dead letters, and not more than fit into a reply. */
  static readonly #READ = defineScript(`
-- KEYS[1]  the list of the dead letters
-- KEYS[2]  the front of that list
-- ARGV[1]  the index of the first dead letter of the page
-- ARGV[2]  the largest number of dead letters
-- ARGV[3]  the number of bytes after which the page is full
-- ARGV[4]  the digest of the dead letter before the page, or ''
-- Returns how many there are, how many of them in front, and the dead letters of
-- the page, or nil where another one is before them by now.
${RANGE}
local front, rest = KEYS[2], KEYS[1]
local first, limit, maxBytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local letters
if ARGV[4] == '' then
  letters = range(front, rest, first, first)
else
  letters = range(front, rest, first - 1, first)
  local before = table.remove(letters, 1)
  if redis.sha1hex(before or '') ~= ARGV[4] then return false end
end
local bytes = #(letters[1] or '')
while #letters > 0 and #letters < limit and bytes < maxBytes do
  -- Each look costs the way to its place: so the next one is for as many as are
  -- likely to fit.
  local fitting = math.floor((maxBytes - bytes) / (bytes / #letters + 1))
  local some = math.max(1, math.min(fitting, 4 * #letters, limit - #letters))
  local start = first + #letters
  local found = range(front, rest, start, start + some - 1)
  for _, letter in ipairs(found) do
    letters[#letters + 1] = letter
    bytes = bytes + #letter
  end
  if #found < some then break end
end
local inFront = redis.call('LLEN', front)
return {inFront + redis.call('LLEN', rest), inFront, letters}
`);

  async #read(): Promise<readonly Entry[] | undefined> {
    const first = this.#position;
    const reply = await this.#run((connection) =>
      connection.script<[number, number, Uint8Array[]] | null>(
        DeadLetterPages.#READ,
        this.#keys,
        [String(first), String(PAGE), String(PAGE_BYTES), this.#anchor],
        {
          bytes: true,
          isReply: (reply) =>
            reply === null ||
            Array.isArray(reply) && isNumber(reply[0]) && isNumber(reply[1]) &&
              isPayloads(reply[2]),
        },
      )
    );
    if (reply === null) return undefined;
    const [total, front, letters] = reply;
    this.#extent = { total, front };
    this.#fitting = Math.max(1, letters.length);
    return await Promise.all(letters.map(async (raw, at) => {
      const letter = decodeDeadLetter(raw, this.#queue, first + at);
      const { key } = letter;
      const digest = createHash("sha1").update(raw).digest("hex");
      if (key === undefined) return { raw, digest, letter };
      const isThere = await this.#run((connection) =>
        connection.command<number>(["EXISTS", key])
      );
      return {
        raw,
        digest,
        letter: isThere === 1 ? letter : { ...letter, key: undefined },
      };
    }));
  }

  static readonly #DIGESTS = defineScript(`
-- KEYS[1]  the list of the dead letters
-- KEYS[2]  the front of that list
-- ARGV[1]  the index of the first dead letter
-- ARGV[2]  the index of the last one
-- Returns the digests of these dead letters.
${RANGE}
local digests = range(KEYS[2], KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2]))
for at, letter in ipairs(digests) do digests[at] = redis.sha1hex(letter) end
return digests
`);

  /**
   * Finds the place in a list that has moved, back from where it was: before the
   * first one that is new, behind as many that were read as fit into a page.
   */
  async #findPlace(): Promise<void> {
    this.#unread = Math.max(this.#unread, this.#position);
    for (let isFound = false; !isFound && this.#position > 0;) {
      const first = Math.max(0, this.#position - this.#fitting);
      const digests = await this.#run((connection) =>
        connection.script<string[]>(
          DeadLetterPages.#DIGESTS,
          this.#keys,
          [String(first), String(this.#position - 1)],
          { isReply: isTexts },
        )
      );
      const at = digests.findIndex((digest) => !this.#seen.has(digest));
      const known = at < 0 ? digests.length : at;
      this.#position = first + known;
      this.#anchor = digests[known - 1] ?? "";
      isFound = known > 0;
    }
  }
}

/** Counts the dead letters of a queue. */
export async function countDeadLetters(
  queue: string,
  run: Run,
): Promise<number> {
  const { dead, front } = new QueueKeys(queue);
  const counts = await run((connection) =>
    Promise.all(
      [front, dead].map((key) => connection.command<number>(["LLEN", key])),
    )
  );
  return counts.reduce((sum, count) => sum + count);
}
