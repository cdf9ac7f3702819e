/** Reads HTML of the server without running or loading anything. */
export function readHtml(html: string): DocumentFragment {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** Shows moments in the time zone of who looks. */
export function localTimes(root: ParentNode): void {
  for (const time of root.querySelectorAll<HTMLTimeElement>("time[datetime]")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    time.textContent = timeOfDay(date);
    const [year, month, day] = [
      date.getFullYear(),
      date.getMonth() + 1,
      date.getDate(),
    ].map(twoDigits);
    time.title = `${year}-${month}-${day} ${timeOfDay(date)}`;
  }
}

/** Writes a time of day by hand: to load what knows all languages delays the first paint. */
function timeOfDay(date: Date): string {
  return [date.getHours(), date.getMinutes(), date.getSeconds()]
    .map(twoDigits).join(":");
}

function twoDigits(number: number): string {
  return String(number).padStart(2, "0");
}

/**
 * Makes an element like another one, and changes only what differs, so that what
 * has the focus, is open or was typed stays as it is.
 */
export function morph(from: Element, to: Element): void {
  if (from.tagName !== to.tagName) {
    from.replaceWith(to);
    return;
  }
  morphAttributes(from, to);
  // What somebody writes is theirs.
  if (from instanceof HTMLTextAreaElement) return;
  morphChildren(from, to);
}

function morphAttributes(from: Element, to: Element): void {
  // Some are for who looks to decide.
  const kept = from instanceof HTMLDetailsElement
    ? ["open"]
    : [from.getAttribute("data-own")];
  for (const { name, value } of to.attributes) {
    if (kept.includes(name)) continue;
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  for (const { name } of [...from.attributes]) {
    if (!to.hasAttribute(name) && !kept.includes(name)) {
      from.removeAttribute(name);
    }
  }
}

/** The id of an element. Of a form, the property would be a field of that name. */
function idOf(element: Element): string | null {
  return element.getAttribute("id");
}

function morphChildren(from: Element, to: Element): void {
  const byId = new Map<string, Element>();
  for (const child of from.children) {
    const id = idOf(child);
    if (id) byId.set(id, child);
  }
  let at = from.firstChild;
  for (const wanted of [...to.childNodes]) {
    const id = wanted instanceof Element ? idOf(wanted) : null;
    const same = id ? byId.get(id) : undefined;
    if (same !== undefined && same !== at) {
      from.insertBefore(same, at);
      morph(same, wanted as Element);
    } else if (at === null) {
      from.append(wanted);
    } else if (at instanceof Element && wanted instanceof Element) {
      const next: ChildNode | null = at.nextSibling;
      const isOther = idOf(at) !== id || at.tagName !== wanted.tagName;
      if (isOther && id && !same) {
        from.insertBefore(wanted, at);
      } else {
        if (isOther) at.replaceWith(wanted);
        else morph(at, wanted);
        at = next;
      }
    } else if (at.nodeType === wanted.nodeType) {
      if (at.nodeValue !== wanted.nodeValue) at.nodeValue = wanted.nodeValue;
      at = at.nextSibling;
    } else {
      from.insertBefore(wanted, at);
    }
  }
  while (at !== null) {
    const next: ChildNode | null = at.nextSibling;
    at.remove();
    at = next;
  }
}
