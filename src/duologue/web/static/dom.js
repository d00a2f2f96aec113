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

// A long text, cut until somebody asks for the rest; a megabyte would make the page slow for everybody else.
export function longText(value, tag = "div.said") {
  const whole = String(value ?? "");
  if (whole.length <= LONG) return h(tag, { dir: "auto" }, text(whole));
  const box = h(tag, { dir: "auto" }, text(whole.slice(0, LONG)), "…");
  const more = h("button.more", { type: "button" }, `Show all ${count(whole.length)} characters`);
  more.addEventListener("click", () => {
    box.replaceChildren();
    append(box, text(whole));
    more.remove();
  });
  return h("div", null, box, more);
}
