// The page of an execution: the result, scenarios by agent, what needs a look, trials, cost, plan, environment.

import { costSection } from "./charts.js";
import { h, text } from "./dom.js";
import { brief, count, duration, money, percent, plural, when } from "./format.js";
import { gradingSection } from "./grades.js";
import { matrixSection } from "./matrix.js";
import { morph } from "./morph.js";
import { besideText, rateText, ratesSection } from "./rates.js";
import { table } from "./tables.js";
import { MARKS, OUTCOMES, WORDS, cites, mark, outcomeCounts, splitBar } from "./verdicts.js";

const EXITS = { 0: "pass", 1: "fail", 3: "undecided", 130: "cancelled" };
const EXIT_WORDS = { 0: "all passed", 1: "failed", 3: "undecided or with errors", 130: "interrupted" };
const TRIALS = 400;

/**
 * @param {Object} context  see runs_page.js
 * @param {Element[]} [more]  sections that this host adds after the matrix
 * @returns {Element}
 */
export function overview({ execution, links, source, id, agents = null }, more = []) {
  return h(
    "main.page",
    { id: "main", tabindex: "-1" },
    title(execution),
    totals(execution),
    matrixSection(execution, links, (range) => source.matrix(id, range)),
    attention(execution, links),
    more,
    reasonsSection(execution, links),
    gradingSection(execution),
    ratesSection(execution),
    trials(execution, links),
    calibrationSection(execution),
    figures(agents),
    plan(execution),
    environment(execution),
  );
}

function figures(agents) {
  return h("div", { "data-key": "figures" }, agents && costSection(agents));
}

/** Ask for cost and latency, which take longer, and show them on a page that is there already. */
export async function showFigures(context, page) {
  const { agents } = await context.source.figures(context.id);
  context.agents = agents; // for when the page is drawn again
  const place = page.querySelector("[data-key=figures]");
  if (place) morph(place, figures(agents));
}

function title(execution) {
  const outcome = EXITS[execution.exit] || "error";
  const ended = EXIT_WORDS[execution.exit] || `exit ${execution.exit}`;
  const verdict = execution.running
    ? h("span.pill.large.o-running", null, `${MARKS.running} still running`)
    : h(`span.pill.large.o-${outcome}`, null, `${MARKS[outcome]} ${ended}`);
  const mock = execution.environment.mock === true ? mocked() : null;
  const facts = [when(execution.started), duration(execution.seconds), execution.path, execution.name ?? execution.id];
  return h(
    "header.title",
    null,
    h("div", null, h("h1", null, text(execution.suite)), verdict, mock),
    h(
      "p.facts",
      null,
      facts.filter(Boolean).map((fact) => h("span", null, text(fact))),
    ),
    (execution.problems || []).map((told) => h("p.note", null, text(told))),
  );
}

function mocked() {
  return h("span.pill.large.o-none", { title: "Models answered from files: nothing was asked over a network" }, "mock");
}

function totals({ totals: found, spent }) {
  const { cases, runs, not_run } = found;
  const cell = (label, value, kind) =>
    h(`div${kind ? ".o-" + kind : ""}`, null, h("dt", null, label), h("dd", null, value));
  const shown = outcomeCounts(found).filter(([word, number]) => number || word === "pass" || word === "fail");
  const tiles = [
    cell("test cases", count(cases)),
    ...shown.map(([word, number]) => cell(WORDS[word], count(number), number ? word : "none")),
    not_run ? cell("not run", count(not_run), "not-run") : null,
    cell("runs", count(runs)),
    cell("tokens", count(spent.tokens)),
    cell("cost", money(spent.cost, spent.unpriced)),
  ];
  return h("section.totals", null, h("dl", null, tiles), splitBar(found));
}

function attention({ attention: items, attentionTotal, filters }, links) {
  if (!items.length) return null;
  const notPassed = OUTCOMES.filter((word) => word !== "pass" && filters.outcome.includes(word));
  const more =
    attentionTotal > items.length
      ? h(
          "p",
          null,
          h(
            "a",
            { href: links.runs({ outcome: notPassed.join(",") }) },
            `All ${plural(attentionTotal, "run")} that did not pass`,
          ),
        )
      : null;
  return h(
    "section",
    null,
    h("h2", null, "Needs attention"),
    h(
      "ul.attention",
      null,
      items.map((item) => attentionItem(item, links)),
    ),
    more,
  );
}

function attentionItem(item, links) {
  const { run } = item;
  const also = item.more ? h("small", null, ` and ${plural(item.more, "more trial")}`) : null;
  const found = item.findings.map((finding) =>
    h(
      "li",
      null,
      h("span.what", null, text(finding.name)),
      finding.text ? h("span", { dir: "auto" }, text(brief(finding.text, 280))) : null,
      cites(links, item, finding.cites),
    ),
  );
  const quote = item.quote ? h("blockquote", { dir: "auto" }, text(brief(item.quote, 220))) : null;
  return h(
    "li",
    null,
    mark(run.outcome),
    h("div", null, h("a.name", { href: links.run(run.id) }, text(run.title)), also, h("ul", null, found), quote),
  );
}

