// One run: why it did not pass, the conversation, and beside it what was checked and decided.

import { WHO, answerBars } from "./charts.js";
import { checksBox, decisionsBox, guardrailsBox } from "./checks.js";
import { conversation, prompts } from "./conversation.js";
import { h, longText, text } from "./dom.js";
import { forkSection } from "./fork.js";
import { brief, count, duration, money, percent, plural, when } from "./format.js";
import { gradesBox } from "./grades.js";
import { can } from "./source.js";
import { timelineSection } from "./timeline.js";
import { MARKS, WORDS, cites, mark, pill } from "./verdicts.js";
import { voiceSection } from "./voice.js";

const DOTS = 60;
const ENDED = {
  __proto__: null, // what it has not, a word of a result does not find either
  judged: "ended by a judge",
  script_end: "ended with its script",
  max_turns: "ended at the limit of turns",
  agent_done: "ended by the agent",
  user_done: "ended by the user",
  timeout: "ended by the time limit",
  budget: "ended by the budget",
  cancelled: "cancelled",
  error: "ended by an error",
};

/**
 * @param {Object} context  see runs_page.js
 * @param {Run} run
 * @param {{at: number, total: number, before: ?RunLine, after: ?RunLine}} inList  where it is in the list
 */
export async function runView(context, run, inList) {
  const { links, source, id } = context;
  const group = run.trials > 1 ? await source.trials(id, run.id) : null;
  const calls = can(source, "calls") ? timelineSection(() => source.calls(id, run.id)) : null;
  const fork = can(source, "fork") && !run.running && run.turns ? forkSection(context, run) : null;
  const side = [
    checksBox(links, run),
    decisionsBox(links, run),
    guardrailsBox(run),
    group ? trialsBox(links, run, group) : null,
    figuresBox(links, run),
  ];
  const said = conversation(links, run, fork?.button);
  return h(
    "main.run",
    { id: "main", tabindex: "-1" },
    runHead(links, run, inList),
    findingsBox(links, run),
    (run.blame || []).map((told) => h("p.note", null, text(told))),
    gradesBox(links, run),
    voiceSection(run, said),
    h(
      "div.columns",
      null,
      h("section.talk", { "aria-label": "Conversation" }, prompts(run), said, fork?.section, calls),
      h("aside", { "aria-label": "Checks and decisions" }, side),
    ),
  );
}

function runHead(links, run, inList) {
  const facts = [
    run.running ? "in progress" : ENDED[run.termination] || run.termination,
    plural(run.turns, "turn"),
    run.running ? null : duration(run.seconds),
    run.cost ? money(run.cost, run.unpriced) : null,
    run.tokens ? `${count(run.tokens)} tokens` : null,
    ...run.tags,
  ];
  return h(
    "header",
    null,
    h("p.back", null, h("a", { href: links.runs() }, "← All runs")),
    h("div.headline", null, pill(run.outcome), h("h1", null, text(run.title)), neighbours(links, inList)),
    run.excused
      ? h("p.note", null, "This trial failed, but enough trials of its test case passed.")
      : null,
    run.description ? longText(run.description, "div.lead") : null,
    h(
      "p.facts",
      null,
      facts.filter(Boolean).map((fact) => h("span", null, text(fact))),
    ),
  );
}

// The runs before and after this one in the list as it is filtered.
function neighbours(links, { at, total, before, after }) {
  if (at < 0 || total < 2) return null;
  const to = (other, word, sign) =>
    other
      ? h("a", { href: links.run(other.id), "aria-label": word, title: `${word}: ${other.title}` }, sign)
      : h("span", { "aria-hidden": "true" }, sign);
  const place = h("small", null, `${count(at + 1)} of ${count(total)}`);
  const steps = [to(before, "Previous run", "‹"), place, to(after, "Next run", "›")];
  return h("nav.steps", { "aria-label": "Previous and next run" }, steps);
}

function findingsBox(links, run) {
  const found = run.findings || [];
  const causes = run.error?.traceback
    ? h("details", null, h("summary", null, "Traceback"), longText(run.error.traceback, "pre"))
    : run.error?.causes?.length
      ? h("details", null, h("summary", null, "Causes"), longText(run.error.causes.join("\n"), "pre"))
      : null;
  if (!found.length) return run.reason ? longText(run.reason, "div.reason") : null;
  const items = found.map((item) =>
    h(
      "li",
      null,
      h("small", null, item.kind),
      h(
        "div",
        null,
        h("b", { dir: "auto" }, text(item.name)),
        " ",
        cites(links, run, item.cites),
        item.text ? longText(item.text, "div") : null,
      ),
    ),
  );
  const reason =
    run.reason && !run.error && run.reason !== found[0].text ? longText(run.reason, "div.reason") : null;
  return h(
    `section.findings.o-${run.outcome}`,
    { "aria-label": "Why it did not pass" },
    reason,
    h("ul", null, items),
    causes,
  );
}

function trialsBox(links, run, { passRate, runs }) {
  const here = runs.findIndex((other) => other.id === run.id);
  const first = Math.max(0, Math.min(here - DOTS / 2, runs.length - DOTS)); // of those around this run
  const dots = runs.slice(first, first + DOTS).map((other) =>
    h(
      `a.dot.o-${other.outcome}${other.id === run.id ? ".here" : ""}`,
      {
        href: links.run(other.id),
        "aria-label": `trial ${other.trial}: ${WORDS[other.outcome] || other.outcome}`,
        "aria-current": other.id === run.id ? "true" : null,
      },
      MARKS[other.outcome],
    ),
  );
  return h(
    "section",
    null,
    h("h2", null, "Trials", h("small", null, `pass rate ${percent(passRate)}`)),
    h("div.dots", null, dots),
    runs.length > DOTS ? h("p.note", null, `and ${plural(runs.length - DOTS, "more trial")}`) : null,
  );
}

function figuresBox(links, run) {
  const rows = WHO.filter(([who]) => run.spent[who]).map(([who, word]) => {
    const [calls, read, written, cost, seconds, unpriced] = run.spent[who];
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, word),
      h("td.n", null, count(calls)),
      h("td.n", null, count(read + written)),
      h("td.n", null, money(cost, unpriced)),
      h("td.n", null, duration(seconds)),
    );
  });
  const head = h(
    "tr",
    null,
    ["", "calls", "tokens", "cost", "time"].map((word, index) => h(index ? "th.n" : "td", null, word)),
  );
  const tools = (run.tools || []).map((item) =>
    h(
      "li",
      null,
      mark(item.error ? "error" : "pass"),
      h(
        "div",
        null,
        h("b", null, text(item.name)),
        h("small", null, `turn ${item.turn + 1} · ${duration(item.seconds)}`),
        item.error ? longText(item.error, "div.why") : null,
      ),
    ),
  );
  const pairs = [
    ["run", run.id],
    ["seed", run.seed],
    ["started", run.started ? when(run.started) : null],
    ["journal", run.journal],
    ["recording", run.recording],
    ...(run.recorded || []),
  ].filter(([, value]) => value);
  return h(
    "section",
    null,
    tools.length ? [h("h2", null, "Tools"), h("ul.checks", null, tools)] : null,
    h("h2", null, "Figures"),
    rows.length ? h("table.small", null, h("thead", null, head), h("tbody", null, rows)) : null,
    answerBars(links, run),
    h(
      "dl.pairs",
      null,
      pairs.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, text(value)))),
    ),
  );
}
