// What metrics say: the grades of one conversation, and each metric over all conversations that were graded.

import { h, longText, text } from "./dom.js";
import { count, percent, plural } from "./format.js";
import { table } from "./tables.js";
import { cites, mark } from "./verdicts.js";

const BEST = 5;
const TURNS_SHOWN = 6;

// Five steps, as many filled as the score; a binary metric has a word instead.
function meter(score, binary) {
  if (score === null || score === undefined) return h("span.none", null, "does not apply");
  const tone = score <= 2 ? "fail" : score < 4 ? "undecided" : "pass";
  if (binary) return h(`span.grade.o-${score ? "pass" : "fail"}`, null, score ? "yes" : "no");
  const steps = [1, 2, 3, 4, 5].map((step) => h(step <= Math.round(score) ? "i.on" : "i", { "aria-hidden": "true" }));
  const figure = Number.isInteger(score) ? score : score.toFixed(1);
  return h(`span.grade.o-${tone}`, { title: `${figure} of ${BEST}` }, h("span.steps", null, steps), ` ${figure}`);
}

export function gradesBox(links, run) {
  const graded = run.checks.filter((item) => item.grades);
  return graded.map((item) => gradesOf(links, run, item));
}

function gradesOf(links, run, item) {
  const { score, threshold, judge, metrics, outcomes, toolCalls } = item.grades;
  const told = score === null ? "no score" : `${score.toFixed(1)} of ${threshold} needed`;
  const rows = metrics.map((grade) => gradeRow(links, run, grade));
  const open = item.status !== "pass";
  return h(
    "details.graded",
    { open },
    h("summary", null, h("h2", null, "Grades"), mark(item.status), h("b", null, told), h("small", null, text(judge))),
    rows.length ? table("Grades", ["metric", "grade", "weight", "why"], rows, "table.grades") : null,
    expectedList(links, run, "Expected outcomes", outcomes),
    expectedList(links, run, "Expected tool calls", toolCalls),
  );
}

function gradeRow(links, run, grade) {
  const label = grade.score === null ? null : h("small", null, text(grade.label.replaceAll("_", " ")));
  const weight = grade.share === null ? "–" : percent(grade.share);
  const code = grade.code ? h("code.code", { title: "what went wrong" }, text(grade.code)) : null;
  return h(
    `tr${grade.score === null ? ".idle" : ""}`,
    null,
    h("th", { scope: "row" }, h("span", null, text(grade.title)), h("small", null, text(grade.tier))),
    h("td", null, meter(grade.score, grade.binary), label),
    h("td", null, weight),
    h(
      "td",
      null,
      code,
      h("span", { dir: "auto" }, text(grade.why)),
      " ",
      cites(links, run, grade.cites),
      inTurns(grade.turns),
    ),
  );
}

function inTurns(turns) {
  if (!turns.length) return null;
  const shown = turns.slice(0, TURNS_SHOWN).map((turn) => turn + 1);
  const more = turns.length > shown.length ? ", …" : "";
  return h("small.turns", null, `turn${turns.length > 1 ? "s" : ""} ${shown.join(", ")}${more}`);
}

function expectedList(links, run, title, items) {
  if (!items.length) return null;
  const rows = items.map((item) =>
    h(
      "li",
      null,
      mark(item.met ? "pass" : "fail", item.met ? "met" : "missed"),
      h(
        "div",
        null,
        h("b", { dir: "auto" }, text(item.name)),
        " ",
        cites(links, run, item.cites),
        inTurns(item.turns),
        why(item.why),
      ),
    ),
  );
  return [h("h3", null, title), h("ul.checks", null, rows)];
}

function why(value) {
  return value ? longText(value, "div.why") : null;
}

// Over all conversations: on the overview.
export function gradingSection(execution) {
  const found = execution.grading;
  if (!found) return null;
  const cases = found.passed + found.failed + found.undecided + found.errors;
  const needed = execution.metricsThreshold === null ? "" : ` of ${execution.metricsThreshold} needed`;
  const score = found.weighted_score === null ? "no score" : `${found.weighted_score.toFixed(1)}${needed}`;
  const low = execution.metricsThreshold !== null && found.metrics_passed === false;
  const told = `${count(found.passed)} of ${plural(cases, "graded run")} good enough`;
  const head = ["metric", "mean grade", "weight", "graded", "what went wrong"];
  const rows = found.metrics.map((item) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, text(item.metric.replaceAll("_", " "))),
      h("td", null, meter(item.mean, false)),
      h("td", null, item.weight),
      h(
        "td",
        null,
        count(item.applied),
        item.not_applicable ? h("small", null, `${item.not_applicable} not applicable`) : null,
      ),
      h(
        "td",
        null,
        Object.entries(item.failure_codes).map(([name, number]) => h("code.code", null, text(name), ` ${number}`)),
      ),
    ),
  );
  return h(
    "section",
    null,
    h("h2", null, "Metrics", h(low ? "small.low" : "small", null, `${score} · ${told}`)),
    table("Grades", head, rows, "table.grades"),
  );
}
