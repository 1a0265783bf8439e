// Making and filling elements; no text is ever read as HTML.

/** An element with attributes (on… are listeners, true and false switch, null is left out) and children. */
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name in node && typeof value !== "string") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

export function button(text, onclick, attributes = {}) {
  return el("button", { type: "button", onclick, ...attributes }, text);
}

let count = 0;

/** An id that no other element of the page has. */
export function freshId(name) {
  count += 1;
  return `${name}-${count}`;
}

/** Says something to those who listen to the page. */
export function announce(text) {
  document.getElementById("live").textContent = text;
}

/** Offers bytes made on the page as a file. */
export function saveFile(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = el("a", { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
