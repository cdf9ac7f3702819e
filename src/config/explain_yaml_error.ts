import type { ErrorCode } from "yaml";

/** The parser's own texts quote the file, and with it perhaps a password. */
const TEXTS: Readonly<Partial<Record<ErrorCode, string>>> = {
  ALIAS_PROPS: "an alias can have neither an anchor nor a tag",
  BAD_ALIAS:
    "this alias has no anchor before it; a text that starts with `*` needs quotes",
  BAD_COLLECTION_TYPE: "the tag does not fit what it is on",
  BAD_DIRECTIVE: "this directive is not known",
  BAD_DQ_ESCAPE:
    "this escape is not known; in double quotes a backslash is written twice",
  BAD_INDENT: "the indentation is wrong",
  BAD_PROP_ORDER: "anchors and tags belong behind the indicator",
  BAD_SCALAR_START: "a text cannot start with this character; it needs quotes",
  BLOCK_AS_IMPLICIT_KEY: "a mapping cannot start on the same line here",
  BLOCK_IN_FLOW: "there is a block inside braces or brackets",
  KEY_OVER_1024_CHARS: "a name cannot be longer than 1024 characters",
  MISSING_CHAR: "a character is missing before this, such as a closing quote",
  MULTILINE_IMPLICIT_KEY:
    "a name has to be on one line, with a colon and a blank behind it",
  MULTIPLE_ANCHORS: "a value can only have one anchor",
  MULTIPLE_DOCS: "a file can only have one document, without `---` inside",
  MULTIPLE_TAGS: "a value can only have one tag",
  RESOURCE_EXHAUSTION: "it is nested too deeply",
  TAB_AS_INDENT: "it is indented by a tab, which has to be blanks",
  TAG_RESOLVE_FAILED:
    "this tag is not known, and passed over; a text that starts with `!` needs quotes",
};

/** Says what is wrong with a YAML file without quoting it. */
export function explainYamlError(code: ErrorCode): string {
  return TEXTS[code] ?? "this is no YAML";
}
