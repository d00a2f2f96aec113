// The page of an execution in a host: the overview, what changed since the one before, and what is under way.

import { h, text } from "./dom.js";
import { count, percent, plural, since, when } from "./format.js";
import { overview } from "./overview.js";
import { can } from "./source.js";
import { MARKS, WORDS, mark } from "./verdicts.js";

/** The links in the bar of every page of an execution. */
export function executionTabs({ links, execution, source }) {
  return [
    ["overview", links.overview(), "Overview"],
    ["runs", links.runs(), `Runs ${count(execution.totals.runs)}`],
    ...(can(source, "labels") ? [["label", links.label(), "Label"]] : []),
  ];
}

/** @returns {Page} */
export function executionPage(context) {
  const { execution, links, address, source, id, host } = context;
  const draw = (now) => {
    context.execution = now;
    return overview(context, [stoppedNote(now), underWay(now, links), changes]);
  };
  const changes = h("div");
  let compared = null;
  const compare = async (now) => {
    const state = JSON.stringify(now.totals);
    if (!can(source, "change") || compared === state) return;
    compared = state;
    const found = await source.change(id).catch(() => null);
    changes.replaceChildren(found?.before ? changeSection(found, host, now.key ?? id) : "");
  };
  compare(execution);
  const firstRun = async () => {
    const { runs } = await source.runs(id, { offset: 0, limit: 1 }, new URLSearchParams());
    if (runs.length) address.go(links.run(runs[0].id));
  };
  const page = {
    id,
    cursor: execution.cursor,
    view: "overview",
    title: execution.suite,
    element: h("div", null, draw(execution)),
    tabs: executionTabs(context),
    keys: {
      j: firstRun,
      k: firstRun,
      o: () => address.go(host.executions()),
      "/": () => toSearch(address, links),
      l: () => address.go(links.label()),
    },
    help: [
      ["j k", "go through the runs"],
      ["o", "all executions"],
      ["/", "search in runs"],
      ["l", "label"],
    ],
    // Nothing moves: what somebody looks at stays where it is.
    refresh(now) {
      compare(now);
      const [y, open] = [scrollY, openDetails(page.element)];
      page.element.replaceChildren(draw(now));
      page.element.querySelectorAll("details").forEach((item, place) => (item.open ||= open.has(place)));
      scrollTo(0, y);
    },
  };
  return page;
}

async function toSearch(address, links) {
  await address.go(links.runs());
  document.getElementById("search")?.focus();
}

function openDetails(element) {
  const open = new Set();
  element.querySelectorAll("details").forEach((item, place) => item.open && open.add(place));
  return open;
}

function stoppedNote({ interrupted, totals, folder }) {
  if (!interrupted || !totals.not_run) return null;
  return h(
    "section.notice.o-cancelled",
    null,
    h("p", null, `${plural(totals.not_run, "run")} of the plan did not begin. To go on where it stopped:`),
    h("pre", null, text(`duologue run SUITE --resume ${folder || "FOLDER"}`)),
  );
}

function underWay({ underWay: runs, running }, links) {
  if (!running) return null;
  if (!runs?.length) return h("section", null, h("h2", null, "Under way"), h("p.none", null, "No run is under way."));
  const item = (run) => h("li", null, mark("running", "running"), h("a", { href: links.run(run.id) }, text(run.title)));
  return h(
    "section",
    null,
    h("h2", null, "Under way", h("small", null, plural(runs.length, "run"))),
    h("ul.under-way", null, runs.map(item)),
  );
}

/** What changed since the execution before this one. */
function changeSection(change, host, id) {
  const { before, counts, added, removed } = change;
  const link = h("a", { href: host.compare(before.id, id) }, "Compare in full");
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
  const more = [added ? `${count(added)} added` : "", removed ? `${count(removed)} no longer there` : ""].filter(
    Boolean,
  );
  return h(
    "section.changes",
    null,
    h(
      "h2",
      null,
      "Since the last one",
      h("small", { title: when(before.started) }, text(`${before.name}, ${since(before.started)}`)),
    ),
    lists.length ? lists : h("p.none", null, "Every test case came out as before."),
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
