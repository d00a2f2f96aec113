// One execution of the service: live while it runs, with what can be done with it.

import { send } from "./api.js";
import { executionLinks } from "./address.js";
import { h } from "./dom.js";
import { count, plural } from "./format.js";
import { labelPage } from "./label_page.js";
import { LiveRun } from "./live_run.js";
import { morph } from "./morph.js";
import { overview } from "./overview.js";
import { action, ask } from "./page_parts.js";
import { runView } from "./run.js";
import { runsPage } from "./runs_page.js";

const PAUSE = 400; // milliseconds between two drawings

/** The overview, the runs, or the labels of an execution: what stands behind its number in the address. */
export async function executionPage(context, place) {
  const { address, source } = context;
  const [, id, view] = place.path;
  const execution = await source.execution(id);
  const links = executionLinks(address, ["executions", id]);
  const inner = { ...context, id, execution, links, hostLinks: context.links, depth: 2 };
  const bar = [
    ["overview", links.overview(), "Overview"],
    ["label", links.label(), "Label"],
    ["runs", links.runs(), `Runs ${count(execution.totals.runs + execution.totals.not_run)}`],
  ];
  if (view === "label") return context.live.labels(await labelPage(inner, place));
  if (view === "runs" || view === "run") return liveRuns(inner, place, bar);
  return new ExecutionPage(inner, bar);
}

// The list of runs and one of them; both follow what happens.
async function liveRuns(context, place, links) {
  let live = null;
  let page = null;
  const runShown = (run) => {
    if (live && run && live.run.id === run.id) return;
    live?.end();
    live = run?.running
      ? new LiveRun({ source: context.source, run, draw: (found) => drawn(found), place: () => page.main })
      : null;
    live?.begin();
  };
  const drawn = async (run) => {
    page.run = run;
    return runView(
      context,
      run,
      page.placeInList(
        page.list.at > 0 ? await page.list.neighbour(-1) : null,
        page.list.at >= 0 ? await page.list.neighbour(1) : null,
      ),
    );
  };
  page = await runsPage({ ...context, runShown }, place);
  page.tabs = links;
  page.title = `Runs of ${context.execution.suite}`;
  if (context.execution.running) {
    const follow = new Followed(context, async () => page.list.refresh(await context.source.execution(context.id)));
    const [shown, left] = [page.shown.bind(page), page.left.bind(page)];
    page.shown = () => {
      shown();
      follow.begin();
      if (page.run) runShown(page.run);
    };
    page.left = () => {
      follow.end();
      live?.end();
      left();
    };
  }
  return page;
}

// Calls back when something has happened in an execution, not too often, and once more when all is over.
class Followed {
  constructor({ source, id }, changed) {
    Object.assign(this, { source, id, changed });
    this.due = false;
    this.busy = false;
  }

  begin() {
    this.stop ??= this.source.events(
      this.id,
      {},
      () => this.want(),
      (there) => there && this.want(),
    );
  }

  end() {
    this.stop?.();
    this.gone = true;
  }

  async want() {
    this.due = true;
    if (this.busy || this.gone) return;
    this.busy = true;
    while (this.due && !this.gone) {
      this.due = false;
      try {
        await this.changed();
      } catch (error) {
        console.warn(error);
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE));
    }
    this.busy = false;
  }
}

class ExecutionPage {
  constructor(context, links) {
    this.context = context;
    this.tabs = links;
    this.view = "overview";
    this.title = context.execution.suite;
    this.told = h("span.told", { role: "status" });
    this.element = this.drawn();
    this.follow = new Followed(context, () => this.refresh());
    this.keys = {
      j: () => this.first(),
      k: () => this.first(),
      o: () => context.address.go(context.address.href([])),
      "/": () => this.search(),
    };
    this.help = [
      ["j", "first run"],
      ["/", "search in runs"],
      ["o", "all executions"],
    ];
  }

