// Elements and text. All text of results goes onto the page through text(): it is never read as markup.

import { count } from "./format.js";

const SVG = "http://www.w3.org/2000/svg";

// Characters that are not seen, or that turn round what is: they are shown by name. terminal_text.py has the same ones.
const CHARACTERS = [
  "[\\u0000-\\u0008\\u000b-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e]",
  "[\\u200b\\u200e\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164\\ud800-\\udfff\\ufeff\\uffa0\\ufff0-\\ufffb]",
  "[\\ufffe\\uffff\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}\\u{e0000}-\\u{e0fff}]",
].join("|");
const UNSEEN = new RegExp(CHARACTERS, "gu");
const UNSEEN_RUNS = new RegExp(`(${CHARACTERS})\\1{3,}|${CHARACTERS}`, "gu"); // many of the same are one badge
const NAMES = { 0: "NUL", 7: "BEL", 8: "BS", 13: "CR", 27: "ESC", 127: "DEL", 0xfeff: "BOM" };
const LONG = 6000; // characters of a text that are shown before somebody asks for more
const PIECE = 1_000_000; // characters that are shown at once when somebody does
const MOST = 20_000; // characters of a text where nobody can ask for more
const BADGES = 1000; // nodes of a text; what follows is named in the text itself
const READ = new Set(["title", "aria-label", "alt", "placeholder"]); // attributes that people read

function named(character) {
  const code = character.codePointAt(0);
  return NAMES[code] || "U+" + code.toString(16).toUpperCase().padStart(4, "0");
}

// The same as a plain string, for where no badge can be: names in charts, choices, tooltips, titles.
export function visible(value) {
  return String(value ?? "").replace(UNSEEN, (character) => `‹${named(character)}›`);
}

// A text as nodes: plain text, with a badge for each character that would not be seen. Of very long ones only the
// beginning is there, because a page with megabytes does not answer: see longText() for those that people may need.
export function text(value) {
  const whole = String(value ?? "");
  if (whole.length <= MOST) return nodesOf(whole);
  return [...nodesOf(whole.slice(0, between(whole, MOST))), `… (${count(whole.length)} characters)`];
}

function nodesOf(value) {
  const whole = value.replaceAll("\r\n", "\n");
  const nodes = [];
  let from = 0;
  for (const match of whole.matchAll(UNSEEN_RUNS)) {
    if (nodes.length > BADGES) break;
    if (match.index > from) nodes.push(whole.slice(from, match.index));
    const [character] = match[0];
    const times = match[0].length / character.length;
    const name = times > 1 ? `${named(character)} × ${count(times)}` : named(character);
    nodes.push(h("span.unseen", { title: "an invisible character" }, raw(name)));
    from = match.index + match[0].length;
  }
  if (from < whole.length) nodes.push(nodes.length > BADGES ? visible(whole.slice(from)) : whole.slice(from));
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

/**
 * A text of any length, cut until somebody asks for more; all of it can be copied and downloaded.
 * @param {?string} value
 * @param {string} [tag]  the element that holds it
 */
export function longText(value, tag = "div.said") {
  const whole = String(value ?? "");
  if (whole.length <= LONG) return h(tag, { dir: "auto" }, nodesOf(whole));
  let shown = between(whole, LONG);
  const box = h(tag, { dir: "auto" }, nodesOf(whole.slice(0, shown)), "…");
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
    append(box, [nodesOf(whole.slice(from, shown)), shown < whole.length ? "…" : null]);
    if (shown < whole.length) return name();
    more.nextElementSibling.focus(); // which was on the button that goes
    return more.remove();
  });
  name();
  const made = h("div.long", null, box, h("p.more-of-it", null, more, copyButton(whole), downloadButton(whole)));
  made.whole = whole; // see morph.js
  return made;
}

function copyButton(whole) {
  if (!navigator.clipboard) return null; // over HTTP, from another machine
  const button = h("button.link", { type: "button" }, "Copy");
  button.addEventListener("click", async () => {
    const done = await navigator.clipboard.writeText(whole).then(
      () => "Copied",
      () => "Not copied: the browser does not allow it",
    );
    button.textContent = done;
  });
  return button;
}

function downloadButton(whole) {
  const button = h("button.link", { type: "button" }, "Download");
  button.addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([whole], { type: "text/plain" }));
    h("a", { href: address, download: "text.txt" }).click();
    setTimeout(() => URL.revokeObjectURL(address), 60_000);
  });
  return button;
}
