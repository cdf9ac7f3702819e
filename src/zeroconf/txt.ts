const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** Bytes as they are, everything else as its text. */
type Value = string | number | boolean | Uint8Array;

/**
 * The most bytes a TXT record may take here: beyond about 1,300 bytes it no
 * longer fits an Ethernet frame with the other records (RFC 6763, section 6.2).
 */
const MAX_TXT = 1_300;

/**
 * Turns properties into the strings of a TXT record (RFC 6763, section 6).
 *
 * @param properties Keys of printable ASCII without `=`; values of any kind.
 * @returns One `key=value` string of bytes for each property.
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

/**
 * Reads the strings of a TXT record. The first of equal keys wins, and a
 * string without a key is ignored (RFC 6763, section 6.4).
 *
 * @param strings The strings as they came.
 * @returns The values by key; a key without a value has the empty string.
 */
export function decodeTxt(
  strings: readonly Uint8Array[],
): Record<string, string> {
  const properties: [string, string][] = [];
  const seen = new Set<string>();
  for (const string of strings) {
    const text = decoder.decode(string);
    const at = text.indexOf("=");
    const key = at < 0 ? text : text.slice(0, at);
    if (key === "" || seen.has(key.toLowerCase())) continue;
    seen.add(key.toLowerCase());
    properties.push([key, at < 0 ? "" : text.slice(at + 1)]);
  }
  return Object.fromEntries(properties);
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
    : encoder.encode(textOf(key, value));
  const string = new Uint8Array([...encoder.encode(`${key}=`), ...bytes]);
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
        `Cannot encode the property "${key}": expected a string, number, boolean or Uint8Array, got ${
          value === null ? "null" : typeof value
        }`,
      );
  }
}
