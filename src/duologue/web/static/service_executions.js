// The list of executions with its filters, and the trend of one suite.

import { h, text } from "./dom.js";
import { count, duration, money, plural, when } from "./format.js";
import { rateText } from "./rates.js";
import { trendChart } from "./trend.js";
import { mark, splitBar } from "./verdicts.js";
import { VirtualList } from "./virtual_list.js";

const EXITS = { 0: "pass", 1: "fail", 3: "undecided", 130: "cancelled" };
const POLL = 3000; // milliseconds, while something runs

/**
 * @param {Object} context
 * @param {Source} context.source
 * @param {Address} context.address
 * @param {function(): Element} [context.noExecutions]  what an empty list says to do
 * @param {Element[]} [context.listTools]  buttons beside the title
 */
export async function executionsPage(context, place) {
  const page = new ExecutionsPage(context, place.query);
  await page.load();
  return page;
}

class ExecutionsPage {
  constructor(context, query) {
    Object.assign(this, context);
    this.context = context;
    this.filters = new URLSearchParams(query);
    this.view = "executions";
    this.title = "Executions";
    this.chosen = new Set();
    this.list = new VirtualList({
      label: "Executions",
      kind: "launches",
      fetch: (range) => this.fetch(range),
      row: (row) => this.row(row),
    });
    this.search = h("input", {
      type: "search",
      id: "search",
      placeholder: "Search executions  ( / )",
      "aria-label": "Search executions",
      value: this.filters.get("q") || "",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.filter("q", this.search.value.trim()), 180);
    });
    this.suites = h("select", { "aria-label": "Suite", onchange: (event) => this.filter("suite", event.target.value) });
    this.states = h(
      "select",
      { "aria-label": "State", onchange: (event) => this.filter("state", event.target.value) },
      [
        ["", "all"],
        ["running", "running"],
        ["ended", "ended"],
      ].map(([value, word]) => h("option", { value, selected: value === (this.filters.get("state") || "") }, word)),
    );
    this.trend = h("div.trend-place");
    this.none = h("p.none", { hidden: true, role: "status" }, "No execution matches.");
    this.compare = h("a.button", { hidden: true, href: "#" }, "Compare");
    this.toolbar = h("div.toolbar.plain", null, this.search, this.suites, this.states, this.compare);
    this.body = h("div");
    this.element = h(
      "main.page",
      { id: "main", tabindex: "-1" },
      h(
        "header.title",
        null,
        h("div", null, h("h1", null, "Executions"), h("div.tools", null, this.listTools?.(context))),
      ),
      this.body,
    );
    this.keys = { "/": () => this.search.focus(), j: () => this.step(1), k: () => this.step(-1) };
    this.help = [
      ["j", "next execution"],
      ["k", "previous execution"],
      ["Enter", "open it"],
      ["/", "search"],
    ];
  }

  async load() {
    const found = await this.list.load(0);
    if (!this.found.all) {
      this.body.replaceChildren(
        this.noExecutions ? this.noExecutions(this.context) : h("p.none", null, "There is no execution yet."),
      );
      return;
    }
    this.body.replaceChildren(this.toolbar, this.trend, this.none, this.list.element);
    this.drawFilters(found.total);
    await this.drawTrend();
  }

  async fetch({ offset, limit }) {
    this.found = await this.source.executions({ offset, limit }, this.filters);
    return { rows: this.found.rows, total: this.found.total };
  }

  drawFilters(total) {
    this.none.hidden = total > 0;
    const suite = this.filters.get("suite") || "";
    const { suites = [] } = this.found;
    this.suites.replaceChildren(
      h("option", { value: "" }, "all suites"),
      ...suites.map((name) => h("option", { value: name, selected: name === suite }, text(name))),
    );
    this.suites.hidden = suites.length < 2 && !suite;
  }

  async drawTrend() {
    const { suites = [] } = this.found;
    const suite = this.filters.get("suite") || (suites.length === 1 ? suites[0] : null);
    if (!suite || !this.source.trend) return this.trend.replaceChildren();
    const { rows } = await this.source.trend(suite);
    const href = (row) => this.address.href(["executions", row.id]);
    return this.trend.replaceChildren(trendChart(rows, href) || "");
  }

  async filter(name, value) {
    if (value) this.filters.set(name, value);
    else this.filters.delete(name);
    const query = [...this.filters].length ? this.filters : null;
    this.address.replace(this.address.href([], query));
    const { total } = await this.list.load(0);
    this.drawFilters(total);
    await this.drawTrend();
  }

  row(row) {
    const href = this.address.href(["executions", row.id]);
    const outcome = row.state === "running" ? "running" : row.problem ? "error" : EXITS[row.exit] || "error";
    const { totals } = row;
    const box = h("input", {
      type: "checkbox",
      "aria-label": `Compare ${row.suite}, ${row.name}`,
      checked: this.chosen.has(row.id),
      "data-key": `box-${row.id}`,
      onchange: (event) => this.choose(row.id, event.target.checked),
    });
    return h(
      "li.launch",
      null,
      box,
      mark(outcome),
      h("span.who", null, h("a.name", { href, "data-key": row.id }, text(row.suite)), h("small", null, text(row.name))),
      h(
        "span.bar-of",
        null,
        splitBar(totals),
        h(
          "small",
          null,
          totals.not_run
            ? `${count(totals.runs - totals.not_run)} of ${plural(totals.runs, "run")}`
            : plural(totals.runs, "run"),
        ),
      ),
      h("span.rate", null, rateText(row.rate)),
      h(
        "span.facts",
        null,
        h("span", null, when(row.started)),
        h("span", null, duration(row.seconds)),
        row.cost ? h("span", null, money(row.cost, row.unpriced)) : null,
        row.commit ? h("span", null, h("code", null, text(row.commit.slice(0, 9)))) : null,
      ),
    );
  }

  choose(id, there) {
    if (there) this.chosen.add(id);
    else this.chosen.delete(id);
    const [first, second] = [...this.chosen].sort((one, other) => Number(one) - Number(other));
    this.compare.hidden = this.chosen.size !== 2;
    if (second) this.compare.href = this.links.compare(first, second);
  }

  step(by) {
    const links = [...this.list.element.querySelectorAll("a.name")];
    const at = links.indexOf(document.activeElement);
    links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))]?.focus();
  }

  shown() {
    this.list.attach(this.element);
    this.poll = setInterval(() => this.look(), POLL);
  }

  left() {
    clearInterval(this.poll);
    this.list.detach();
  }

  // What runs is looked at again; nothing else changes by itself.
  async look() {
    if (document.visibilityState === "hidden" || this.looking) return;
    this.looking = true;
    try {
      if (this.found.all) await this.list.load();
      else await this.load();
    } catch {
      // the page says that the connection is lost
    } finally {
      this.looking = false;
    }
  }
}
