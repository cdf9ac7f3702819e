import type { Dashboard, RequestInfo } from "../../src/dashboard/mod.ts";

/** Somebody on this host. */
export const HERE: RequestInfo = {
  remoteAddr: { transport: "tcp", hostname: "127.0.0.1" },
};
/** Somebody on the network. */
export const THERE: RequestInfo = {
  remoteAddr: { transport: "tcp", hostname: "192.0.2.7" },
};

interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** Fields of a form, which make it a change that the page itself asks for. */
  readonly form?: Record<string, string>;
  readonly info?: RequestInfo;
  /** The name by which it is asked for. */
  readonly host?: string;
}

/** Asks a dashboard as a browser would. */
export async function ask(
  page: Dashboard,
  path: string,
  { method, headers = {}, form, info = HERE, host = "127.0.0.1:8480" }: Asked =
    {},
): Promise<Response> {
  const url = `http://${host}${path}`;
  const body = form && new URLSearchParams(form);
  return await page(
    new Request(url, {
      method: method ?? (form ? "POST" : "GET"),
      redirect: "manual",
      headers: {
        host,
        accept: "text/html",
        ...(form && { origin: `http://${host}` }),
        ...headers,
      },
      ...(body && { body }),
    }),
    info,
  );
}
