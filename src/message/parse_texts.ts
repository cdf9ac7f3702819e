import { Buffer, isAscii } from "node:buffer";
import { MAX_DEPTH } from "./json_value.ts";
import { mayHideProto } from "./parse_text.ts";

/** A text of so many units cannot nest deeper than a message may. */
export const MAX_LENGTH = 2 * MAX_DEPTH;

/**
 * Stands between two texts. It is a secret of this process, so that no text can
 * make up for the marks that another one has swallowed.
 */
const MARK = crypto.getRandomValues(new Uint32Array(1))[0]! >>> 3;
const BETWEEN = `,${MARK},`;
const BETWEEN_BYTES = Buffer.from(BETWEEN);
const OPEN = "[".charCodeAt(0);
const CLOSE = "]".charCodeAt(0);
const QUOTE = "'".charCodeAt(0);

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });

/** Whether something is a text that {@linkcode parseTexts} is meant for. */
export function isJoinable(input: unknown): input is string | Uint8Array {
  const isText = typeof input === "string" || input instanceof Uint8Array;
  if (!isText || input.length > MAX_LENGTH) return false;
  // Python's dicts start so; they would spoil it for the others.
  return typeof input === "string"
    ? !input.startsWith("{'")
    : input[1] !== QUOTE;
}

/**
 * Reads many short JSON texts as the items of one array: V8 then expects each
 * object to be like the one before, which saves a seventh of the time.
 *
 * @param texts The texts, all of them strings or all of them UTF-8 bytes.
 * @returns What they say, or `undefined` when there is anything that only a look
 * at each text can tell: then at least one of them is no JSON, or unsafe.
 */
export function parseTexts(
  texts: readonly string[] | readonly Uint8Array[],
): unknown[] | undefined {
  const text = typeof texts[0] === "string"
    ? `[${texts.join(BETWEEN)}]`
    : joinBytes(texts as readonly Uint8Array[]);
  if (text.includes("\uFFFD") || mayHideProto(text)) return undefined;
  let values: unknown[];
  try {
    values = JSON.parse(text);
  } catch {
    return undefined;
  }
  const count = texts.length;
  if (values.length !== 2 * count - 1) return undefined;
  for (let index = 1; index < count; index++) {
    if (values[2 * index - 1] !== MARK) return undefined;
    values[index] = values[2 * index];
  }
  values.length = count;
  return values;
}

function joinBytes(texts: readonly Uint8Array[]): string {
  let size = 2 + BETWEEN_BYTES.length * (texts.length - 1);
  for (const text of texts) size += text.length;
  const bytes = Buffer.allocUnsafe(size);
  bytes[0] = OPEN;
  let at = 1;
  for (const text of texts) {
    if (at > 1) {
      bytes.set(BETWEEN_BYTES, at);
      at += BETWEEN_BYTES.length;
    }
    bytes.set(text, at);
    at += text.length;
  }
  bytes[at] = CLOSE;
  return isAscii(bytes) ? bytes.toString("latin1") : decoder.decode(bytes);
}
