/**
 * Times, sizes and amounts as people say them, and long texts cut short.
 *
 * @module
 */

const SPANS = [[86400, "d"], [3600, "h"], [60, "min"]] as const;
const SIZES = [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]] as const;

/** Writes a time in seconds as people say it, such as `3 h`. */
export function span(seconds: number): string {
  const [unit, name] = SPANS.find(([unit]) => seconds >= unit) ?? [1, "s"];
  return `${Math.floor(seconds / unit)} ${name}`;
}

/** Writes a number of bytes as people say it, such as `1.5 MiB`. */
export function size(bytes: number): string {
  const [unit, name] = SIZES.find(([unit]) => bytes >= unit) ?? [1, "B"];
  return `${Number((bytes / unit).toFixed(1))} ${name}`;
}

/** Writes a number as people read it: `12,345`. */
export function number(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: 1 });
}

/** Writes a number of things as people say it: `1 message`, `3 messages`. */
export function amount(count: number, one: string, many = `${one}s`): string {
  return `${number(count)} ${count === 1 ? one : many}`;
}

/**
 * Cuts a text that is too long, and not between the halves of a surrogate pair.
 *
 * @param length The most characters that are left, the ellipsis among them.
 */
export function shorten(text: string, length: number): string {
  if (text.length <= length) return text;
  return `${text.slice(0, length - 1).replace(/[\uD800-\uDBFF]$/, "")}\u2026`;
}
