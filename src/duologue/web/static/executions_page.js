// The list of executions: verdicts, pass rate with its interval, cost, time, and where each came from.

import { h, text } from "./dom.js";
import { brief, count, duration, money, plural, since, when } from "./format.js";
import { rateBar } from "./intervals.js";
import { morph } from "./morph.js";
import { splitBar } from "./verdicts.js";
import { VirtualList } from "./virtual_list.js";

const STATES = [
  ["pass", "✓ all passed"],
  ["fail", "✗ failed"],
  ["undecided", "? undecided"],
  ["running", "• running"],
  ["interrupted", "– interrupted"],
];
const STATE_TONES = { running: "running", interrupted: "cancelled", unreadable: "error" };
const STATE_WORDS = { running: "running", interrupted: "interrupted", unreadable: "cannot be read" };
const EXITS = { 0: ["pass", "✓ passed"], 1: ["fail", "✗ failed"], 3: ["undecided", "? undecided"] };

/**
 * @param {Object} host
 * @param {Source} host.source
 * @param {Address} host.address
 * @param {Object} host.links  see hostLinks
 * @param {function(Object): Element} host.noExecutions  what an empty list says to do next, given what was found
 * @returns {Promise<Page>}
 */
export async function executionsPage(host, { query }) {
  const page = new ExecutionsPage(host, query);
  await page.list.load();
  return page;
}

class ExecutionsPage {
  constructor(host, query) {
    Object.assign(this, host);
    this.view = "executions";
    this.title = "Executions";
    this.filters = query;
    this.chosen = new Set(); // for a comparison
    this.place = -1;
    this.list = new VirtualList({
      label: "Executions",
      kind: "executions",
      fetch: (range) => this.fetch(range),
      row: (row) => this.item(row),
    });
    this.head = h("header.title", null, h("h1", null, "Executions"));
    this.tools = h("div.filters");
    this.empty = h("div");
    this.element = h(
      "main.page.wide",
      { id: "main", tabindex: "-1" },
      this.head,
      this.tools,
      this.empty,
      this.list.element,
    );
    this.search = this.searchField();
    this.keys = {
      j: () => this.step(1),
      k: () => this.step(-1),
      "/": () => this.search.focus(),
      c: () => this.openComparison(),
    };
    this.help = [
      ["j k", "next and previous execution"],
      ["Enter", "open it"],
      ["/", "search"],
      ["c", "compare the two that are chosen"],
    ];
  }

  async fetch({ offset, limit }) {
    this.found = await this.source.executions({ offset, limit }, this.filters);
    return { rows: this.found.rows, total: this.found.total };
  }

  shown() {
    this.list.attach(document.documentElement);
    this.draw();
  }

  /** Up to which event the page knows what is there. */
  get cursor() {
    return this.found.cursor;
  }

  left() {
    clearTimeout(this.typing);
    this.list.detach();
  }

  async update({ path, query }) {
    if (path.length || !this.found) return false;
    this.filters = query;
    await this.refresh();
    return true;
  }

  async refresh() {
    await this.list.load();
    this.draw();
  }

  draw() {
    const { total, all } = this.found;
    morph(this.head, this.heading());
    this.drawFilters();
    this.tools.hidden = all === 0 && !this.filters.size;
    this.empty.replaceChildren(...this.nothing(total, all));
  }

  heading() {
    const { all, left = 0, folder } = this.found;
    const reading = left ? `, reading ${count(left)} more` : "";
    return h(
      "header.title",
      null,
      h("div", null, h("h1", null, "Executions"), this.compareButton()),
      h(
        "p.facts",
        null,
        folder ? h("span", null, text(folder)) : null,
        all || folder ? h("span", null, `${plural(all, "execution")}${reading}`) : null,
      ),
    );
  }

  // What somebody is about to choose from stays as it is, unless something else can be chosen.
  drawFilters() {
    if (!this.search.isConnected) this.tools.append(this.search);
    if (document.activeElement !== this.search) this.search.value = this.filters.get("q") || "";
    const { states, suites } = this.found;
    const shape = JSON.stringify([[...this.filters], states, suites]);
    if (shape === this.shape) return;
    this.shape = shape;
    const focused = document.activeElement?.dataset?.filter;
    for (const old of [...this.tools.children].slice(1)) old.remove();
    this.tools.append(h("div.chips", null, this.chips()), this.suiteChoice(suites));
    if (focused) this.tools.querySelector(`[data-filter="${CSS.escape(focused)}"]`)?.focus();
  }

  nothing(total, all) {
    if (total) return [];
    if (all || this.filters.size) return [h("p.none", null, "No executions match. ", this.clear())];
    if (this.found.ready === false) return [h("p.none", null, "Looking for results …")];
    return [this.noExecutions(this.found)];
  }

  clear() {
    return h("button.link", { type: "button", onclick: () => this.change(new URLSearchParams()) }, "Clear the filters");
  }