// The same reason, however many runs it stopped, is one line.
function reasonsSection({ reasons }, links) {
  if (!reasons || reasons.length < 2 || reasons.every((item) => item.count < 2)) return null;
  const example = (run) => h(`a.dot.o-${run.outcome}`, { href: links.run(run.id), title: run.title }, runMark(run));
  const rows = reasons.map((item) =>
    h(
      "tr",
      null,
      h("td.n", null, count(item.count)),
      h("td", { dir: "auto" }, text(brief(item.reason, 240))),
      h("td", null, h("div.dots", null, item.runs.map(example))),
    ),
  );
  return h(
    "section",
    null,
    h("h2", null, "Why runs did not pass"),
    table("Why runs did not pass", ["runs", "reason", "such as"], rows, "table.trials.reasons"),
  );
}

function runMark(run) {
  return h("span", { role: "img", "aria-label": `${WORDS[run.outcome]}: ${run.title}` }, MARKS[run.outcome]);
}

function trials({ trials: groups, trialsTotal }, links) {
  if (!groups.length) return null;
  const rows = groups.slice(0, TRIALS).map((group) => {
    const rest = (group.total ?? group.runs.length) - group.runs.length;
    const all = h("a", { href: links.runs({ q: group.title }) }, `and ${count(rest)} more`);
    const dots = group.runs.map((run) =>
      h(
        `a.dot.o-${run.outcome}`,
        {
          href: links.run(run.id),
          title: `trial ${run.trial}: ${WORDS[run.outcome]}`,
          "aria-label": `trial ${run.trial}: ${WORDS[run.outcome]}`,
        },
        MARKS[run.outcome],
      ),
    );
    const list = group.checks.map((item) =>
      h(
        "li",
        null,
        mark(item.ok ? "pass" : "fail"),
        text(item.name),
        h("small", null, `${percent(item.rate)}, ${percent(item.threshold)} needed`),
      ),
    );
    const yes = (value) => (value ? "yes" : "no");
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, mark(group.outcome), " ", text(group.title)),
      h("td", null, h("div.dots", null, dots, rest > 0 ? all : null)),
      h("td.n", null, rateText(group.rate), h("small", null, ` ${besideText(group.rate)}`)),
      h("td", null, yes(group["pass@k"])),
      h("td", null, yes(group["pass^k"])),
      h("td", null, list.length ? h("ul.rates", null, list) : h("span.none", null, "none")),
    );
  });
  const note = h(
    "p.note",
    null,
    "Pass rates are of decided trials, with 95% intervals. pass@k: any trial passed. pass^k: all did. ",
    "A check may ask for a share of the trials instead of all.",
    trialsTotal > rows.length ? ` The first ${count(rows.length)} of ${plural(trialsTotal, "test case")}.` : null,
  );
  return h(
    "section",
    null,
    h("h2", null, "Trials"),
    table("Trials", ["test case", "trials", "pass rate", "pass@k", "pass^k", "checks that disagree"], rows),
    note,
  );
}

// What labels say of the judge: agreement, and shares corrected for its errors.
function calibrationSection({ calibration: found }) {
  if (!found) return null;
  const rows = found.rows.map(([name, ...cells]) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, text(name)),
      cells.map((cell) => h("td", null, text(cell))),
    ),
  );
  return h(
    "section",
    null,
    h("h2", null, "Judge and people"),
    table("Judge and people", found.head, rows),
    found.remarks.map((remark) => h("p.note", null, text(remark))),
  );
}

function plan(execution) {
  const { cases, runs, not_run } = execution.totals;
  const open = execution.running ? "not over yet" : "not begun";
  const several = (name, values) => (values?.length ? [name, values.join(", ")] : null);
  const allowed = (number) => (number === null ? "any number" : number);
  const { undecided, errors } = execution.allowance;
  const { agent, persona, region } = execution.filters;
  const pairs = [
    ["test cases", count(cases)],
    ["runs", `${count(runs + not_run)}${not_run ? `, ${count(not_run)} of them ${open}` : ""}`],
    execution.mostTrials > 1 ? ["trials", execution.mostTrials] : null,
    several("agents", agent),
    several("personas", persona),
    several("regions", region),
    ["seed", execution.seed],
    ["tolerated", `undecided: ${allowed(undecided)}, errors: ${allowed(errors)}`],
    execution.metricsThreshold === null ? null : ["metrics needed", `${execution.metricsThreshold} of 100`],
  ];
  const rows = pairs
    .filter(Boolean)
    .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, text(brief(String(value), 400)))));
  return h("section", null, h("h2", null, "Plan"), h("dl.pairs", null, rows));
}

function environment(execution) {
  const rows = Object.entries(execution.environment).map(([name, value]) =>
    h(
      "div",
      null,
      h("dt", null, text(name)),
      h("dd", null, text(typeof value === "object" ? JSON.stringify(value) : value)),
    ),
  );
  return rows.length ? h("section", null, h("h2", null, "Environment"), h("dl.pairs", null, rows)) : null;
}
