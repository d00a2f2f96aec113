// Elements and text. All text of results goes onto the page through text(): it is never read as markup.

import { count } from "./format.js";

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
const PIECE = 1_000_000;
const READ = new Set(["title", "aria-label", "alt", "placeholder"]); // attributes that people read

function named(character) {
  const code = character.codePointAt(0);
  return NAMES[code] || "U+" + code.toString(16).toUpperCase().padStart(4, "0");
}

// The same as a plain string, for where no badge can be: names in charts, choices, tooltips, titles.
export function visible(value) {
  return String(value ?? "").replace(UNSEEN, (character) => `‹${named(character)}›`);
}

// A text as nodes: plain text, with a badge for each character that would not be seen.
export function text(value) {
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

export function append(element, children) {
  for (const child of children.flat(3)) {
    if (child === null || child === undefined || child === false || child === "") continue;
    element.append(child instanceof Node ? child : raw(visible(child)));
  }
  return element;
}

// h("a.link.more", {href: "#/"}, "text", node, ...)
export function h(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const element = document.createElement(tag);
  if (classes.length) element.className = classes.join(" ");
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : READ.has(name) ? visible(value) : String(value));
  }
  return append(element, children);
}

export function svg(tag, attributes, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes || {})) element.setAttribute(name, String(value));
  return append(element, children);
}

// Where a text may be cut: not within a character of two parts.
function between(whole, at) {
  if (at >= whole.length) return whole.length;
  return /^[\udc00-\udfff]/.test(whole[at]) ? at - 1 : at;
}

// A long text, cut until somebody asks for more; megabytes at once would keep the page from answering for a while.
export function longText(value, tag = "div.said") {
  const whole = String(value ?? "");
  if (whole.length <= LONG) return h(tag, { dir: "auto" }, text(whole));
  let shown = between(whole, LONG);
  const box = h(tag, { dir: "auto" }, text(whole.slice(0, shown)), "…");
  const more = h("button.more", { type: "button" });
  const name = () => {
    const left = whole.length - shown;
    more.textContent =
      left <= PIECE
        ? `Show all ${count(whole.length)} characters`
        : `Show ${count(PIECE)} more of ${count(whole.length)} characters`;
  };
  more.addEventListener("click", () => {
    const from = shown;
    shown = between(whole, shown + PIECE);
    box.lastChild.remove();
    append(box, [text(whole.slice(from, shown)), shown < whole.length ? "…" : null]);
    if (shown < whole.length) name();
    else more.remove();
  });
  name();
  return h("div", null, box, more);
}
