// The source of a report file: everything is in the page already, so every promise is kept at once.

import { findHit } from "./search_hits.js";
import { FILTERS, SourceError } from "./source.js";

export class EmbeddedSource {
  /** @param {Object} data  what duologue.reports.html.data.page_data made */
  constructor(data) {
    this.data = data;
    this.byId = new Map(data.runs.map((run) => [run.id, run]));
    this.searched = new Map();
    if (data.calls) this.calls = async (id, runId) => (Object.hasOwn(data.calls, runId) ? data.calls[runId] : []);
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
    const words = (filters.get("q") || "").trim();
    const at = around ? found.indexOf(this.byId.get(around)) : -1;
    const first = Math.max(0, offset);
    return {
      runs: found.slice(first, first + limit).map((run) => (words ? withHit(run, words) : run)),
      offset: first,
      total: found.length,
      all: this.data.runs.length,
      at,
      ...(words ? { searched: { done: this.data.runs.length, of: this.data.runs.length } } : {}),
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
    const words = (filters.get("q") || "").toLowerCase().trim().replace(/\s+/g, " ");
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
        ...run.tags,
        ...textsOf(run).map(([, said]) => said.slice(0, 20000)),
      ];
      this.searched.set(run, parts.join("\n").toLowerCase().replace(/\s+/g, " "));
    }
    return this.searched.get(run);
  }
}

function withHit(run, words) {
  const hit = findHit(textsOf(run), words);
  return hit ? { ...run, hit } : run;
}

function textsOf(run) {
  const said = run.messages.map((message) => [
    message.id,
    [message.text, ...(message.calls || []).flatMap(({ name, args }) => [name, String(args)])].join("\n"),
  ]);
  return [...said, [null, run.description || ""], ...run.checks.map(({ name }) => [null, name])];
}
