/**
 * Characters that turn the direction of a text, as U+202E does: a type `evil`
 * could look like `live`, and take along what stands beside it. The pages show
 * them as escapes, as the log and the command line do; in JSON that is the same
 * text.
 *
 * @module
 */

const TURN = /\p{Bidi_C}/u;
const TURNS = /\p{Bidi_C}/gu;
/** A tag, or such a character. */
const TAG_OR_TURN = /<[^<>]*>|\p{Bidi_C}/gu;
/** The attributes of a tag that are shown or read aloud; all others stay as they are. */
const SHOWN = /\s(?:title|aria-label)="[^"]*"/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** Shows what turns the direction of a text. */
export function showTurns(text: string): string {
  return text.replace(TURNS, escaped);
}

/** Shows what turns the direction of texts in HTML, in which every text is escaped. */
export function showTurnsInHtml(html: string): string {
  if (!TURN.test(html)) return html;
  return html.replace(
    TAG_OR_TURN,
    (part) =>
      part.startsWith("<") ? part.replace(SHOWN, showTurns) : escaped(part),
  );
}