  chips() {
    const state = this.filters.get("state") || "";
    const known = this.found.states;
    return STATES.filter(([value]) => !known || known.includes(value)).map(([value, word]) =>
      h(
        `button.chip.o-${STATE_TONES[value] || value}`,
        {
          type: "button",
          "aria-pressed": String(value === state),
          "data-filter": value,
          onclick: () => this.set("state", value === state ? "" : value),
        },
        word,
      ),
    );
  }

  suiteChoice(suites) {
    const chosen = this.filters.get("suite") || "";
    const only = suites.length === 1 ? suites[0] : "";
    if (suites.length < 2 && !chosen) return only ? h("span.choice", null, this.trendLink(only)) : "";
    const select = h(
      "select",
      { "aria-label": "suite", "data-filter": "suite", onchange: (event) => this.set("suite", event.target.value) },
      h("option", { value: "" }, "any suite"),
      suites.map((suite) => h("option", { value: suite, selected: suite === chosen }, brief(suite, 60))),
    );
    return h("span.choice", null, select, chosen ? this.trendLink(chosen) : null);
  }

  trendLink(suite) {
    return h("a", { href: this.links.trend(suite) }, "Trend of this suite");
  }

  searchField() {
    const search = h("input", {
      type: "search",
      id: "search",
      placeholder: "Search by suite, name, commit or person  ( / )",
      "aria-label": "Search executions",
      autocomplete: "off",
      spellcheck: "false",
    });
    search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.set("q", search.value.trim()), 180);
    });
    return search;
  }

  set(name, value) {
    const next = new URLSearchParams(this.filters);
    if (value) next.set(name, value);
    else next.delete(name);
    this.change(next);
  }

  async change(filters) {
    this.filters = filters;
    this.address.replace(this.links.executions(filters.size ? filters : null));
    await this.list.load(0);
    this.draw();
  }

  compareButton() {
    const [first, second] = this.chosen;
    if (!second) {
      const hint = first ? "Choose one more to compare" : null;
      return hint ? h("span.note", { role: "status" }, hint) : null;
    }
    return h("a.button", { href: this.comparisonLink() }, "Compare the two chosen");
  }

  // The older one first, whichever was chosen first.
  comparisonLink() {
    const rows = [...this.chosen].map((id) => this.list.value(this.list.indexOf((row) => row.id === id)));
    const [first, second] = rows.every(Boolean)
      ? rows.sort((one, other) => (one.started < other.started ? -1 : 1)).map((row) => row.id)
      : [...this.chosen];
    return this.links.compare(first, second);
  }

  openComparison() {
    if (this.chosen.size === 2) this.address.go(this.comparisonLink());
  }

  choose(row, on) {
    if (on) this.chosen.add(row.id);
    else this.chosen.delete(row.id);
    if (this.chosen.size > 2) this.chosen.delete([...this.chosen][0]);
    this.list.draw(true);
    this.draw();
  }

  step(by) {
    const rows = [...this.list.element.querySelectorAll("a.row-link")];
    const at = rows.indexOf(document.activeElement);
    const next = rows[Math.max(0, Math.min(rows.length - 1, at < 0 ? 0 : at + by))];
    next?.focus();
    next?.scrollIntoView({ block: "nearest" });
  }

  item(row) {
    const box = h("input", {
      type: "checkbox",
      checked: this.chosen.has(row.id),
      "aria-label": `Compare ${row.suite}, ${row.name}`,
      "data-key": `box ${row.id}`,
      onchange: (event) => this.choose(row, event.target.checked),
    });
    if (row.state === "unreadable") return this.unreadable(row);
    return h(
      "li",
      null,
      h("span.pick", null, box),
      h(
        "a.row-link",
        { href: this.links.execution(row.id).overview(), "data-key": row.id },
        h("b", null, text(row.suite)),
        h("small", null, text(row.name)),
      ),
      h("span.state", null, statePill(row)),
      h("span.split-cell", null, splitBar(row.totals), h("small", null, casesTold(row.totals))),
      h("span.rate-cell", null, rateBar(row.rate)),
      h("span.n.time", null, duration(row.seconds)),
      h("span.n.cost", null, money(row.cost, row.unpriced)),
      h(
        "span.when",
        { title: when(row.started) },
        h("time", { datetime: row.started }, since(row.started)),
        h("small", null, text([row.commit?.slice(0, 10), row.who].filter(Boolean).join(" · "))),
      ),
    );
  }

  unreadable(row) {
    return h(
      "li.unreadable",
      null,
      h("span.pick"),
      h("span.row-link", null, h("b", null, text(row.name)), h("small", { title: row.problem }, text(row.problem))),
      h("span.state", null, statePill(row)),
    );
  }
}

function casesTold({ cases, passed }) {
  return `${count(passed)} of ${count(cases)} passed`;
}

function statePill(row) {
  const [tone, word] =
    row.state === "ended"
      ? EXITS[row.exit] || ["error", `exit ${row.exit}`]
      : [STATE_TONES[row.state], STATE_WORDS[row.state]];
  return h(`span.pill.o-${tone}`, null, word);
}
