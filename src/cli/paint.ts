import { styleText } from "node:util";

/** Paints a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

/** The styles in use. */
export type Style =
  | "bold"
  | "dim"
  | "cyan"
  | "green"
  | "magenta"
  | "red"
  | "yellow";

/**
 * Chooses how to paint.
 *
 * @param hasColor Whether there may be colours.
 */
export function painter(hasColor: boolean): Paint {
  return hasColor
    ? (style, text) => styleText(style, text, { validateStream: false })
    : (_style, text) => text;
}