  shown() {
    if (this.context.execution.running) this.follow.begin();
  }

  left() {
    this.follow.end();
  }

  drawn() {
    const main = overview(this.context);
    const head = main.querySelector("header.title");
    head.prepend(h("p.up", null, h("a", { href: this.context.address.href([]) }, "← Executions")));
    head.querySelector(":scope > div").append(h("div.tools", { "data-key": "tools" }, this.actions()));
    const progress = this.progress();
    if (progress) head.append(progress);
    return main;
  }

  progress() {
    const { running, open, totals } = this.context.execution;
    if (!running) return null;
    const total = totals.runs + totals.not_run;
    return h(
      "p.progress",
      { "data-key": "progress" },
      h("progress", { max: total, value: total - open, "aria-label": "Runs that are over" }),
      ` ${count(total - open)} of ${plural(total, "run")}`,
    );
  }

  async refresh() {
    this.context.execution = await this.context.source.execution(this.context.id);
    if (this.follow.gone) return;
    morph(this.element, this.drawn());
  }

  actions() {
    const { address, execution, id, app } = this.context;
    const { totals, running, evalId } = execution;
    const told = this.told;
    const cancel = async () => {
      if (
        !(await ask(
          "Cancel what is not over?",
          "Runs that wait are over at once, those under way as soon as their workers hear of it.",
          "Cancel runs",
        ))
      )
        return null;
      const { data } = await send("POST", `/executions/${id}/cancel`);
      return `${plural(data.cancelled + data.stopping, "run")} cancelled.`;
    };
    const retry = async () => {
      const { data } = await send("POST", `/executions/${id}/retry`);
      await app.show(false);
      return `${plural(data.retried, "run")} in the queue again.`;
    };
    const again = async () => {
      const { data } = await send("POST", "/executions", { body: { eval_id: evalId } });
      address.go(address.href(["executions", String(data.id)]));
    };
    const baseline = async () => {
      const { data } = await send("POST", "/baselines", { body: { execution_id: Number(id) } });
      return `It is the baseline “${data.name}” of its eval.`;
    };
    const remove = async () => {
      if (
        !(await ask(
          `Delete the execution ${execution.name}?`,
          "All its runs, journals and labels are deleted with it.",
          "Delete execution",
        ))
      )
        return;
      await send("DELETE", `/executions/${id}`);
      address.go(address.href([]));
    };
    const button = (key, label, work, kind = "button") => {
      const made = action(label, work, { kind, place: told });
      made.dataset.key = key;
      return made;
    };
    return [
      running ? button("cancel", "Cancel", cancel) : null,
      !running && totals.errors ? button("retry", "Retry errors", retry) : null,
      !running && evalId ? button("again", "Launch again", again) : null,
      h("a.button", { href: this.context.hostLinks.compare(null, id), "data-key": "compare" }, "Compare"),
      !running
        ? menu([
            evalId ? button("baseline", "Make it the baseline", baseline) : null,
            reports(this.context),
            button("delete", "Delete", remove, "button.danger"),
          ])
        : null,
      told,
    ].filter(Boolean);
  }

  async first() {
    const { runs } = await this.context.source.runs(this.context.id, { offset: 0, limit: 1 }, new URLSearchParams());
    if (runs.length) this.context.address.go(this.context.links.run(runs[0].id));
  }

  async search() {
    await this.context.address.go(this.context.links.runs());
    document.getElementById("search")?.focus();
  }
}

function menu(items) {
  return h("details.menu", { "data-key": "more" }, h("summary.button", null, "More"), h("div.menu-items", null, items));
}

function reports({ source, id }) {
  return ["html", "junit", "json", "md"].map((format) =>
    h(
      "a.button",
      { href: source.report(id, format), download: "" },
      `Report as ${{ html: "HTML", junit: "JUnit", json: "JSON", md: "Markdown" }[format]}`,
    ),
  );
}
