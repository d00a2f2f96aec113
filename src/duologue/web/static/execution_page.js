// The page of an execution in a host: the overview, what changed since the one before, and what is under way.

import { h, text } from "./dom.js";
import { count, percent, plural, since, when } from "./format.js";
import { morph } from "./morph.js";
import { overview, showFigures } from "./overview.js";
import { can } from "./source.js";
import { MARKS, WORDS, mark } from "./verdicts.js";

const SHARE = 10; // times as long as it takes to say what has changed and was spent, nobody asks for it again
const LONGEST = 10_000; // milliseconds

/** The links in the bar of every page of an execution. */
export function executionTabs({ links, execution, source }) {
  const listed = execution.totals.runs + (execution.open || 0);
  return [
    ["overview", links.overview(), "Overview"],
    ["runs", links.runs(), `Runs ${count(listed)}`],
    ...(can(source, "labels") ? [["label", links.label(), "Label"]] : []),
  ];
}

/**
 * @param {Object} context  see runs_page.js, and
 * @param {Object} context.host  the links of the host; see hostLinks
 * @param {function(Object): Element[]} [context.executionTools]  buttons of this host beside the title
 * @returns {Page}
 */
export function executionPage(context) {
  return new ExecutionPage(context);
}

class ExecutionPage {
  constructor(context) {
    const { execution, links, address, source, id, host } = context;
    Object.assign(this, { context, id, view: "overview", title: execution.suite });
    this.change = null;
    this.element = this.drawn();
    this.tabs = executionTabs(context);
    const first = async () => {
      const { runs } = await source.runs(id, { offset: 0, limit: 1 }, new URLSearchParams());
      if (runs.length) address.go(links.run(runs[0].id));
    };
    this.keys = {
      j: first,
      k: first,
      o: () => address.go(host.executions()),
      "/": () => toSearch(address, links),
      l: () => address.go(links.label()),
    };
    this.help = [
      ["j k", "go through the runs"],
      ["o", "all executions"],
      ["/", "search in runs"],
      ["l", "label"],
    ];
  }

  /** Up to which event the page knows what has happened. */
  get cursor() {
    return this.context.execution.cursor;
  }

  shown() {
    this.ask();
  }

  drawn() {
    const { context } = this;
    const { execution, links, host } = context;
    const main = overview(context, [stoppedNote(execution), underWay(execution, links), this.changes()]);
    const head = main.querySelector("header.title");
    head.prepend(h("p.up", null, h("a", { href: host.executions() }, "← Executions")));
    const tools = context.executionTools?.(context);
    if (tools) head.querySelector(":scope > div").append(h("div.tools", { "data-key": "tools" }, tools));
    head.append(progress(execution));
    return main;
  }

  /** Draw it as it is now. Nothing moves: what somebody looks at stays where it is. */
  refresh(now) {
    this.context.execution = now;
    morph(this.element, this.drawn());
    this.ask();
  }

  // What takes longer than the page itself, and says something else only when runs have ended.
  async ask() {
    const state = JSON.stringify(this.context.execution.totals);
    if (this.asking || this.asked === state) return;
    Object.assign(this, { asking: true, asked: state });
    const began = performance.now();
    await Promise.allSettled([this.askChange(), showFigures(this.context, this.element)]);
    const pause = this.context.execution.running ? Math.min(LONGEST, SHARE * (performance.now() - began)) : 0;
    await new Promise((resolve) => setTimeout(resolve, pause)); // all runs are read for it
    this.asking = false;
    this.ask(); // there may be more by now
  }

  async askChange() {
    const { source } = this.context;
    if (!can(source, "change")) return;
    this.change = await source.change(this.id);
    morph(this.element.querySelector("[data-key=change]"), this.changes());
  }

  changes() {
    const { change, id } = this;
    const { execution, host } = this.context;
    const section = change?.before ? changeSection(change, host, execution.key ?? id) : null;
    return h("div", { "data-key": "change" }, section);
  }
}

async function toSearch(address, links) {
  await address.go(links.runs());
  document.getElementById("search")?.focus();
}

function progress({ running, totals }) {
  if (!running) return "";
  const total = totals.runs + totals.not_run;
  return h(
    "p.progress",
    { "data-key": "progress" },
    h("progress", { max: total, value: totals.runs, "aria-label": "Finished runs" }),
    ` ${count(totals.runs)} of ${plural(total, "run")}`,
  );
}

function stoppedNote({ interrupted, totals, folder }) {
  if (!interrupted || !totals.not_run || !folder) return null;
  return h(
    "section.notice.o-cancelled",
    null,
    h("p", null, `${plural(totals.not_run, "run")} of the plan did not start. To resume it:`),
    h("pre", null, text(`duologue run SUITE --resume ${folder}`)),
  );
}

function underWay({ underWay: runs, running }, links) {
  if (!running) return null;
  if (!runs?.length) return h("section", null, h("h2", null, "In progress"), h("p.none", null, "No runs right now."));
  const item = (run) => h("li", null, mark("running", "running"), h("a", { href: links.run(run.id) }, text(run.title)));
  return h(
    "section",
    null,
    h("h2", null, "In progress", h("small", null, plural(runs.length, "run"))),
    h("ul.under-way", null, runs.map(item)),
  );
}

/** What changed since the execution before this one. */
function changeSection(change, host, id) {
  const { before, counts, added, removed } = change;
  const link = h("a", { href: host.compare(before.id, id) }, "Full comparison");
  const parts = [
    ["fail", counts.failing, "newly failing", change.failing],
    ["pass", counts.fixed, "fixed", change.fixed],
    ["fail", counts.still, "still failing", change.still],
  ];
  const lists = parts
    .filter(([, number]) => number)
    .map(([tone, number, word, cells]) =>
      h(
        `details.change.o-${tone}`,
        { open: word !== "still failing" && number <= 12 },
        h("summary", null, h("b", null, count(number)), ` ${word}`),
        h(
          "ul",
          null,
          cells.map((cell) => changedCell(cell, host, id)),
        ),
      ),
    );
  const more = [added ? `${count(added)} added` : "", removed ? `${count(removed)} removed` : ""].filter(
    Boolean,
  );
  return h(
    "section.changes",
    null,
    h(
      "h2",
      null,
      "Since the last execution",
      h("small", { title: when(before.started) }, text(`${before.name}, ${since(before.started)}`)),
    ),
    lists.length ? lists : h("p.none", null, "No test case changed its outcome."),
    h(
      "p.note",
      null,
      before.rate.value === null ? "" : `The pass rate was ${percent(before.rate.value)}. `,
      more.length ? `Test cases: ${more.join(", ")}. ` : "",
      link,
    ),
  );
}

function changedCell(cell, host, id) {
  return h(
    "li",
    null,
    h(
      "a",
      { href: host.execution(id).run(cell.run), title: WORDS[cell.outcome] },
      h(`span.mark.o-${cell.outcome}`, { "aria-hidden": "true" }, MARKS[cell.outcome]),
      " ",
      text(cell.title),
    ),
  );
}
