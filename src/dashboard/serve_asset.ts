import { createHash } from "node:crypto";
import { SCRIPT, STYLE } from "./assets.ts";

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

const ASSETS: readonly Asset[] = [
  asset("page.js", "text/javascript; charset=utf-8", SCRIPT),
  asset("page.css", "text/css; charset=utf-8", STYLE),
  asset("icon.svg", "image/svg+xml", ICON),
];

/** The paths of the files, below the prefix. */
export const [SCRIPT_PATH, STYLE_PATH, ICON_PATH] = ASSETS
  .map(({ name }) => `/assets/${name}`) as [string, string, string];

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
