import { createHash } from "node:crypto";
import { CHARTS, SCRIPT, STYLE } from "./assets.ts";

/** A file that pages need. */
interface Asset {
  readonly name: string;
  readonly type: string;
  readonly text: string;
}

const ICON =
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 20 20"><rect width="20" height="20" rx="5" fill="#0f766e"/><path d="M3 11h2.500l2-5 3.5 9 2-6 1 2h3" fill="none" stroke="#fff" stroke-width="1.8" stroke-linecap="round" stroke-linejoin="round"/></svg>`;

/** Names a file after what is in it, so that browsers may keep it for good. */
function asset(name: string, type: string, text: string): Asset {
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 12);
  return { name: name.replace(".", `-${hash}.`), type, text };
}

const SCRIPT_TYPE = "text/javascript; charset=utf-8";
const SCRIPT_FILE = asset("page.js", SCRIPT_TYPE, SCRIPT);
const CHARTS_FILE = asset("charts.js", SCRIPT_TYPE, CHARTS);
const STYLE_FILE = asset("page.css", "text/css; charset=utf-8", STYLE);
const ICON_FILE = asset("icon.svg", "image/svg+xml", ICON);
const ASSETS: readonly Asset[] = [
  SCRIPT_FILE,
  CHARTS_FILE,
  STYLE_FILE,
  ICON_FILE,
];

/** The path of the script, below the prefix. */
export const SCRIPT_PATH: string = `/assets/${SCRIPT_FILE.name}`;
/** The path of the script for the lines, below the prefix. */
export const CHARTS_PATH: string = `/assets/${CHARTS_FILE.name}`;
/** The path of the style, below the prefix. */
export const STYLE_PATH: string = `/assets/${STYLE_FILE.name}`;
/** The path of the icon, below the prefix. */
export const ICON_PATH: string = `/assets/${ICON_FILE.name}`;

/** The files as they travel, compressed when they are first asked for. */
const compressed = new Map<string, Promise<ArrayBuffer>>();

/** Answers with a file. */
export async function serveAsset(
  name: string,
  request: Request,
): Promise<Response> {
  const found = ASSETS.find((asset) => asset.name === name);
  if (found === undefined) return new Response("Not found\n", { status: 404 });
  const { type, text } = found;
  const headers = new Headers({
    "content-type": type,
    "cache-control": "public, max-age=31536000, immutable",
    "vary": "accept-encoding",
  });
  const accepted = request.headers.get("accept-encoding") ?? "";
  if (!/\bgzip\b/.test(accepted)) return new Response(text, { headers });
  let body = compressed.get(name);
  if (body === undefined) {
    const stream = new Blob([text]).stream()
      .pipeThrough(new CompressionStream("gzip"));
    body = new Response(stream).arrayBuffer();
    compressed.set(name, body);
  }
  headers.set("content-encoding", "gzip");
  return new Response(await body, { headers });
}
