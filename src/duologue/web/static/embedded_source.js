// The source of a report file: everything is in the page already, so every promise is kept at once.

import { FILTERS, SourceError } from "./source.js";

export class EmbeddedSource {
  /** @param {Object} data  what duologue.reports.html.data.page_data made */
  constructor(data) {
    this.data = data;
    this.byId = new Map(data.runs.map((run) => [run.id, run]));
    this.searched = new Map();
    if (data.calls) this.calls = async (id, runId) => data.calls[runId] || [];
    if (data.comparison) this.compare = async () => data.comparison;
  }

  async execution() {
    return this.data;
  }

  async matrix(id, { offset, limit }) {
    return (this.data.allRows || this.data.matrix.rows).slice(offset, offset + limit);
  }

  async figures() {
    return { agents: this.data.agents };
  }

  async runs(id, { offset, limit, around }, filters) {
    const found = this.matching(filters);
    const at = around ? found.indexOf(this.byId.get(around)) : -1;
    const first = Math.max(0, offset);
    return {
      runs: found.slice(first, first + limit),
      offset: first,
      total: found.length,
      all: this.data.runs.length,
      at,
    };
  }

  async run(id, runId) {
    const run = this.byId.get(runId);
    if (!run) throw new SourceError("This report has no such run.", 404);
    return { ...run, prompts: run.prompts.map((number) => this.data.prompts[number]) };
  }

  async trials(id, runId) {
    const { group } = this.byId.get(runId);
    const runs = this.data.runs.filter((other) => other.group === group);
    return { passRate: this.data.passRates[group], runs };
  }

  matching(filters) {
    const outcomes = filters.get("outcome")?.split(",");
    const words = (filters.get("q") || "").toLowerCase().trim();
    return this.data.runs.filter((run) => {
      if (outcomes && !outcomes.includes(run.outcome)) return false;
      for (const name of Object.keys(FILTERS)) {
        const wanted = filters.get(name);
        if (wanted && !(name === "tag" ? run.tags.includes(wanted) : run[name] === wanted)) return false;
      }
      return !words || this.haystack(run).includes(words);
    });
  }

  // What a search looks through, made when it is first needed.
  haystack(run) {
    if (!this.searched.has(run)) {
      const parts = [
        run.title,
        run.id,
        run.reason,
        run.description,
        ...run.tags,
        ...run.checks.map((item) => item.name),
        ...run.messages.map((message) => message.text.slice(0, 20000)),
      ];
      this.searched.set(run, parts.join("\n").toLowerCase());
    }
    return this.searched.get(run);
  }
}
