// How values look, and how elements are made and brought up to date.

const NONE = "\u2013";
const plain = new Intl.NumberFormat("en-US");

function count(n) { return n == null ? NONE : plain.format(n).replaceAll(",", "\u202f"); }

// Three digits, in units of 1024.
function bytes(n) {
  if (n == null) return NONE;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let i = 0;
  while (Math.abs(n) >= 999.5 && i < units.length - 1) { n /= 1024; i++; }
  return `${i === 0 || n >= 99.95 ? n.toFixed(0) : n >= 9.995 ? n.toFixed(1) : n.toFixed(2)}\u00a0${units[i]}`;
}

function short(n) {
  const units = ["", "\u00a0k", "\u00a0M", "\u00a0G", "\u00a0T"];
  let i = 0;
  while (Math.abs(n) >= 999.5 && i < units.length - 1) { n /= 1000; i++; }
  return `${i === 0 || n >= 99.95 ? n.toFixed(0) : n.toFixed(1)}${units[i]}`;
}

function seconds(s) {
  if (s == null) return NONE;
  if (s < 0.9995) return `${Math.round(s * 1000)}\u00a0ms`;
  if (s < 59.95) return `${s.toFixed(s < 9.995 ? 2 : 1)}\u00a0s`;
  const whole = Math.round(s), two = (n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}\u00a0min`;
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}\u00a0h`;
}

function percent(part, whole) {
  if (!whole) return NONE;
  const share = (100 * part) / whole;
  // All is only said of all.
  const rounded = part < whole ? Math.min(99, Math.round(share)) : Math.round(share);
  return `${share >= 9.95 || share === 0 ? rounded : share.toFixed(1)}\u00a0%`;
}

function made(space, name, attributes, children) {
  const node = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value == null || value === false) continue;
    if (key === "style") Object.assign(node.style, value);
    else node.setAttribute(key, value === true ? "" : value);
  }
  // Text is only ever set as text, so that no name or message is taken for markup.
  node.append(...children.flat(3).filter((child) => child != null && child !== false));
  return node;
}

const h = (name, attributes, ...children) => made("http://www.w3.org/1999/xhtml", name, attributes, children);
const s = (name, attributes, ...children) => made("http://www.w3.org/2000/svg", name, attributes, children);

// Makes `old` look like `fresh`, and keeps what is the same: focus, selection and scrolling stay.
function morph(old, fresh) {
  for (const { name } of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !(name === "open" && old.localName === "details")) old.removeAttribute(name);
  }
  for (const { name, value } of [...fresh.attributes]) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const left = [...fresh.childNodes];
  left.forEach((child, i) => {
    const there = old.childNodes[i];
    if (!there) old.append(child);
    else if (there.nodeName !== child.nodeName || there.id !== child.id) there.replaceWith(child);
    else if (child.nodeType === Node.ELEMENT_NODE) morph(there, child);
    else if (there.data !== child.data) there.data = child.data;
  });
  while (old.childNodes.length > left.length) old.lastChild.remove();
}

// Brings a section up to date; one without content is not there.
function fill(id, title, ...content) {
  const old = document.getElementById(id);
  const fresh = old.cloneNode(false);
  const shown = content.flat().filter(Boolean);
  fresh.hidden = shown.length === 0;
  if (shown.length) fresh.append(h("h2", { id: `${id}-title` }, title), ...shown);
  morph(old, fresh);
}

// `columns` are [title, whether it is a number]; `rows` are cells, the first of which names the row.
function table(label, columns, rows, more = {}) {
  const cell = (content, i) => h(i === (more.names || 0) ? "th" : "td",
    { class: columns[i][1] ? "n" : columns[i][2], scope: i === (more.names || 0) ? "row" : null }, content);
  return h("div", { class: `scroll ${more.sheet === false ? "" : "sheet"}`, tabindex: rows.length ? "0" : null, role: "group", "aria-label": label },
    h("table", { class: more.tight ? "tight" : null },
      h("caption", { class: "hidden" }, label),
      h("thead", {}, h("tr", {}, columns.map(([title, number]) => h("th", { class: number ? "n" : null, scope: "col" }, title)))),
      h("tbody", {}, rows.map((cells, r) => h("tr", { "data-row": more.keys ? more.keys[r] : null }, cells.map(cell))))));
}

const swatch = (number) => h("span", { class: "swatch", style: { background: colour(number) } });
const colour = (number) => `var(--s${number % 8})`;
const bar = (share) => h("span", { class: "bar", "aria-hidden": "true" }, h("i", { style: { width: `${Math.min(100, 100 * share)}%` } }));
