import { Buffer } from "node:buffer";
import { createHash, timingSafeEqual } from "node:crypto";

/**
 * Tells who asks, as the second argument of a `Deno.serve` handler does. A
 * {@linkcode dashboard} without a password needs it.
 */
export interface RequestInfo {
  /** The address of whoever asks; a Unix socket has none. */
  readonly remoteAddr?: {
    readonly transport?: string;
    readonly hostname?: string;
  };
}

/** Says whom a {@linkcode Guard} lets in. */
interface GuardOptions {
  readonly token: string | undefined;
  readonly hosts: readonly string[];
  readonly readOnly: boolean;
  /** The path that the session's cookie is for. */
  readonly cookiePath: string;
}

/** Why a request is refused: the status, and a sentence for whoever asked. */
interface Refusal {
  readonly status: 401 | 403 | 421 | 429;
  readonly reason: string;
}

const COOKIE = "platypush_dashboard";
/** The time after which somebody has to log in again, in seconds. */
const SESSION_TIME = 12 * 3600;
const MAX_SESSIONS = 1000;
/** So many wrong passwords an address may try before it has to wait. */
const FREE_FAILURES = 3;
/** The longest time that it has to wait, in seconds. */
const LONGEST_WAIT = 60;
/** So many wrong passwords may be tried in a minute by everybody together. */
const MAX_FAILURES = 60;
const MAX_ADDRESSES = 1000;

/** Tells how often an address has tried in vain, and until when it has to wait. */
interface Failures {
  count: number;
  until: number;
}

/**
 * Decides who may see the page and who may change something:
 *
 * - A page elsewhere that has made its name point to this host (DNS rebinding)
 *   asks by that name, so only known names are answered. An address is no name.
 * - A page elsewhere that sends a form says so in the `Origin`, which has to be
 *   our own for every change.
 * - Who is not on this host needs the password, which is compared in constant
 *   time, and cannot be tried often.
 */
export class Guard {
  readonly #options: GuardOptions;
  readonly #sessions = new Map<string, number>();
  readonly #failures = new Map<string, Failures>();
  #recent: number[] = [];

  constructor(options: GuardOptions) {
    this.#options = options;
  }

  /** Tells why a request is not answered at all, whoever it is from. */
  refuse(request: Request, info: RequestInfo): Refusal | undefined {
    const { token, hosts, readOnly } = this.#options;
    const host = hostOf(request);
    const name = nameOf(host);
    const isNamed = isLocal(name) ||
      (token !== undefined && (isIpAddress(name) || hosts.includes(name)));
    if (!isNamed) {
      const remedy = token === undefined
        ? "Open it as http://127.0.0.1, or give it a password (token) and this name (hosts)"
        : "Add the name to its hosts";
      return {
        status: 421,
        reason: `This page is not known as ${JSON.stringify(name)}. ${remedy}.`,
      };
    }
    if (token === undefined && !isFromHere(request, info)) {
      return {
        status: 403,
        reason:
          "Without a password, this page is only for who is on its host, and its server has to tell who asks (the second argument of its handler). Give it a token.",
      };
    }
    if (isFromElsewhere(request)) {
      return {
        status: 403,
        reason: "Another page has asked for this, so it gets nothing.",
      };
    }
    if (isReading(request)) return undefined;
    if (isLedHere(request) || !isSameOrigin(request, host)) {
      return {
        status: 403,
        reason:
          "This was not asked for by the page itself, so it was not done.",
      };
    }
    const isLogin = /\/log(in|out)$/.test(new URL(request.url).pathname);
    return readOnly && !isLogin
      ? { status: 403, reason: "This page only shows; it changes nothing." }
      : undefined;
  }

