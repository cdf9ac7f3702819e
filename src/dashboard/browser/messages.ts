import { later, post, toast } from "./forms.ts";
import { showTurns } from "../turns.ts";
import { localTimes, readHtml } from "./morph.ts";

/** Values with more parts are shut at first. */
const LARGE = 20;

/** The messages on their page: new ones on top, up to a number. */
export class Messages {
  readonly #root: Document;
  readonly #base: string;
  #waiting: string[] = [];
  #isPaused = false;

  constructor(root: Document) {
    this.#root = root;
    this.#base = root.documentElement.dataset["base"] ?? "";
    // Who has logged out leaves nothing in the browser.
    if (root.querySelector(".login [name=token]")) this.#store("");
    const filter = root.querySelector<HTMLInputElement>("#filter");
    if (filter === null) return;
    this.#restore();
    filter.addEventListener(
      "input",
      () => later(() => this.#filter(filter.value)),
    );
    root.querySelector("[data-pause]")
      ?.addEventListener("click", () => this.#pause());
    root.addEventListener("toggle", (event) => {
      const details = event.target as HTMLDetailsElement;
      const message = details.closest<HTMLElement>(".message");
      if (message && details.open) this.#open(message);
    }, true);
    root.addEventListener("click", (event) => {
      const button = event.target as HTMLElement;
      const message = button.closest<HTMLElement>(".message");
      if (message) this.#act(button, message);
    });
  }

  /** The id of the newest message that is shown; `undefined` where none are. */
  get newest(): string | undefined {
    const rows = this.#root.querySelector("#rows");
    if (rows === null) return undefined;
    return rows.querySelector<HTMLElement>(".message")?.dataset["id"] ?? "";
  }

  /** Adds rows that have come. */
  add(html: string): void {
    if (this.#isPaused) {
      this.#waiting.push(html);
      if (this.#waiting.length > 200) this.#waiting.shift();
      this.#showPause();
    } else this.#show(html);
  }

  /** Asks for what is there. */
  async reload(): Promise<void> {
    const shown = this.#root.querySelector("#passed");
    if (shown === null || this.#isPaused) return;
    const list = `${this.#base}/messages/list${location.search}`;
    const response = await fetch(list)
      .catch(() => undefined);
    if (!response?.ok) return;
    const fragment = readHtml(await response.text());
    localTimes(fragment);
    shown.replaceWith(fragment);
    this.#showKept();
  }

  #show(html: string): void {
    const rows = this.#root.querySelector<HTMLElement>("#rows");
    if (rows === null) return;
    const fragment = readHtml(html);
    localTimes(fragment);
    // One line says how many are missing, also when it goes on.
    rows.prepend(fragment);
    const limit = Number(rows.dataset["limit"]);
    while (rows.childElementCount > limit) rows.lastElementChild!.remove();
    this.#showKept();
    this.#root.querySelector("[data-empty]")?.toggleAttribute("hidden", true);
  }

  async #filter(text: string): Promise<void> {
    const query = new URLSearchParams(text === "" ? {} : { filter: text });
    history.replaceState(null, "", `${location.pathname}?${query}`);
    await this.reload();
    document.dispatchEvent(new Event("search"));
  }

  #pause(): void {
    this.#isPaused = !this.#isPaused;
    this.#root.querySelector("[data-pause]")
      ?.setAttribute("aria-pressed", String(this.#isPaused));
    if (!this.#isPaused) {
      for (const html of this.#waiting) this.#show(html);
      this.#waiting = [];
    }
    this.#showPause();
  }

  #showPause(): void {
    const button = this.#root.querySelector("[data-pause]")!;
    button.textContent = this.#isPaused
      ? this.#waiting.length > 0 ? "Go on, there is more" : "Go on"
      : "Pause";
  }

  async #open(message: HTMLElement): Promise<void> {
    const tree = message.querySelector(".tree")!;
    if (tree.childElementCount > 0) return;
    const json = await this.#jsonOf(message);
    tree.replaceChildren(json === undefined ? "" : treeOf(JSON.parse(json)));
  }

  async #jsonOf(message: HTMLElement): Promise<string | undefined> {
    const { json, id } = message.dataset;
    if (json !== undefined) return json;
    const response = await fetch(`${this.#base}/messages/${id}`)
      .catch(() => undefined);
    if (response?.ok) return message.dataset["json"] = await response.text();
    toast("This message is no longer kept.", true);
    return undefined;
  }

  async #act(button: HTMLElement, message: HTMLElement): Promise<void> {
    if (button.matches("[data-keep]")) await this.#keep(message);
    else if (button.matches("[data-copy]")) {
      const json = await this.#jsonOf(message);
      if (json !== undefined) await copy(json);
    } else if (button.matches("[data-send]")) {
      const body = new FormData();
      body.set("id", message.dataset["id"]!);
      await post(`${this.#base}/messages/send`, body);
    }
  }

