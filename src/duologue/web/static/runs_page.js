// The page of runs: the list on the left, and the run that was chosen from it.

import { h } from "./dom.js";
import { morph } from "./morph.js";
import { RunList } from "./run_list.js";
import { runView } from "./run.js";

/**
 * @param {Object} context
 * @param {Source} context.source
 * @param {string} context.id  of the execution
 * @param {Execution} context.execution
 * @param {Address} context.address
 * @param {Object} context.links  see executionLinks
 * @param {number} context.depth  how many parts of the path stand before "runs" or "run"
 * @param {function(Object): void} [context.runShown]  called with the run that is shown, for what is live
 * @returns {Promise<Page>}
 */
export async function runsPage(context, place) {
  const page = new RunsPage(context);
  await page.update(place);
  return page;
}

class RunsPage {
  constructor(context) {
    Object.assign(this, context);
    this.context = context;
    this.view = "runs";
    this.title = context.title;
    this.tabs = context.tabs;
    this.cursor = context.execution.cursor;
    this.main = h("main.run.empty", { id: "main", tabindex: "-1" });
    this.list = new RunList({ ...context, changed: (filters) => this.filter(filters) });
    this.element = h("div.panes", null, this.list.element, this.main);
    this.run = null;
    this.keys = {
      j: () => this.step(1),
      k: () => this.step(-1),
      o: () => this.address.go(this.links.overview()),
      "/": () => this.list.search.focus(),
      p: () => this.main.querySelector("button.play")?.click(),
    };
    this.help = [
      ["j", "next run"],
      ["k", "previous run"],
      ["o", "overview"],
      ["/", "search"],
      ["p", "play or pause the recording"],
    ];
  }

  shown() {
    this.list.list.attach(this.list.element);
    if (this.list.at >= 0) this.list.list.reveal(this.list.at);
    this.follow(this.message);
  }

  left() {
    this.gone = true;
    this.list.close();
    this.context.runShown?.(null);
  }

  /** Another run, or other filters: the list stays. */
  async update({ path, query }, back = false) {
    const [view, runId, message] = path.slice(this.depth);
    if (path.slice(0, this.depth).join("/") !== (this.within ??= path.slice(0, this.depth).join("/"))) return false;
    if (view !== "runs" && view !== "run") return false;
    const filters = view === "runs" ? query : this.list.filters;
    if (view === "runs") await this.list.show(filters, null);
    if (view === "run" && (this.run?.id !== runId || !this.list.found)) {
      const [run] = await Promise.all([this.source.run(this.id, runId), this.list.show(filters, runId)]);
      this.run = run;
      await this.draw(back);
    } else if (view === "runs") {
      this.run = null;
      await this.draw(true);
    }
    this.message = message;
    this.follow(message);
    return true;
  }

  /** Draw the run again, with what has come since. Nothing moves. */
  async redraw(run) {
    this.run = run;
    await this.draw(true, true);
  }

  async draw(keepPlace, again = false) {
    const run = this.run;
    this.element.classList.toggle("chosen", run !== null);
    const before = run && (await this.list.neighbour(-1));
    const after = run && this.list.at >= 0 ? await this.list.neighbour(1) : null;
    const view = run ? await runView(this.context, run, this.placeInList(before, after)) : emptyView();
    if (run !== this.run) return; // another one has been chosen meanwhile
    if (again) this.main = morph(this.main, view);
    else this.main.replaceWith(view);
    if (!again) this.main = view;
    this.context.runShown?.(run);
    if (this.list.at >= 0) this.list.list.reveal(this.list.at);
    if (!keepPlace && this.element.isConnected) scrollTo(0, 0);
  }

  placeInList(before, after) {
    return { at: this.list.at, total: this.list.list.total, before: this.list.at > 0 ? before : null, after };
  }

  // The message that the address names.
  follow(message) {
    document.querySelectorAll(".cited").forEach((item) => item.classList.remove("cited"));
    const target = message && document.getElementById(`m:${message}`);
    if (!target) return;
    target.classList.add("cited");
    target.scrollIntoView({ block: "center" });
    target.focus({ preventScroll: true });
  }

  async filter(filters) {
    await this.list.show(filters, this.run?.id ?? null);
    if (this.gone) return null;
    if (this.run) return this.draw(true);
    this.address.replace(this.links.runs(filters));
    return null;
  }

  async step(by) {
    const next = await this.list.neighbour(by);
    if (next) this.address.go(this.links.run(next.id, next.hit?.message));
  }
}

function emptyView() {
  const keys = [h("kbd", null, "j"), " and ", h("kbd", null, "k")];
  return h(
    "main.run.empty",
    { id: "main", tabindex: "-1" },
    h("h1", null, "Runs"),
    h("p", null, "Choose a run from the list. ", keys, " go through them."),
  );
}
