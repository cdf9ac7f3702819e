import { localTimes, morph, readHtml } from "./morph.ts";

/** A point of a line. */
export interface Points {
  readonly chart: string;
  readonly time: number;
  /** One for each line; `null` where there is none. */
  readonly values: readonly (number | null)[];
}

/** Gives {@linkcode followServer} what it needs. */
interface FollowOptions {
  readonly page: string;
  readonly base: string;
  /** The newest message that it shows. */
  newest(): string | undefined;
  onPoints(points: Points): void;
  onRows(html: string): void;
  /** Called when the server is there again: what has passed meanwhile is missing. */
  onReconnect(): void;
}

/** The longest pause before the server is tried again, in milliseconds. */
const LONGEST_PAUSE = 5000;
/** A server that is silent for so long counts as lost; it says every 5 s that it is there. */
const LONGEST_SILENCE = 15_000;

/** Follows the server's events while the page can be seen. */
export function followServer(options: FollowOptions): void {
  let source: EventSource | undefined;
  let timer: number | undefined;
  let silence: number | undefined;
  let pause = 250;
  let wasLost = false;
  const offline = document.querySelector<HTMLElement>("#offline");

  const close = (): void => {
    clearTimeout(timer);
    clearTimeout(silence);
    source?.close();
    source = undefined;
  };
  const open = (): void => {
    close();
    const query = new URLSearchParams(location.search);
    query.set("page", options.page);
    const newest = options.newest();
    if (newest !== undefined) query.set("after", newest);
    const opened = new EventSource(`${options.base}/live?${query}`);
    source = opened;
    const lose = (): void => {
      if (source !== opened) return;
      wasLost = true;
      offline?.toggleAttribute("hidden", false);
      document.documentElement.dataset["live"] = "no";
      close();
      timer = setTimeout(() => tryAgain(open), pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    };
    // Where the network is gone, or the host has slept, nothing tells that it has ended.
    const hear = (): void => {
      clearTimeout(silence);
      silence = setTimeout(lose, LONGEST_SILENCE);
    };
    hear();
    opened.onopen = () => {
      pause = 250;
      offline?.toggleAttribute("hidden", true);
      document.documentElement.dataset["live"] = "yes";
      if (wasLost) options.onReconnect();
      wasLost = false;
    };
    opened.onerror = lose;
    const on = (event: string, act: (data: string) => void): void =>
      opened.addEventListener(event, ({ data }) => {
        hear();
        act(data);
      });
    on("here", () => {});
    on("part", showPart);
    on("points", (data) => options.onPoints(JSON.parse(data)));
    on("rows", options.onRows);
  };

  // The page shows something else, as its address says.
  document.addEventListener("search", open);
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) close();
    else if (source === undefined) {
      wasLost = true;
      open();
    }
  });
  addEventListener("pagehide", close);
  if (!document.hidden) open();
}

/** Tries again, or asks for the password where the session is over. */
async function tryAgain(open: () => void): Promise<void> {
  try {
    const { status } = await fetch(location.href, {
      method: "HEAD",
      redirect: "manual",
      signal: AbortSignal.timeout(LONGEST_PAUSE),
    });
    if (status === 0) return location.reload();
  } catch {
    // It is not there yet.
  }
  open();
}

function showPart(html: string): void {
  const fragment = readHtml(html);
  localTimes(fragment);
  const part = fragment.firstElementChild;
  const shown = part && document.getElementById(part.id);
  if (!shown) return;
  morph(shown, part);
  document.dispatchEvent(new Event("part"));
}