  /** Keeps a message as long as this tab is there, or lets it go. */
  async #keep(message: HTMLElement): Promise<void> {
    const kept = this.#kept;
    const isKept = message.parentElement === kept;
    if (isKept) message.remove();
    else {
      // The server forgets it some time.
      if (await this.#jsonOf(message) === undefined) return;
      const copy = message.cloneNode(true) as HTMLElement;
      copy.querySelector("[data-keep]")!.textContent = "Let go";
      kept.prepend(copy);
    }
    if (!this.#store(kept.innerHTML) && !isKept) {
      kept.firstElementChild!.remove();
      toast(
        "The browser has no room for more: let another one go.",
        true,
      );
    }
    this.#showKept();
  }

  get #kept(): HTMLElement {
    return this.#root.querySelector("#kept")!;
  }

  #restore(): void {
    let html = "";
    try {
      html = sessionStorage.getItem(this.#key) ?? "";
    } catch {
      // This browser keeps nothing for pages.
    }
    this.#kept.replaceChildren(readHtml(html));
    this.#showKept();
  }

  /** The name under which the tab has what is kept: a host may have more pages than one. */
  get #key(): string {
    return `platypush-kept:${this.#base}`;
  }

  /** Stores what is kept; tells whether there was room for it. */
  #store(html: string): boolean {
    try {
      if (html === "") sessionStorage.removeItem(this.#key);
      else sessionStorage.setItem(this.#key, html);
      return true;
    } catch {
      return false;
    }
  }

  /** Shows which messages are kept, above the list and in it. */
  #showKept(): void {
    const ids = new Set<string | undefined>();
    for (const { dataset } of this.#kept.querySelectorAll<HTMLElement>("li")) {
      ids.add(dataset["id"]);
    }
    this.#root.querySelector("#kept-card")!
      .toggleAttribute("hidden", ids.size === 0);
    for (
      const row of this.#root.querySelectorAll<HTMLElement>("#rows .message")
    ) {
      const isKept = ids.has(row.dataset["id"]);
      const button = row.querySelector("[data-keep]")!;
      button.textContent = isKept ? "Kept" : "Keep";
      button.toggleAttribute("disabled", isKept);
    }
  }
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast("Copied.");
  } catch {
    toast("The browser does not let this page copy.", true);
  }
}

/** Shows a JSON value as a tree, of which every part is set as text. */
function treeOf(value: unknown): HTMLElement {
  if (typeof value !== "object" || value === null) return leaf(value);
  const entries = Object.entries(value);
  if (entries.length === 0) return leaf(Array.isArray(value) ? [] : {});
  const list = document.createElement("ul");
  for (const [name, part] of entries) list.append(branch(name, part));
  return list;
}

function branch(name: string, value: unknown): HTMLElement {
  const item = document.createElement("li");
  const key = document.createElement("span");
  key.className = "key";
  key.textContent = showTurns(name);
  const isDeep = typeof value === "object" && value !== null &&
    Object.keys(value).length > 0;
  if (!isDeep) {
    item.append(key, " ", leaf(value));
    return item;
  }
  const size = Object.keys(value).length;
  const details = document.createElement("details");
  details.open = size <= LARGE;
  const summary = document.createElement("summary");
  const count = document.createElement("span");
  count.className = "quiet";
  count.textContent = Array.isArray(value) ? `[${size}]` : `{${size}}`;
  summary.append(key, " ", count);
  details.append(summary, treeOf(value));
  item.append(details);
  return item;
}

function leaf(value: unknown): HTMLElement {
  const text = document.createElement("span");
  text.className = `leaf leaf-${value === null ? "null" : typeof value}`;
  text.textContent = showTurns(JSON.stringify(value));
  return text;
}
