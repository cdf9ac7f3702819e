/** The longest line: a status, an error, or a number. */
const MAX_LINE = 64 * 2 ** 10;
/** The largest number that a length has room for. */
const MAX_LENGTH = 2 ** 40;
/** The largest depth of lists; what Redis answers needs six at most. */
const MAX_DEPTH = 16;
/** The largest number of elements that an answer may announce, in all its lists. */
const MAX_ELEMENTS = 2 ** 21;
/** The largest answer: the longest text that Redis keeps, and what is around it. */
const MAX_BYTES = 513 * 2 ** 20;
/** The largest answer of who has not shown yet that it is Redis. */
const MAX_FIRST_BYTES = 2 ** 20;

/** Names what the next byte belongs to. */
const At = {
  Type: 0,
  Line: 1,
  Length: 2,
  LineFeed: 3,
  Text: 4,
  TextEnd: 5,
} as const;

/** The kinds of what a server sends, in RESP 2 and 3, by their first byte. */
const LINES = codes("+-:,(#_");
const TEXTS = codes("$!=");
const LISTS = codes("*~>%");
const TEXT = code("$");
const NUMBER = code(":");
const NULL = code("_");
const MAP = code("%");
const MINUS = code("-");
const ZERO = code("0");
const CR = code("\r");
const LF = code("\n");
/** The first byte of what a server that expects TLS answers to something else. */
const TLS_ALERT = 21;

function code(sign: string): number {
  return sign.charCodeAt(0);
}

function codes(signs: string): ReadonlySet<number> {
  return new Set(Array.from(signs, code));
}

/** Says why what a server sends is not read any further. */
export class ProtocolError extends Error {
  /** `ProtocolError`. */
  override name = "ProtocolError";
  /** Says what to look at, where that is known. */
  readonly advice: string | undefined;

  /** @param reason What is wrong, as the end of a sentence. */
  constructor(reason: string, advice?: string) {
    super(reason);
    this.advice = advice;
  }
}

/**
 * Follows the structure of what a server sends, ahead of the client, which makes
 * room for whatever is announced. It keeps nothing of it but where it is.
 */
export class ReplyScanner {
  #maxBytes = MAX_FIRST_BYTES;
  #at: (typeof At)[keyof typeof At] = At.Type;
  #type = 0;
  #isNegative = false;
  /** The length that is announced, as far as it is read; then what is left of it. */
  #length = 0;
  /** The number of bytes of the line that came. */
  #line = 0;
  /** The number of elements that are still to come, of each list that is open. */
  readonly #open: number[] = [];
  /** The number of elements that the answer has announced. */
  #elements = 0;
  /**
   * When the answer began that has come in part, by `performance.now()`;
   * `undefined` between two answers.
   */
  begin: number | undefined;
  /** The number of bytes of that answer so far. */
  bytes = 0;

  /**
   * Reads large answers too, from now on: the server has shown that it is Redis.
   *
   * @param maxBytes The largest answer that is wanted.
   */
  trust(maxBytes: number = MAX_BYTES): void {
    this.#maxBytes = Math.min(maxBytes, MAX_BYTES);
  }

