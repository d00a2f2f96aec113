// Tables of any width: they scroll by themselves, also by keyboard, and the page does not.

import { h } from "./dom.js";

/**
 * A region that scrolls sideways where what it holds is wider than the page.
 * @param {string} label what it holds, for people who do not see it
 * @param {Node} content
 */
export function scrollable(label, content) {
  return h("div.scroll", { tabindex: "0", role: "region", "aria-label": label }, content);
}

/**
 * A table with a head that scrolls where it is too wide.
 * @param {string} label what it shows
 * @param {(string|Node)[]} head words, or cells that are made already
 * @param {Node[]} rows
 * @param {string} kind the element, with its classes
 */
export function table(label, head, rows, kind = "table.trials") {
  const cells = head.map((cell) => (typeof cell === "string" ? h("th", { scope: "col" }, cell) : cell));
  return scrollable(label, h(kind, null, h("thead", null, h("tr", null, cells)), h("tbody", null, rows)));
}
