const encoder = new TextEncoder();
const decoder = new TextDecoder();
const EQUALS = 0x3d;

/** Bytes as they are, everything else as its text. */
type Value = string | number | boolean | Uint8Array | null;

/**
 * The most bytes a TXT record may take here: beyond about 1,300 bytes it no
 * longer fits an Ethernet frame with the other records (RFC 6763, section 6.2).
 */
const MAX_TXT = 1_300;

/**
 * Turns properties into the strings of a TXT record (RFC 6763, section 6).
 *
 * @param properties Keys of printable ASCII without `=`; values of any kind.
 * @returns One `key=value` string of bytes for each property; `key` for `null`.
 * @throws {TypeError} A key is not allowed, or a value is of another type.
 * @throws {RangeError} A property, or all of them together, do not fit.
 */
export function encodeTxt(
  properties: Readonly<Record<string, Value>>,
): Uint8Array[] {
  const seen = new Map<string, string>();
  let total = 0;
  const strings = Object.entries(properties).map(([key, value]) => {
    const same = seen.get(key.toLowerCase());
    if (same !== undefined) {
      throw new TypeError(
        `Cannot encode the property "${key}": "${same}" is the same key, because case does not count`,
      );
    }
    seen.set(key.toLowerCase(), key);
    const string = encodeProperty(key, value);
    total += string.length + 1;
    if (total > MAX_TXT) {
      throw new RangeError(
        `Cannot encode the property "${key}": with it the properties take ${total} bytes, expected at most ${MAX_TXT}`,
      );
    }
    return string;
  });
  return strings;
}

/** Holds what a TXT record says. */
interface Txt {
  /** The values as texts; a key without `=` has `null`. */
  properties: Record<string, string | null>;
  /** The values as they came. */
  propertyBytes: Record<string, Uint8Array | null>;
}

/**
 * Reads the strings of a TXT record. The first of equal keys wins, and a
 * string without a key is ignored (RFC 6763, section 6.4).
 */
export function decodeTxt(strings: readonly Uint8Array[]): Txt {
  const found: [string, Uint8Array | null][] = [];
  const seen = new Set<string>();
  for (const string of strings) {
    const at = string.indexOf(EQUALS);
    const key = decoder.decode(at < 0 ? string : string.subarray(0, at));
    if (key === "" || seen.has(key.toLowerCase())) continue;
    seen.add(key.toLowerCase());
    found.push([key, at < 0 ? null : new Uint8Array(string.subarray(at + 1))]);
  }
  return {
    properties: Object.fromEntries(
      found.map(([key, value]) => [key, value && decoder.decode(value)]),
    ),
    propertyBytes: Object.fromEntries(found),
  };
}

/**
 * Looks a property up. Case does not count in its key, whoever has written it
 * (RFC 6763, section 6.4).
 *
 * @param key The key, in lower case.
 */
export function propertyOf(
  properties: Readonly<Record<string, string | null>>,
  key: string,
): string | null | undefined {
  const name = Object.keys(properties).find((name) =>
    name.toLowerCase() === key
  );
  return name === undefined ? undefined : properties[name];
}

function encodeProperty(key: string, value: Value): Uint8Array {
  if (!/^[\x20-\x3c\x3e-\x7e]+$/.test(key)) {
    throw new TypeError(
      `Cannot encode the property ${
        JSON.stringify(key)
      }: a key must be printable ASCII without "="`,
    );
  }
  const bytes = value instanceof Uint8Array
    ? value
    : encoder.encode(value === null ? "" : textOf(key, value));
  const start = encoder.encode(value === null ? key : `${key}=`);
  const string = new Uint8Array([...start, ...bytes]);
  if (string.length > 255) {
    throw new RangeError(
      `Cannot encode the property "${key}": it takes ${string.length} bytes with its key, expected at most 255`,
    );
  }
  return string;
}

function textOf(key: string, value: unknown): string {
  switch (typeof value) {
    case "string":
    case "number":
    case "boolean":
      return String(value);
    default:
      throw new TypeError(
        `Cannot encode the property "${key}": expected a string, number, boolean, null or Uint8Array, got ${typeof value}`,
      );
  }
}
