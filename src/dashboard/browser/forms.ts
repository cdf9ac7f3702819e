import { showTurns } from "../turns.ts";
import { localTimes, morph, readHtml } from "./morph.ts";

/** Answers a change, from the server. */
interface ChangeReply {
  readonly message?: string;
  /** The mistakes in what was typed, by the names of the fields. */
  readonly problems?: Readonly<Record<string, string>>;
  readonly shown?: {
    readonly title: string;
    readonly failed: boolean;
    readonly value: string;
  };
}

/** The time that a note stays, in milliseconds. */
const SHOWN = 6000;
const TYPING = 200;

/** Says something at the edge of the page. */
export function toast(text: string, failed = false): void {
  const note = document.createElement("p");
  note.className = failed ? "toast toast-failed" : "toast";
  note.textContent = showTurns(text);
  document.querySelector("#toasts")?.append(note);
  setTimeout(() => note.remove(), SHOWN);
}

/** Sends a change to the server, and says what became of it. */
export async function post(
  url: string,
  body: FormData,
): Promise<ChangeReply | undefined> {
  try {
    const response = await fetch(url, { method: "POST", body });
    if (response.redirected || response.status === 401) {
      location.reload();
      return undefined;
    }
    const text = await response.text();
    const isJson = response.headers.get("content-type")?.includes("json");
    const answer: ChangeReply = isJson
      ? JSON.parse(text)
      : { message: text.trim() };
    if (answer.message) toast(answer.message, !response.ok);
    return response.ok ? answer : undefined;
  } catch {
    toast("The page's server does not answer. Nothing was changed.", true);
    return undefined;
  }
}

/** Lets forms work without leaving the page. */
export function handleForms(root: Document): void {
  root.addEventListener("submit", (event) => {
    const form = event.target as HTMLFormElement;
    const { submitter } = event;
    if (form.matches("[data-filter]")) event.preventDefault();
    if (form.matches("[data-search]")) {
      event.preventDefault();
      search(form);
    }
    if (!form.matches("[data-post]")) return;
    event.preventDefault();
    submit(form, submitter as HTMLButtonElement | null);
  });
  root.addEventListener("input", (event) => {
    const form = (event.target as HTMLElement).closest<HTMLFormElement>(
      "[data-search]",
    );
    if (form) later(() => search(form));
  });
  root.addEventListener("click", (event) => {
    const button = (event.target as HTMLElement).closest<HTMLElement>(
      "[data-edit]",
    );
    if (button) requeueEdited(button);
  });
  root.addEventListener("change", (event) => {
    const input = event.target as HTMLInputElement;
    const form = input.closest<HTMLFormElement>("[data-selection]");
    if (!form) return;
    if (input.matches("[data-all]")) {
      for (const box of boxes(form)) box.checked = input.checked;
    }
    countChosen(form);
  });
  root.addEventListener("part", () => {
    const form = root.querySelector<HTMLFormElement>("[data-selection]");
    if (form) countChosen(form);
  });
  for (const place of root.querySelectorAll<HTMLElement>("[data-load]")) {
    load(place);
  }
}

let timer: number | undefined;

/** Waits until somebody has stopped typing. */
export function later(act: () => void): void {
  clearTimeout(timer);
  timer = setTimeout(act, TYPING);
}

async function submit(
  form: HTMLFormElement,
  submitter: HTMLButtonElement | null,
): Promise<void> {
  const url = submitter?.getAttribute("formaction") ??
    // A field of that name would hide the property.
    form.getAttribute("action") ?? "";
  if (submitter?.ariaBusy === "true") return;
  if (submitter) submitter.ariaBusy = "true";
  const answer = await post(url, new FormData(form, submitter));
  if (submitter) submitter.ariaBusy = null;
  if (answer === undefined) return;
  showProblems(form, answer.problems ?? {});
  for (const box of boxes(form)) box.checked = false;
  if (form.matches("[data-selection]")) countChosen(form);
  const output = form.querySelector("output");
  if (!output) return;
  output.replaceChildren();
  if (answer.shown) showAnswer(output, answer.shown);
}

/** Says beside each field what is wrong with it, and goes to the first of them. */
function showProblems(
  form: HTMLFormElement,
  problems: Readonly<Record<string, string>>,
): void {
  let isFirst = true;
  for (
    const field of form.querySelectorAll<HTMLElement>("[aria-describedby]")
  ) {
    const place = document.getElementById(
      field.getAttribute("aria-describedby")!,
    );
    const problem = problems[field.getAttribute("name") ?? ""];
    if (place) {
      place.textContent = showTurns(problem ?? "");
      place.hidden = problem === undefined;
    }
    field.ariaInvalid = problem === undefined ? null : "true";
    if (problem !== undefined && isFirst) field.focus();
    if (problem !== undefined) isFirst = false;
  }
}

function showAnswer(
  output: HTMLElement,
  { title, failed, value }: NonNullable<ChangeReply["shown"]>,
): void {
  const head = document.createElement("strong");
  head.textContent = title;
  const body = document.createElement("pre");
  body.textContent = showTurns(value);
  output.className = failed ? "failed" : "";
  output.replaceChildren(head, body);
}

function requeueEdited(button: HTMLElement): void {
  const opened = button.closest<HTMLElement>("[data-letter]")!;
  const body = new FormData();
  body.set("id", opened.dataset["letter"]!);
  body.set("text", opened.querySelector("textarea")!.value);
  post(button.dataset["edit"]!, body);
}

/** So many searches were begun. */
let searches = 0;

/** Shows what was searched for, and says it in the address. */
async function search(form: HTMLFormElement): Promise<void> {
  const number = ++searches;
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) {
    if (value !== "") query.set(name, String(value));
  }
  const url = `${location.pathname}?${query}`;
  history.replaceState(null, "", url);
  const response = await fetch(url).catch(() => undefined);
  if (!response?.ok) return;
  const fragment = readHtml(await response.text());
  // On a slow link, an answer may come behind the one to what was typed later.
  if (number !== searches) return;
  localTimes(fragment);
  const id = form.dataset["search"]!;
  const found = fragment.querySelector(`#${id}`);
  const shown = document.getElementById(id);
  if (found && shown) morph(shown, found);
  document.dispatchEvent(new Event("search"));
}

async function load(place: HTMLElement): Promise<void> {
  try {
    const response = await fetch(place.dataset["load"]!);
    place.replaceChildren(readHtml(await response.text()));
  } catch {
    place.textContent = "The page's server does not answer.";
  }
}

function boxes(form: HTMLFormElement): HTMLInputElement[] {
  return [
    ...form.querySelectorAll<HTMLInputElement>(
      'input[name="id"][type="checkbox"]',
    ),
  ];
}

function countChosen(form: HTMLFormElement): void {
  const all = boxes(form);
  const count = all.filter(({ checked }) => checked).length;
  const chosen = form.querySelector("[data-chosen]");
  if (chosen) chosen.textContent = count > 0 ? `${count} chosen` : "";
  for (
    const button of form.querySelectorAll<HTMLButtonElement>("[data-bulk]")
  ) {
    button.disabled = count === 0;
  }
  const master = form.querySelector<HTMLInputElement>("[data-all]");
  if (!master) return;
  master.checked = count > 0 && count === all.length;
  master.indeterminate = count > 0 && count < all.length;
}
