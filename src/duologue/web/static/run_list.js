// The list of runs and its filters. The filters stand in the address, so that a view can be shared and found again.

import { h, text } from "./dom.js";
import { brief, count, duration, plural } from "./format.js";
import { hitLine } from "./search_hits.js";
import { FILTERS } from "./source.js";
import { MARKS, OUTCOMES, WORDS, mark } from "./verdicts.js";
import { VirtualList } from "./virtual_list.js";

export class RunList {
  /**
   * @param {Object} options
   * @param {Source} options.source
   * @param {string} options.id  of the execution
   * @param {Execution} options.execution
   * @param {Object} options.links
   * @param {function(URLSearchParams)} options.changed  somebody has chosen other filters
   */
  constructor({ source, id, execution, links, changed }) {
    Object.assign(this, { source, id, execution, links, changed });
    this.filters = new URLSearchParams();
    this.current = null; // the id of the run that is shown
    this.at = -1;
    this.list = new VirtualList({
      label: "Runs",
      kind: "runs",
      fetch: (range) => this.fetch(range),
      row: (run) => this.item(run),
    });
    this.list.element.id = "runs";
    this.search = this.searchField();
    this.toolbar = h("div.toolbar");
    this.none = h("p.none", { hidden: true }, "No runs match.");
    this.element = h("nav.list", { "aria-label": "Runs" }, this.toolbar, this.none, this.list.element);
  }

  async fetch({ offset, limit }) {
    const further = this.further ? { further: true } : {};
    this.further = false;
    const found = await this.source.runs(this.id, { offset, limit, around: this.current, ...further }, this.filters);
    this.found = found;
    this.at = found.at;
    this.list.element.classList.toggle("with-hits", Boolean(found.searched));
    return { rows: found.runs, total: found.total };
  }

  /** Choose filters and the run that is shown. Resolves when the list is there. */
  async show(filters, current) {
    const same = filters.toString() === this.filters.toString() && this.found;
    const known = same && current ? this.list.indexOf((run) => run.id === current) : -1;
    this.filters = filters;
    this.current = current;
    if (known >= 0) {
      this.at = known;
      this.list.draw(true);
    } else {
      await this.list.load(same ? null : 0);
      if (this.at >= 0 && this.list.element.isConnected) await this.list.load(this.at);
    }
    this.drawToolbar();
  }

  /** The page is left: what was typed last is for nobody. */
  close() {
    clearTimeout(this.typing);
    this.list.detach();
  }

  /** Ask again, because runs have come or changed. Nothing moves. */
  async refresh(execution) {
    this.execution = execution;
    await this.list.load();
    this.drawToolbar();
  }

  /** The run so many rows from the current one; the first where there is none. */
  async neighbour(by) {
    if (!this.list.total) return null;
    const index = this.at < 0 ? 0 : this.at + by;
    if (index < 0 || index >= this.list.total) return null;
    const held = this.list.value(index);
    if (held) return held;
    const found = await this.source.runs(this.id, { offset: index, limit: 1 }, this.filters);
    return found.runs[0] || null;
  }

  item(run) {
    const current = run.id === this.current;
    const about = [
      run.agent || "recording",
      run.persona,
      run.region,
      ...(run.perturbation || []),
      run.trials > 1 ? `#${run.trial}` : null,
    ];
    return h(
      "li",
      null,
      h(
        `a${current ? ".current" : ""}`,
        {
          href: this.links.run(run.id, run.hit?.message),
          "aria-current": current ? "true" : null,
          "data-run": run.id,
          "data-key": run.id,
          title: run.title,
        },
        mark(run.outcome),
        h(
          "span",
          null,
          h("b", null, text(run.scenario)),
          h("small", null, text(about.filter(Boolean).join(" · "))),
          run.hit ? hitLine(run.hit) : null,
        ),
        h("span.time", null, run.outcome === "running" ? "" : duration(run.seconds)),
      ),
    );
  }

  searchField() {
    const search = h("input", {
      type: "search",
      id: "search",
      placeholder: "Search runs and messages  ( / )",
      "aria-label": "Search in runs",
      autocomplete: "off",
      spellcheck: "false",
    });
    search.addEventListener("input", () => {
      clearTimeout(this.typing);
      this.typing = setTimeout(() => this.change("q", search.value.trim()), 180);
    });
    return search;
  }

  change(name, value) {
    const next = new URLSearchParams(this.filters);
    if (value) next.set(name, value);
    else next.delete(name);
    this.changed(next);
  }

  drawToolbar() {
    const wanted = this.filters.get("q") || "";
    if (document.activeElement !== this.search) this.search.value = wanted;
    const pressed = document.activeElement?.dataset?.filter;
    const { total, all } = this.found;
    const active = [...this.filters.keys()].length > 0;
    const clear = h("button.link", { type: "button", onclick: () => this.changed(new URLSearchParams()) }, "Clear");
    const told = active ? `${count(total)} of ${plural(all, "run")}` : plural(all, "run");
    const parts = [
      h("div.chips", null, this.chips()),
      h("div.selects", null, this.selects()),
      h("p.count", { "aria-live": "polite" }, told, active ? clear : null),
      this.searchedSoFar(),
    ].filter(Boolean);
    if (!this.search.isConnected) this.toolbar.prepend(this.search);
    for (const old of [...this.toolbar.children].slice(1)) old.remove();
    this.toolbar.append(...parts);
    this.none.hidden = total > 0;
    this.none.textContent = this.nothing(all);
    if (pressed) this.toolbar.querySelector(`[data-filter="${CSS.escape(pressed)}"]`)?.focus();
  }

  nothing(all) {
    if (!all) return this.execution.running ? "Runs appear here as they end." : "This execution has no runs.";
    const { searched } = this.found;
    return searched && searched.done < searched.of ? "No runs match so far." : "No runs match.";
  }

  // A search in many conversations stops after a while.
  searchedSoFar() {
    const { searched } = this.found;
    if (!searched || searched.done >= searched.of) return null;
    const further = h("button.link", { type: "button", "data-filter": "further", onclick: () => this.searchFurther() });
    further.append("Search further");
    return h("p.count", null, `${count(searched.done)} of ${plural(searched.of, "conversation")} searched. `, further);
  }

  async searchFurther() {
    this.further = true;
    await this.list.load();
    this.drawToolbar();
  }

  chips() {
    const chosen = this.filters.get("outcome")?.split(",") || [];
    const present = OUTCOMES.filter((word) => this.execution.filters.outcome.includes(word));
    const choices = present.length > 1 || chosen.length ? present : [];
    return choices.map((word) => {
      const on = chosen.includes(word);
      const next = on ? chosen.filter((other) => other !== word) : [...chosen, word];
      return h(
        `button.chip.o-${word}`,
        {
          type: "button",
          "aria-pressed": String(on),
          "data-filter": word,
          onclick: () => this.change("outcome", next.join(",")),
        },
        `${MARKS[word]} ${WORDS[word]}`,
      );
    });
  }

  selects() {
    return Object.entries(FILTERS).map(([name, word]) => {
      const values = this.execution.filters[name] || [];
      const chosen = this.filters.get(name);
      if (values.length < 2 && !chosen) return null;
      const options = values.map((value) => h("option", { value, selected: value === chosen }, brief(value, 60)));
      return h(
        "select",
        { "aria-label": word, "data-filter": name, onchange: (event) => this.change(name, event.target.value) },
        h("option", { value: "" }, `any ${word}`),
        options,
      );
    });
  }
}
