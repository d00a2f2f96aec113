// One application for every host: it finds the page of an address, shows it under the bar, and listens to keys.

import { h, text, visible } from "./dom.js";
import { SourceError } from "./source.js";
import { themeButton } from "./theme.js";

/**
 * @typedef {Object} Page  What a page function returns, at once or as a promise.
 * @property {Element} element  contains an element with the id "main"
 * @property {string} view  which link of the bar is the current one, and a class of the body
 * @property {string} [title]  of the document
 * @property {Array<[string, string, string]>} [tabs]  for the bar: view, address, word
 * @property {Object<string, function()>} [keys]  what keys do on this page
 * @property {Array<[string, string]>} [help]  keys and what they do, for the list of keys
 * @property {function(Place): (boolean|Promise<boolean>)} [update]  show another place without a new page; false: no
 * @property {function()} [shown]  called once the element is in the document
 * @property {function()} [left]  called when another page takes its place
 */

export class App {
  /**
   * @param {Object} options
   * @param {Element} options.root
   * @param {Address} options.address
   * @param {function(Place): ?function(): (Page|Promise<Page>)} options.route  null where no page is
   * @param {Array<[string, string, string]>} [options.links]  that every page has in the bar
   * @param {string} [options.home]
   * @param {function(): Element[]} [options.tools]  what this host has at the end of the bar
   * @param {function(): ?Promise<boolean>} [options.mayLeave]  see Address.listen
   */
  constructor({ root, address, route, links = [], home = null, tools = () => [], mayLeave }) {
    Object.assign(this, { root, address, route, links, home, tools, mayLeave });
    this.page = null;
    this.turn = 0;
    this.banner = h("div.banner", { role: "status", hidden: true });
    this.stage = h("div.stage");
    this.bar = h("header.bar");
    root.replaceChildren(this.bar, this.banner, this.stage);
  }

  start() {
    this.address.listen((back) => this.show(back), this.mayLeave);
    addEventListener("keydown", (event) => this.onKey(event));
    return this.show(false);
  }

  /** Show nothing any more: what the page has opened is closed. */
  close() {
    this.turn += 1;
    this.page?.left?.();
    this.page = null;
    this.closed = true;
  }

  async show(back) {
    if (this.closed) return;
    const turn = ++this.turn;
    const place = this.address.place;
    try {
      if (this.page?.update && (await this.page.update(place, back))) return;
      if (turn !== this.turn) return;
      const route = this.route(place);
      if (!route) throw new SourceError("There is no page at this address.", 404);
      const made = route();
      const page = made instanceof Promise ? await this.whileWaiting(made) : made;
      if (turn !== this.turn) return page.left?.();
      this.put(page);
    } catch (error) {
      if (turn === this.turn) this.put(this.failed(error));
    }
    if (back)
      scrollTo(0, history.state?.scroll || 0); // a page that is shown anew begins at its top
    else scrollTo(0, 0);
  }

  failed(error) {
    const [home, word] = this.home ? [this.home, "All executions"] : ["#/", "Overview"];
    return failedPage(error, () => this.show(false), h("a.button", { href: home }, word));
  }

  async whileWaiting(made) {
    const timer = setTimeout(() => this.stage.classList.add("busy"), 120);
    try {
      return await made;
    } finally {
      clearTimeout(timer);
      this.stage.classList.remove("busy");
    }
  }

  put(page) {
    this.page?.left?.();
    this.page = page;
    if (page.title) document.title = `${visible(page.title)} · Duologue`;
    document.body.className = `view-${page.view}`;
    this.drawBar();
    this.stage.replaceChildren(page.element);
    page.shown?.();
  }

  drawBar() {
    const link = ([view, href, label]) =>
      h("a", { href, "aria-current": view === this.page?.view ? "page" : null }, text(label));
    const tabs = this.page?.tabs || [];
    const between = this.links.length && tabs.length ? h("span.between", { "aria-hidden": "true" }) : null;
    const views = h("nav", { "aria-label": "Views" }, this.links.map(link), between, tabs.map(link));
    const word = this.home ? h("a.word", { href: this.home }, "Duologue") : h("b.word", null, "Duologue");
    this.bar.replaceChildren(
      h("a.skip", { href: "#main", onclick: skip }, "Skip to content"),
      word,
      views,
      ...this.tools().filter(Boolean),
      h("button.help", { type: "button", title: "Keys", "aria-label": "Keys", onclick: () => this.showKeys() }, "?"),
      themeButton(),
    );
    if (matchMedia("(max-width: 800px)").matches) showCurrent(views);
  }

  /** Say something about the connection until it is better; null takes it away. */
  say(message, tone = "undecided") {
    this.banner.hidden = message === null;
    this.banner.className = `banner o-${tone}`;
    this.banner.replaceChildren(...(message === null ? [] : text(message)));
  }

  onKey(event) {
    if (this.closed || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const focused = document.activeElement;
    if (/^(INPUT|SELECT|TEXTAREA)$/.test(focused?.tagName || "") || focused?.isContentEditable) {
      if (event.key === "Escape") focused.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    const keys = { "?": () => this.showKeys(), ...this.page?.keys };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }

  showKeys() {
    const rows = [...(this.page?.help || []), ["?", "show this list"], ["Esc", "leave a field or this list"]];
    const close = h("button.more", { type: "button" }, "Close");
    const dialog = h(
      "dialog.keys",
      { "aria-labelledby": "keys-title" },
      h("h2", { id: "keys-title" }, "Keys"),
      h(
        "dl",
        null,
        rows.map(([keys, word]) =>
          h(
            "div",
            null,
            h(
              "dt",
              null,
              keys.split(" ").map((key) => h("kbd", null, key)),
            ),
            h("dd", null, word),
          ),
        ),
      ),
      close,
    );
    close.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => dialog.remove());
    document.body.append(dialog);
    dialog.showModal();
  }
}

function skip(event) {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function failedPage(error, again, home) {
  const title = error.status === 404 ? "Not found" : "This page could not be loaded";
  const button = error.status === 404 ? null : h("button.button", { type: "button", onclick: again }, "Try again");
  const element = h(
    "main.page.empty",
    { id: "main", tabindex: "-1" },
    h("h1", null, title),
    h("p", null, text(error.message || error)),
    h("p.actions", null, button, home),
  );
  if (error.name !== "SourceError") console.error(error); // a mistake of ours
  return { element, view: "failed", title };
}

// Where the links do not fit, the one that leads here is in sight, with those beside it.
function showCurrent(views) {
  const current = views.querySelector("[aria-current]");
  if (current) views.scrollLeft = current.offsetLeft - views.offsetLeft - (views.clientWidth - current.offsetWidth) / 2;
}
