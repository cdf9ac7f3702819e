import { Hono, type MiddlewareHandler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { html } from "hono/html";
import { RedisBackend } from "../backend/mod.ts";
import type { Bus } from "../bus/mod.ts";
import { maskSecrets, type ResolvedConfig } from "../config/mod.ts";
import { createLogger } from "../logger.ts";
import { MessageError } from "../message/mod.ts";
import { checkOptions } from "../options.ts";
import { DeadLetters, RedisError } from "../redis/mod.ts";
import { settledWithin } from "../waiting.ts";
import { serveAsset } from "./serve_asset.ts";
import { Changes } from "./changes.ts";
import { Checkup } from "./checkup.ts";
import {
  DASHBOARD_OPTIONS,
  type DashboardOptions,
} from "./dashboard_options.ts";
import { Guard, isLedHere, type RequestInfo } from "./guard.ts";
import {
  beginningOf,
  commonParts,
  loginPage,
  noticePage,
  restOf,
} from "./layout.ts";
import { KeptHistory } from "./kept_history.ts";
import { Live, type Viewer } from "./live.ts";
import { Peers } from "./peers.ts";
import type { Desk, Html, Page } from "./page.ts";
import { actionsPage } from "./pages/actions.ts";
import { deadPage } from "./pages/dead.ts";
import { messagesPage } from "./pages/messages.ts";
import { peersPage } from "./pages/peers.ts";
import { nowPage } from "./pages/now.ts";
import { queuesPage } from "./pages/queues.ts";
import { settingsPage } from "./pages/settings.ts";
import { Passed } from "./passed.ts";
import { Survey } from "./survey.ts";
import { showTurnsInHtml } from "./turns.ts";

/** All pages, in the order in which they are shown. */
const PAGES: readonly Page[] = [
  nowPage,
  messagesPage,
  queuesPage,
  deadPage,
  peersPage,
  actionsPage,
  settingsPage,
];

/** The time that a page waits for Redis before it shows what is known, in seconds. */
const FIRST_LOOK = 0.05;
/** The largest form, in bytes. */
const MAX_BODY = 16 * 2 ** 20;
/** The largest form with a password, which anybody may send, in bytes. */
const MAX_LOGIN = 4096;

/** Tells browsers to take nothing from elsewhere, and no script in a page. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
  "referrer-policy": "same-origin",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

/**
 * Answers requests with the pages of a {@linkcode dashboard}: a handler for
 * `Deno.serve`, Hono, Fresh and whatever else takes one. Dispose of it in the
 * end.
 */
export interface Dashboard extends AsyncDisposable {
  /**
   * Answers a request.
   *
   * @param request The request, as the server has got it.
   * @param info Tells who asks, as `Deno.serve` does. Without a password, it is
   * needed.
   * @returns The page, or what belongs to it.
   */
  (request: Request, info?: RequestInfo): Promise<Response>;
}

/**
 * Makes a page to look at: how the backend stands, what passes, and what failed,
 * live. Nothing of it runs while nobody looks. `docs/dashboard.md` shows it.
 *
 * @param options What it shows, and to whom; all of it is optional.
 * @returns A handler for requests, which is to be disposed of.
 * @throws {TypeError} If there is no such option or it is of another kind, or
 * there are `hosts` and no `token`.
 * @throws {RangeError} If a time is no number of seconds.
 *
 * @example
 * ```ts
 * import { RedisBackend, startRedis } from "@platypush/redis";
 * import { dashboard } from "@platypush/redis/dashboard";
 *
 * await using server = await startRedis();
 * await using backend = new RedisBackend({ redisArgs: server.redisArgs });
 * await using page = dashboard({ backend });
 * const options = { hostname: "127.0.0.1", port: 0, onListen: () => {} };
 * await using http = Deno.serve(options, page);
 * const response = await fetch(`http://127.0.0.1:${http.addr.port}/`);
 * console.assert((await response.text()).includes("Dead letters"));
 * ```
 */
export function dashboard(options: DashboardOptions = {}): Dashboard {
  const given = checkOptions("make the dashboard", options, DASHBOARD_OPTIONS);
  const { hosts, token, readOnly, basePath } = given;
  if (hosts.length > 0 && token === undefined) {
    throw new TypeError(
      "Cannot make the dashboard: `hosts` lets others ask for it, so it needs a `token`",
    );
  }
  const guard = new Guard({
    token,
    hosts: hosts.map((name) => name.toLowerCase()),
    readOnly,
    cookiePath: basePath || "/",
  });
  const desk = new OwnDesk(given);
  const app = makeApp(desk, guard);
  const handle = async (
    request: Request,
    info: RequestInfo = {},
  ): Promise<Response> => {
    // Whoever makes up a name writes nothing into our log.
    const response = URL.canParse(request.url)
      ? await app.fetch(request, { info })
      : new Response("This is no address.\n", { status: 400 });
    for (const [name, value] of Object.entries(HEADERS)) {
      response.headers.set(name, value);
    }
    if (!response.headers.has("cache-control")) {
      response.headers.set("cache-control", "no-store");
    }
    // Whoever has opened this page from elsewhere keeps no hold of it. The browser
    // starts a process for that, so no other page is to wait for one.
    if (isLedHere(request)) {
      response.headers.set("cross-origin-opener-policy", "same-origin");
    }
    return response;
  };
  return Object.assign(handle, {
    [Symbol.asyncDispose]: () => desk[Symbol.asyncDispose](),
  });
}

/** Makes what the pages show from the options. */
class OwnDesk implements Desk, AsyncDisposable {
  readonly backend: RedisBackend;
  readonly queues: readonly string[];
  readonly bus: Bus | undefined;
  readonly survey: Survey;
  readonly checkup: Checkup;
  readonly passed: Passed = new Passed();
  readonly dead: DeadLetters;
  readonly changes: Changes;
  readonly peers: Peers;
  readonly settings: ResolvedConfig["settings"];
  readonly live: Live;
  readonly logger: Desk["logger"];
  readonly isReadOnly: boolean;
  readonly hasToken: boolean;
  readonly path: (path: string) => string;
  readonly #ownsBackend: boolean;
  readonly #endWatch: () => void;
  readonly #history: KeptHistory | undefined;

  constructor(
    options: DashboardOptions & {
      readonly basePath: string;
      readonly readOnly: boolean;
      readonly history: boolean;
      readonly undoTime: number;
    },
  ) {
    const { backend, bus, settings, basePath, token } = options;
    this.logger = options.logger ?? createLogger("dashboard");
    this.#ownsBackend = backend === undefined;
    this.backend = backend ?? new RedisBackend();
    this.queues = [this.backend.queue].flat();
    this.bus = bus === false ? undefined : bus ?? backend?.bus;
    this.path = (path) => basePath + path;
    this.isReadOnly = options.readOnly;
    this.hasToken = token !== undefined;
    const { redisArgs } = this.backend;
    const wake = (): void => this.live.wake();
    this.survey = new Survey(redisArgs, this.queues);
    this.checkup = new Checkup(redisArgs, this.queues, wake);
    this.dead = new DeadLetters(redisArgs, {
      queue: this.queues,
      logger: this.logger,
      daemon: true,
      connectionTimeout: 2,
    });
    this.changes = new Changes(options.undoTime, wake);
    this.peers = new Peers(this.logger, options.interfaces, wake);
    this.settings = settings ?? settingsOf(this.backend);
    this.live = new Live(() => this.survey.read(), () => {
      this.survey.rest();
      this.peers.rest();
    });
    if (options.history && this.bus !== undefined) {
      const [queue = ""] = this.queues;
      const { passed, logger } = this;
      this.#history = new KeptHistory({ redisArgs, queue, passed, logger });
    }
    this.#endWatch = this.bus === undefined
      ? () => {}
      : this.passed.follow(this.bus);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#endWatch();
    await this.#history?.[Symbol.asyncDispose]();
    await this.live[Symbol.asyncDispose]();
    await this.changes[Symbol.asyncDispose]();
    await this.checkup[Symbol.asyncDispose]();
    await this.peers[Symbol.asyncDispose]();
    this.survey[Symbol.dispose]();
    await this.dead.close();
    if (this.#ownsBackend) await this.backend.stop();
  }
}

/** Lists what a backend says of itself, where nobody has told more. */
function settingsOf(backend: RedisBackend): ResolvedConfig["settings"] {
  const { name, deviceId, queue, redisArgs } = backend;
  const shown = { name, deviceId, queue, ...maskSecrets({ redisArgs }) };
  return Object.entries(shown).flatMap(([name, value]) =>
    name === "redisArgs"
      ? Object.entries(value as object).map(([part, value]) => ({
        name: `redisArgs.${part}`,
        value,
        source: "code" as const,
        origin: "code",
      }))
      : [{ name, value, source: "code" as const, origin: "code" }]
  );
}

/**
 * Puts the routes together, in the order in which a request comes to them: the
 * guard, what strangers may ask for, the question who it is, and the rest.
 */
function makeApp(desk: Desk, guard: Guard): Hono {
  const app = new Hono({
    getPath: (request) =>
      withoutBase(new URL(request.url).pathname, desk.path("")),
  });
  app.use(async (context, next) => {
    const refusal = guard.refuse(context.req.raw, infoOf(context));
    if (refusal === undefined) return await next();
    return context.text(`${refusal.reason}\n`, refusal.status);
  });
  app.get(
    "/assets/:name",
    (context) => serveAsset(context.req.param("name"), context.req.raw),
  );
  addLogin(app, desk, guard);
  app.use(async (context, next) => {
    if (guard.isKnown(context.req.raw)) return await next();
    const wantsPage = context.req.method === "GET" &&
      context.req.header("accept")?.includes("text/html");
    return wantsPage
      ? context.redirect(desk.path("/login"), 303)
      : context.text("Log in first.\n", 401);
  });
  // Nobody reads what strangers send.
  app.use(limitTo(MAX_BODY));
  app.post("/logout", (context) => {
    context.header("set-cookie", guard.logOut(context.req.raw));
    return context.redirect(desk.path("/login"), 303);
  });
  app.post(
    "/changes/:id/undo",
    (context) =>
      desk.changes.undo(context.req.param("id"))
        ? context.json({})
        : context.json({ message: "It is too late: it has begun." }, 409),
  );
  addPages(app, desk, guard);
  addAnswersToMistakes(app, desk);
  return app;
}

/** Tells what the server knows of whoever asks. */
function infoOf(context: { readonly env: unknown }): RequestInfo {
  return (context.env as { readonly info: RequestInfo }).info;
}

function limitTo(maxSize: number): MiddlewareHandler {
  return bodyLimit({
    maxSize,
    onError: (context) => context.json({ message: "That is too large." }, 413),
  });
}

function addLogin(app: Hono, { path }: Desk, guard: Guard): void {
  app.get(
    "/login",
    (context) =>
      guard.isKnown(context.req.raw)
        ? context.redirect(path("/"))
        : context.html(loginPage(path)),
  );
  app.post("/login", limitTo(MAX_LOGIN), async (context) => {
    const form = await context.req.formData();
    const result = guard.logIn(
      String(form.get("token") ?? ""),
      context.req.raw,
      infoOf(context),
    );
    if ("reason" in result) {
      return context.html(loginPage(path, result.reason), result.status);
    }
    context.header("set-cookie", result.cookie);
    return context.redirect(path("/"), 303);
  });
}

/** Adds the pages, what each of them asks for, and the stream by which one is followed. */
function addPages(app: Hono, desk: Desk, guard: Guard): void {
  app.get("/live", (context) => {
    const query = new URL(context.req.url).searchParams;
    const page = PAGES.find(({ name }) => name === (query.get("page") ?? ""));
    return page === undefined
      ? context.text("There is no such page.\n", 404)
      : follow(desk, page, query, () => guard.isKnown(context.req.raw));
  });
  for (const page of PAGES) {
    page.routes?.(app, desk);
    app.get(`/${page.name}`, (context) => {
      const query = new URL(context.req.url).searchParams;
      const text = ReadableStream.from(documentOf(desk, page, query));
      const type = { "content-type": "text/html; charset=utf-8" };
      return context.body(text.pipeThrough(new TextEncoderStream()), 200, type);
    });
  }
}

function addAnswersToMistakes(app: Hono, desk: Desk): void {
  app.notFound((context) =>
    context.html(
      noticePage(desk.path, "Not here", "There is no page at this address."),
      404,
    )
  );
  app.onError((error, context) => {
    // What somebody has typed may be refused by whatever it is handed to.
    const isReading = context.req.method === "GET";
    const isRefusal = !isReading &&
      (error instanceof TypeError || error instanceof RangeError ||
        error instanceof SyntaxError);
    // Whoever has gone reads no answer, and it is nothing of ours that has failed.
    const message = isRefusal || context.req.raw.signal.aborted
      ? error.message
      : problemOf(desk, error);
    return isReading
      ? context.html(noticePage(desk.path, "That did not work", message), 500)
      : context.json({ message }, 400);
  });
}

/** Writes a page, and waits for Redis only when the browser has something to do. */
async function* documentOf(
  desk: Desk,
  page: Page,
  query: URLSearchParams,
): AsyncGenerator<string> {
  yield showTurnsInHtml(beginningOf(desk, page));
  await settledWithin(desk.survey.read(), FIRST_LOOK, { daemon: true });
  let main: Html;
  try {
    main = await page.render(desk, query);
  } catch (error) {
    main = html`<p class="card problem" role="alert">${
      problemOf(desk, error as Error)
    }</p>`;
  }
  yield showTurnsInHtml(String(await restOf(desk, PAGES, page, main)));
}

/** Says what went wrong; what nobody expects is for the log. */
function problemOf(desk: Desk, error: Error): string {
  const isExpected = error instanceof RedisError ||
    error instanceof MessageError || error instanceof DOMException;
  if (isExpected) return error.message;
  desk.logger.error(`A page has failed: ${error.message}.`);
  return "Something went wrong here; the log has more.";
}

/** The path behind the prefix; a proxy may have taken that away. */
function withoutBase(path: string, base: string): string {
  if (path === base) return "/";
  return path.startsWith(`${base}/`) ? path.slice(base.length) : path;
}

/** Opens the stream of a page, which ends with the session of who looks. */
function follow(
  desk: Desk,
  page: Page,
  query: URLSearchParams,
  isKnown: () => boolean,
): Response {
  let end = (): void => {};
  const show = async (viewer: Viewer): Promise<void> => {
    if (!isKnown()) return viewer.end();
    const parts = [
      ...commonParts(desk),
      ...await page.parts?.(desk, query) ?? [],
    ];
    for (const { id, html } of parts) {
      viewer.sendPart(id, String(await html));
    }
    page.tick?.(desk, viewer);
  };
  const viewer = desk.live.open({
    onTick: (viewer) =>
      show(viewer).catch((error: Error) => {
        desk.logger.error(`A page could not be followed: ${error.message}.`);
      }),
    onEnd: () => end(),
  });
  end = page.follow?.(desk, viewer, query) ?? end;
  return viewer.response;
}
