import { Message, summarize } from "../message/mod.ts";
import { hasPayload } from "../redis/dead_letter.ts";
import type { DeadLetter, DeadLetters } from "../redis/mod.ts";
import { MASK, maskTokens, TOKEN } from "../redis/without_secrets.ts";
import { shorten } from "../units.ts";

/** A dead letter as it is shown. */
export interface DeadRow {
  readonly letter: DeadLetter;
  /** Says what the message is about, where it is one. */
  readonly subject: string;
  /** The message as text, without tokens; `undefined` where it is not UTF-8. */
  readonly text: string | undefined;
  /** True if the text is only the beginning of a large one. */
  readonly isCut: boolean;
}

/** Those that failed for one reason, with one error. */
export interface DeadGroup {
  readonly reason: string;
  readonly error: string;
  readonly count: number;
  /** When the newest one became one, in seconds since the epoch. */
  readonly newest: number;
}

/** Which dead letters are to be seen. */
export interface DeadQuery {
  /** Words that have to be in the error, the reason or the message. */
  readonly text: string;
  readonly reason: string;
  /** The whole text of the error. */
  readonly error: string;
  readonly limit: number;
}

/** Holds what was found, the newest first. */
export interface DeadView {
  readonly rows: readonly DeadRow[];
  /** The number of those that fit, also of those that are not shown. */
  readonly fitting: number;
  /** The number of all of them. */
  readonly total: number;
  readonly groups: readonly DeadGroup[];
  /** True if there were too many to look at all of them. */
  readonly isPartial: boolean;
}

/** So many are looked at, as many as a queue keeps by default. */
const MAX_READ = 10_000;
/** So many bytes of messages are looked at. */
const MAX_BYTES = 64 * 2 ** 20;

/** A text of more characters is shown by its beginning, of so many. */
const MAX_TEXT = 2 ** 18;
const BEGINNING = 2 ** 12;

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Reads what somebody wants to see of the dead letters. */
export async function readDead(
  dead: DeadLetters,
  query: DeadQuery,
): Promise<DeadView> {
  const fitting: DeadLetter[] = [];
  const groups = new Map<string, DeadGroup>();
  let [total, bytes, fits] = [0, 0, 0];
  let isPartial = false;
  for await (const letter of dead.list()) {
    if (total >= MAX_READ || bytes >= MAX_BYTES) {
      isPartial = true;
      break;
    }
    total++;
    bytes += letter.payload.byteLength;
    const { reason, error } = letter;
    const key = JSON.stringify([reason, error]);
    const count = (groups.get(key)?.count ?? 0) + 1;
    groups.set(key, { reason, error, count, newest: letter.time });
    if (isWanted(letter, query)) {
      fits++;
      fitting.push(letter);
      if (fitting.length > query.limit) fitting.shift();
    }
  }
  return {
    rows: fitting.toReversed().map(rowOf),
    fitting: fits,
    total,
    groups: [...groups.values()].toSorted((a, b) => b.count - a.count),
    isPartial,
  };
}

/** Reads the ids of those that fit. */
export async function idsOf(
  dead: DeadLetters,
  query: Omit<DeadQuery, "limit">,
): Promise<string[]> {
  const ids: string[] = [];
  for await (const letter of dead.list()) {
    if (isWanted(letter, query)) ids.push(letter.id);
  }
  return ids;
}

function isWanted(
  letter: DeadLetter,
  { text, reason, error }: Omit<DeadQuery, "limit">,
): boolean {
  if (reason !== "" && letter.reason !== reason) return false;
  if (error !== "" && letter.error !== error) return false;
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return true;
  const where = `${letter.reason} ${letter.error} ${textOf(letter) ?? ""}`
    .toLowerCase();
  return words.every((word) => where.includes(word));
}

function rowOf(letter: DeadLetter): DeadRow {
  const whole = textOf(letter);
  const subject = hasPayload(letter) ? subjectOf(whole) : "(large)";
  const isCut = whole !== undefined && whole.length > MAX_TEXT;
  const text = isCut ? shorten(whole, BEGINNING) : whole;
  return { letter, text, isCut, subject };
}

/** Puts tokens back into a text that was shown without them, in their order. */
export function withTokens(text: string, { payload }: DeadLetter): string {
  const original = new TextDecoder().decode(payload);
  const tokens = [...original.matchAll(TOKEN)].map(([, , , , token]) => token!);
  return text.replace(TOKEN, (whole, name: string, _, quote, token) => {
    const before = tokens.shift();
    return token === quote + MASK + quote && before !== undefined
      ? name + before
      : whole;
  });
}

/** Reads its message; `undefined` where it is no text, or is not in the letter. */
function textOf(letter: DeadLetter): string | undefined {
  if (!hasPayload(letter)) return undefined;
  try {
    return maskTokens(decoder.decode(letter.payload));
  } catch {
    return undefined;
  }
}

/** Says what a message is about; of what is none, its beginning. */
function subjectOf(text: string | undefined): string {
  if (text === undefined) return "(not a text)";
  try {
    return summarize(Message.build(text)).subject;
  } catch {
    return shorten(text, 60);
  }
}