  /**
   * Reads on.
   *
   * @throws {ProtocolError} No Redis sends that, or not so much of it.
   */
  scan(chunk: Uint8Array): void {
    for (let at = 0; at < chunk.length;) {
      const start = at;
      if (this.#at === At.Type) at = this.#skipShort(chunk, start);
      if (at > start) this.#endItem();
      else at = this.#step(chunk, start);
      this.bytes += at - start;
      if (this.bytes > this.#maxBytes) {
        throw new ProtocolError(
          `it sends an answer of more than ${this.#maxBytes} bytes`,
        );
      }
      if (this.#at === At.Type && this.#open.length === 0) {
        this.begin = undefined;
        this.bytes = this.#elements = 0;
      }
    }
  }

  /** Reads one part, and returns where the next one begins. */
  #step(chunk: Uint8Array, at: number): number {
    switch (this.#at) {
      case At.Type:
        this.#beginItem(chunk, at);
        return at + 1;
      case At.Line: {
        const end = chunk.indexOf(CR, at);
        const next = end < 0 ? chunk.length : end + 1;
        this.#line += next - at;
        if (this.#line > MAX_LINE) {
          throw new ProtocolError("it sends a line without an end");
        }
        if (end >= 0) this.#at = At.LineFeed;
        return next;
      }
      case At.Length:
        return this.#readLength(chunk, at);
      case At.LineFeed:
        if (chunk[at] !== LF) throw malformed();
        this.#endLine();
        return at + 1;
      case At.Text: {
        const next = Math.min(at + this.#length, chunk.length);
        this.#length -= next - at;
        if (this.#length === 0) this.#at = At.TextEnd;
        return next;
      }
      case At.TextEnd:
        if (chunk[at] !== (this.#length === 0 ? CR : LF)) throw malformed();
        if (this.#length++ === 1) this.#endItem();
        return at + 1;
    }
  }

  /**
   * Passes over a short text or a number that is there as a whole, as most are.
   * Whatever is special is left to the slow way.
   *
   * @returns Where the next item begins.
   */
  #skipShort(chunk: Uint8Array, start: number): number {
    const type = chunk[start];
    if (type !== TEXT && type !== NUMBER) return start;
    let value = 0;
    let at = start + 1;
    let digit: number;
    while ((digit = chunk[at]! - ZERO) >= 0 && digit < 10 && value < 2 ** 20) {
      value = value * 10 + digit;
      at++;
    }
    const isLine = at > start + 1 &&
      chunk[at] === CR && chunk[at + 1] === LF;
    if (!isLine) return start;
    if (type === NUMBER) return at + 2;
    const end = at + 2 + value;
    return chunk[end] === CR && chunk[end + 1] === LF ? end + 2 : start;
  }

  #beginItem(chunk: Uint8Array, at: number): void {
    this.begin ??= performance.now();
    this.#type = chunk[at]!;
    this.#line = this.#length = 0;
    this.#isNegative = false;
    if (LINES.has(this.#type)) this.#at = At.Line;
    else if (TEXTS.has(this.#type) || LISTS.has(this.#type)) {
      this.#at = At.Length;
    } else throw notRedis(chunk.subarray(at));
  }

  #readLength(chunk: Uint8Array, at: number): number {
    for (; at < chunk.length; at++, this.#line++) {
      const sign = chunk[at]!;
      if (sign === CR) {
        if (this.#line === (this.#isNegative ? 1 : 0)) throw malformed();
        this.#at = At.LineFeed;
        return at + 1;
      }
      if (sign === MINUS && this.#line === 0) this.#isNegative = true;
      else if (sign < ZERO || sign > ZERO + 9) throw malformed();
      else this.#length = this.#length * 10 + sign - ZERO;
      if (this.#length > MAX_LENGTH) throw tooMuch(`${this.#length} or more`);
    }
    return at;
  }

  /** Acts on a line that is over: it was all there is, or says what is to come. */
  #endLine(): void {
    if (LINES.has(this.#type)) {
      // The client passes over what it does not expect there.
      if (this.#type === NULL && this.#line !== 1) throw malformed();
      return this.#endItem();
    }
    if (this.#isNegative) {
      if (this.#length !== 1) throw malformed();
      return this.#endItem();
    }
    if (TEXTS.has(this.#type)) {
      if (this.#length > this.#maxBytes) tooMuchOf(this.#length, "bytes");
      this.#at = this.#length === 0 ? At.TextEnd : At.Text;
      return;
    }
    const count = this.#type === MAP ? this.#length * 2 : this.#length;
    this.#elements += count;
    if (this.#elements > MAX_ELEMENTS) tooMuchOf(this.#elements, "elements");
    if (this.#open.length === MAX_DEPTH) {
      throw new ProtocolError(
        `it sends lists that nest more than ${MAX_DEPTH} deep`,
      );
    }
    this.#at = At.Type;
    if (count > 0) this.#open.push(count);
    else this.#endItem();
  }

  /** Notes that one element, or a whole answer, is over. */
  #endItem(): void {
    this.#at = At.Type;
    while (this.#open.length > 0) {
      const last = this.#open.length - 1;
      if (--this.#open[last]! > 0) return;
      this.#open.pop();
    }
  }
}

function tooMuch(what: string): ProtocolError {
  return new ProtocolError(`it announces ${what}, more than is read`);
}

function tooMuchOf(count: number, unit: string): never {
  throw tooMuch(`an answer of ${count} ${unit}`);
}

function malformed(): ProtocolError {
  return new ProtocolError("what it sends is not the protocol of Redis");
}

/** Names who answers, by the first bytes. */
function notRedis(bytes: Uint8Array): ProtocolError {
  const advice = "check `port`";
  const text = new TextDecoder("latin1").decode(bytes.subarray(0, 16));
  // A request that is none gets a page alone from some, as in HTTP 0.9.
  if (/^(HTTP\/|\s*<(!DOCTYPE|html))/i.test(text)) {
    return new ProtocolError("that is an HTTP server, not Redis", advice);
  }
  if (text.startsWith("SSH-")) {
    return new ProtocolError("that is an SSH server, not Redis", advice);
  }
  if (bytes[0] === TLS_ALERT) {
    return new ProtocolError(
      "the server expects TLS",
      "use `rediss://` or `ssl`",
    );
  }
  return new ProtocolError(
    `that is not Redis: it begins with ${JSON.stringify(text)}`,
    advice,
  );
}
