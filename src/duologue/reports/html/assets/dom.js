// Elements, text and numbers. All text of the results goes onto the page through text(): it is never read as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const MARKS = { pass: "✓", fail: "✗", undecided: "?", error: "!", cancelled: "–", skipped: "–" };
const WORDS = { pass: "passed", fail: "failed", undecided: "undecided", error: "error", cancelled: "cancelled" };
const OUTCOMES = Object.keys(WORDS);
const SVG = "http://www.w3.org/2000/svg";

// Characters that are not seen, or that turn round what is: they are shown by name.
const UNSEEN = new RegExp(
  [
    "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u061c\\u200b\\u200e\\u200f\\u2028-\\u202e]",
    "[\\u2060-\\u206f\\ufeff\\ufff9-\\ufffb\\ufffe\\uffff\\u{e0000}-\\u{e007f}]",
  ].join("|"),
  "gu",
);
const NAMES = { 0: "NUL", 7: "BEL", 8: "BS", 13: "CR", 27: "ESC", 127: "DEL", 0xfeff: "BOM" };
const LONG = 6000;

function named(character) {
  const code = character.codePointAt(0);
  return NAMES[code] || "U+" + code.toString(16).toUpperCase().padStart(4, "0");
}

// A text as nodes: plain text, with a badge for each character that would not be seen.
function text(value) {
  const whole = String(value ?? "").replaceAll("\r\n", "\n");
  const nodes = [];
  let from = 0;
  for (const match of whole.matchAll(UNSEEN)) {
    if (match.index > from) nodes.push(whole.slice(from, match.index));
    nodes.push(h("span.unseen", { title: "a character that is not seen" }, raw(named(match[0]))));
    from = match.index + match[0].length;
    if (nodes.length > 4000) break;
  }
  nodes.push(whole.slice(from));
  return nodes;
}

// Text of this page itself, which needs no look at its characters.
function raw(value) {
  return document.createTextNode(value);
}

function append(element, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : raw(String(child)));
  }
  return element;
}

// h("a.link.more", {href: "#/"}, "text", node, ...)
function h(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  return append(element, children);
}

function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, String(value));
  return append(element, children);
}

// A long text, cut until somebody asks for the rest; a megabyte would make the page slow for everybody else.
function longText(value, tag = "div.said") {
  const whole = String(value ?? "");
  if (whole.length <= LONG) return h(tag, { dir: "auto" }, text(whole));
  const box = h(tag, { dir: "auto" }, text(whole.slice(0, LONG)), "…");
  const more = h("button.more", { type: "button" }, `Show all ${count(whole.length)} characters`);
  more.addEventListener("click", () => {
    box.replaceChildren(...text(whole).map((node) => (node instanceof Node ? node : raw(node))));
    more.remove();
  });
  return h("div", null, box, more);
}

function count(number) {
  return Number(number).toLocaleString("en-US");
}

function plural(number, word) {
  return `${count(number)} ${word}${number === 1 ? "" : "s"}`;
}

function money(dollars, unpriced) {
  const digits = dollars >= 10 || !dollars ? 2 : 4;
  return "$" + dollars.toFixed(digits).replace(/\B(?=(\d{3})+(?!\d)(?=.*\.))/g, ",") + (unpriced ? "+" : "");
}

function duration(seconds) {
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}

function bytes(size) {
  if (size < 1024) return `${size} B`;
  return size < 1048576 ? `${(size / 1024).toFixed(1)} KB` : `${(size / 1048576).toFixed(1)} MB`;
}

function percent(rate) {
  if (rate === null || rate === undefined) return "–";
  const whole = rate * 100; // "100 %" is said of all and "0 %" of none
  if ((whole > 0 && whole < 1) || (whole > 99 && whole < 100)) {
    return `${Math.min(Math.max(whole, 0.1), 99.9).toFixed(1)} %`;
  }
  return `${Math.round(whole)} %`;
}

function when(stamp) {
  const date = new Date(stamp);
  return Number.isNaN(date.getTime()) ? stamp : date.toISOString().replace("T", " ").slice(0, 16) + " UTC";
}

function mark(outcome, label) {
  const word = WORDS[outcome] || outcome;
  return h(
    `span.mark.o-${outcome.replace(" ", "-")}`,
    { role: "img", "aria-label": label || word, title: word },
    MARKS[outcome] || "·",
  );
}

function pill(outcome) {
  return h(`span.pill.o-${outcome}`, null, `${MARKS[outcome] || ""} ${WORDS[outcome] || outcome}`);
}

function runLink(run, message) {
  return `#/run/${encodeURIComponent(run.id)}${message ? "/" + encodeURIComponent(message) : ""}`;
}

function cites(run, ids) {
  const known = new Set(run.messages.map((message) => message.id));
  return (ids || []).map((id) =>
    known.has(id)
      ? h("a.cite", { href: runLink(run, id), title: "Show this message" }, text(id))
      : h("span.cite.gone", { title: "This message is not in the conversation" }, text(id)),
  );
}

function pretty(value) {
  if (typeof value !== "string") return JSON.stringify(value, null, 2) ?? "";
  try {
    const parsed = JSON.parse(value);
    if (typeof parsed !== "object" || parsed === null) return value;
    return value.length <= 80 && !value.includes("\n") ? value : JSON.stringify(parsed, null, 2);
  } catch {
    return value;
  }
}
