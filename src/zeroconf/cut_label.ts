const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The most bytes in one label of a name (RFC 6763, section 4.1.1). */
export const MAX_LABEL = 63;

/**
 * Cuts a text so that it fits a label, never inside of a character as a
 * reader sees it.
 *
 * @param text What to cut.
 * @param max The most bytes of UTF-8 that may remain.
 * @returns The text, or its beginning.
 */
export function cutLabel(text: string, max: number = MAX_LABEL): string {
  const target = new Uint8Array(max);
  if (encoder.encodeInto(text, target).read === text.length) return text;
  let length = 0;
  for (const { segment } of new Intl.Segmenter().segment(text)) {
    const size = encoder.encode(segment).length;
    if (length + size > max) break;
    length += size;
  }
  return decoder.decode(encoder.encode(text).subarray(0, length)).trimEnd();
}
