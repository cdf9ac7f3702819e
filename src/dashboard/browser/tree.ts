/** Values with more parts are shut at first. */
const LARGE = 20;

/** Shows a JSON value as a tree, of which every part is set as text. */
export function treeOf(value: unknown): HTMLElement {
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
  key.textContent = name;
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
  text.textContent = JSON.stringify(value);
  return text;
}