  /** True for everybody where there is no password, else for who has logged in. */
  isKnown(request: Request): boolean {
    if (this.#options.token === undefined) return true;
    return sessionsOf(request).some((id) =>
      (this.#sessions.get(digest(id)) ?? 0) > performance.now()
    );
  }

  /**
   * Checks a password.
   *
   * @returns The cookie of a new session, or why there is none.
   */
  logIn(
    given: string,
    request: Request,
    info: RequestInfo,
  ): { readonly cookie: string } | Refusal {
    const now = performance.now();
    const from = info.remoteAddr?.hostname ?? "";
    const failures = this.#failures.get(from);
    this.#recent = this.#recent.filter((time) => time > now - 60_000);
    const wait = Math.max(
      (failures?.until ?? 0) - now,
      this.#recent.length >= MAX_FAILURES ? this.#recent[0]! + 60_000 - now : 0,
    );
    if (wait > 0) {
      return {
        status: 429,
        reason: `Too many wrong passwords. Try again in ${
          Math.ceil(wait / 1000)
        } s.`,
      };
    }
    if (!equals(given, this.#options.token ?? "")) {
      this.#fail(from, now);
      return { status: 401, reason: "That is not the password." };
    }
    this.#failures.delete(from);
    const id = crypto.randomUUID() + crypto.randomUUID();
    keepNewest(this.#sessions, MAX_SESSIONS);
    this.#sessions.set(digest(id), now + SESSION_TIME * 1000);
    return { cookie: this.#cookie(id, SESSION_TIME, request) };
  }

  /** Ends a session; gives the cookie that says so. */
  logOut(request: Request): string {
    for (const id of sessionsOf(request)) this.#sessions.delete(digest(id));
    return this.#cookie("", 0, request);
  }

  #fail(from: string, now: number): void {
    const count = (this.#failures.get(from)?.count ?? 0) + 1;
    const wait = count < FREE_FAILURES
      ? 0
      : Math.min(2 ** (count - FREE_FAILURES), LONGEST_WAIT);
    this.#failures.delete(from);
    keepNewest(this.#failures, MAX_ADDRESSES);
    this.#failures.set(from, { count, until: now + wait * 1000 });
    this.#recent.push(now);
  }

  #cookie(id: string, age: number, request: Request): string {
    const isSecure = new URL(request.url).protocol === "https:" ||
      request.headers.get("x-forwarded-proto") === "https";
    return [
      `${cookieOf(request)}=${id}`,
      `Path=${this.#options.cookiePath}`,
      `Max-Age=${age}`,
      "HttpOnly",
      "SameSite=Strict",
      ...(isSecure ? ["Secure"] : []),
    ].join("; ");
  }
}

/** Makes room for one more. */
function keepNewest(entries: Map<string, unknown>, limit: number): void {
  for (const key of entries.keys()) {
    if (entries.size < limit) break;
    entries.delete(key);
  }
}

/** Makes what is kept of a session's id, so that no copy of the memory logs in. */
function digest(id: string): string {
  return createHash("sha256").update(id).digest("base64");
}

/** Compares in a time that tells nothing of either; digests are of one length. */
function equals(one: string, other: string): boolean {
  const [a, b] = [one, other].map((text) =>
    createHash("sha256").update(Buffer.from(text)).digest()
  );
  return timingSafeEqual(a!, b!);
}

/** The name of the cookie: those of all ports of a host are in one place. */
function cookieOf(request: Request): string {
  const [, port = ""] = /:(\d+)$/.exec(hostOf(request)) ?? [];
  return port === "" ? COOKIE : `${COOKIE}_${port}`;
}

/** All that a browser has under our name: others on this host may have set some. */
function sessionsOf(request: Request): string[] {
  const name = cookieOf(request);
  const cookies = request.headers.get("cookie") ?? "";
  return cookies.split(";").map((cookie) => cookie.trim().split("="))
    .filter(([key, id]) => key === name && /^[\w-]+$/.test(id ?? ""))
    .map(([, id]) => id!);
}

function isReading({ method }: Request): boolean {
  return method === "GET" || method === "HEAD";
}

/**
 * Tells whether a page elsewhere asks, such as to follow what is live: it could
 * not read that, and would keep it running. A link from elsewhere may be followed.
 */
function isFromElsewhere(request: Request): boolean {
  return isLedHere(request) &&
    request.headers.get("sec-fetch-mode") !== "navigate";
}

/** Tells whether a page elsewhere is behind a request, be it only by a link. */
export function isLedHere({ headers }: Request): boolean {
  const site = headers.get("sec-fetch-site");
  return site === "cross-site" || site === "same-site";
}

/** The name and the port that the browser has asked for. */
function hostOf(request: Request): string {
  return request.headers.get("host") ?? new URL(request.url).host;
}

/** A host's name without the port, the brackets and the case. */
function nameOf(host: string): string {
  return host.toLowerCase().replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1")
    .replace(/\.$/, "");
}

function isLocal(name: string): boolean {
  return /^([\w-]+\.)*localhost$/.test(name) || name === "::1" ||
    /^127(\.\d{1,3}){3}$/.test(name);
}

/** An address cannot be made to point elsewhere, as a name can. */
function isIpAddress(name: string): boolean {
  return /^\d{1,3}(\.\d{1,3}){3}$/.test(name) ||
    /^[\da-f:.]*:[\da-f:.]*(%[\w.-]+)?$/.test(name);
}

/** Tells whether whoever asks is on this host, and no proxy asks for others. */
function isFromHere(request: Request, { remoteAddr }: RequestInfo): boolean {
  const isForwarded = ["forwarded", "x-forwarded-for", "x-real-ip"]
    .some((name) => request.headers.has(name));
  const { transport = "", hostname = "" } = remoteAddr ?? {};
  return !isForwarded &&
    (transport.startsWith("unix") || isLocal(hostname.replace(/^::ffff:/, "")));
}

/** A request of our own page names it as its origin; other pages cannot claim that. */
function isSameOrigin(request: Request, host: string): boolean {
  const origin = request.headers.get("origin");
  if (origin === null) {
    return request.headers.get("sec-fetch-site") === "same-origin";
  }
  // A proxy may speak TLS for us, so that what the browser has asked by is not known.
  return ["http:", "https:"].some((protocol) =>
    URL.canParse(`${protocol}//${host}`) &&
    new URL(`${protocol}//${host}`).origin === origin.toLowerCase()
  );
}
