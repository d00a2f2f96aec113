// A list of any length that holds only the rows near what is seen, and asks for them page by page.

import { h } from "./dom.js";

const PAGE = 100;
const KEPT = 12; // pages
const BEYOND = 12; // rows above and below what is seen

export class VirtualList {
  /**
   * @param {Object} options
   * @param {string} options.label  for those who do not see the list
   * @param {string} options.kind  a class of the list; its rows are `--row` high
   * @param {function({offset: number, limit: number}): Promise<{rows: Object[], total: number}>} options.fetch
   * @param {function(Object, number): Element} options.row  makes the list item of a row
   */
  constructor({ label, kind, fetch, row }) {
    Object.assign(this, { fetch, row });
    this.element = h(`ol.virtual.${kind}`, { "aria-label": label, role: "list" });
    this.pages = new Map();
    this.asked = new Set();
    this.total = 0;
    this.generation = 0;
    this.drawn = "";
    this.items = new Map(); // place -> {value, item}: the rows that are there
    this.onScroll = () => this.draw();
  }

  /** Call it when the element is in the document. scroller: what scrolls it, besides the window. */
  attach(scroller) {
    this.scroller = scroller;
    scroller.addEventListener("scroll", this.onScroll, { passive: true });
    addEventListener("scroll", this.onScroll, { passive: true });
    addEventListener("resize", this.onScroll, { passive: true });
    this.draw(true);
  }

  detach() {
    this.scroller?.removeEventListener("scroll", this.onScroll);
    removeEventListener("scroll", this.onScroll);
    removeEventListener("resize", this.onScroll);
  }

  /** Ask again for what is seen; rows stay where they are until the answer is there. */
  async load(offset = null) {
    const generation = ++this.generation;
    const first = this.pageOf(offset ?? this.range()[0]);
    const found = await this.fetch({ offset: first * PAGE, limit: PAGE });
    if (generation !== this.generation) return found;
    this.asked.clear();
    this.pages = new Map([[first, found.rows]]);
    this.total = found.total;
    this.draw(true);
    return found;
  }

  get rowHeight() {
    const unit = parseFloat(getComputedStyle(document.documentElement).fontSize);
    return unit * parseFloat(getComputedStyle(this.element).getPropertyValue("--row") || "3");
  }

  /** The row at a place, if it is loaded. */
  value(index) {
    return this.pages.get(this.pageOf(index))?.[index % PAGE];
  }

  /** The place of a loaded row; -1 if there is none. */
  indexOf(matches) {
    for (const [page, rows] of this.pages) {
      const index = rows.findIndex(matches);
      if (index >= 0) return page * PAGE + index;
    }
    return -1;
  }

  pageOf(index) {
    return Math.max(0, Math.floor(index / PAGE));
  }

  // From the first to behind the last row that is to be there.
  range() {
    if (!this.element.isConnected) return [0, PAGE];
    const box = this.element.getBoundingClientRect();
    const frame = this.scroller?.getBoundingClientRect() || { top: 0, bottom: innerHeight };
    const height = this.rowHeight;
    const top = Math.max(0, frame.top, 0) - box.top;
    const bottom = Math.min(innerHeight, frame.bottom) - box.top;
    const first = Math.max(0, Math.floor(top / height) - BEYOND);
    return [Math.min(first, Math.max(0, this.total - 1)), Math.min(this.total, Math.ceil(bottom / height) + BEYOND)];
  }

  /** Draw what is seen. anew: rows that are there already as well, because they may look different now. */
  draw(anew = false) {
    const [first, last] = this.range();
    const key = `${first}-${last}-${this.total}`;
    if (!anew && key === this.drawn) return;
    this.drawn = key;
    const height = this.rowHeight;
    const focused = this.element.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const items = new Map();
    for (let index = first; index < last; index++) {
      const value = this.value(index);
      const before = anew ? null : this.items.get(index);
      const item = before && before.value === value ? before.item : this.item(value, index);
      item.setAttribute("aria-setsize", this.total);
      items.set(index, { value, item });
    }
    this.items = items;
    this.element.style.paddingTop = `${first * height}px`;
    this.element.style.paddingBottom = `${Math.max(0, this.total - last) * height}px`;
    this.place([...items.values()].map(({ item }) => item));
    if (focused && !this.element.contains(document.activeElement))
      this.element.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus({ preventScroll: true });
    for (let page = this.pageOf(first); page <= this.pageOf(Math.max(first, last - 1)); page++) this.want(page);
  }

  item(value, index) {
    const item = value ? this.row(value, index) : h("li.waiting", { "aria-hidden": "true" });
    item.setAttribute("aria-posinset", index + 1);
    return item;
  }

  // Rows that stay are not touched, so that they keep focus and a click that has begun.
  place(items) {
    const wanted = new Set(items);
    for (const item of [...this.element.children]) if (!wanted.has(item)) item.remove();
    let at = this.element.firstChild;
    for (const item of items) {
      if (item === at) at = at.nextSibling;
      else this.element.insertBefore(item, at);
    }
  }

  async want(page) {
    if (this.pages.has(page) || this.asked.has(page) || page * PAGE >= this.total) return;
    this.asked.add(page);
    const generation = this.generation;
    try {
      const { rows } = await this.fetch({ offset: page * PAGE, limit: PAGE });
      if (generation !== this.generation) return;
      this.pages.set(page, rows);
      for (const old of this.pages.keys()) {
        if (this.pages.size <= KEPT) break;
        if (Math.abs(old - page) > 2) this.pages.delete(old);
      }
      this.drawn = "";
      this.draw();
    } catch (error) {
      console.warn(error); // its rows wait, and are asked for again when the list is drawn
    } finally {
      this.asked.delete(page);
    }
  }

  /** Scroll so that a row is seen. */
  reveal(index) {
    if (index < 0) return;
    const height = this.rowHeight;
    const scrolls = this.scroller && this.scroller.scrollHeight > this.scroller.clientHeight + 1;
    if (!scrolls) return this.draw(true);
    const frame = this.scroller.getBoundingClientRect();
    const head = this.scroller.querySelector(".toolbar")?.offsetHeight || 0;
    const top = this.element.getBoundingClientRect().top - frame.top + index * height;
    if (top < head) this.scroller.scrollTop += top - head;
    else if (top + height > frame.height) this.scroller.scrollTop += top + height - frame.height;
    this.draw(true);
  }
}
