// The first view: what it came to, scenario by agent, what needs a look, trials, cost, environment.

const EXITS = { 0: "pass", 1: "fail", 3: "undecided", 130: "cancelled" };
const EXIT_WORDS = { 0: "all passed", 1: "failed", 3: "undecided or with errors", 130: "interrupted" };
const byId = new Map(data.runs.map((run) => [run.id, run]));
const ATTENTION = 25;
const DOTS = 100;
const MISSING = 20;
const ROWS = 40;

function overview() {
  return h(
    "main.page",
    { id: "main", tabindex: "-1" },
    title(),
    totals(),
    matrixSection(),
    attention(),
    gradingSection(),
    ratesSection(),
    trials(),
    calibrationSection(),
    charts(),
    plan(),
    environment(),
  );
}

function title() {
  const outcome = EXITS[data.exit] || "error";
  const ended = EXIT_WORDS[data.exit] || "exit " + data.exit;
  const verdict = h(
    `span.pill.large.o-${outcome}`,
    null,
    `${MARKS[outcome]} ${data.running ? "still running" : ended}`,
  );
  const facts = [when(data.started), duration(data.seconds), data.path, data.id];
  return h(
    "header.title",
    null,
    h("div", null, h("h1", null, text(data.suite)), verdict, data.environment.mock === true ? mocked() : null),
    h(
      "p.facts",
      null,
      facts.map((fact) => h("span", null, text(fact))),
    ),
  );
}

function mocked() {
  return h("span.pill.large.o-none", { title: "Models answered from files: nothing was asked over a network" }, "mock");
}

function totals() {
  const { cases, runs, passed, failed, undecided, errors, cancelled, not_run } = data.totals;
  const counts = [
    ["pass", passed],
    ["fail", failed],
    ["undecided", undecided],
    ["error", errors],
    ["cancelled", cancelled],
  ];
  const known = counts.reduce((sum, [, number]) => sum + number, 0);
  const bar = h("div.split", {
    role: "img",
    "aria-label": counts.map(([word, number]) => `${number} ${WORDS[word]}`).join(", "),
  });
  for (const [word, number] of [...counts, ["not-run", cases - known]]) {
    if (number <= 0) continue;
    const part = h(`i.o-${word}`);
    part.style.flexGrow = String(number);
    bar.append(part);
  }
  const cell = (label, value, kind) =>
    h(`div${kind ? ".o-" + kind : ""}`, null, h("dt", null, label), h("dd", null, value));
  const cost = data.runs.reduce((sum, run) => sum + run.cost, 0);
  const unpriced = data.runs.some((run) => run.unpriced);
  const shown = counts.filter(([word, number]) => number || word === "pass" || word === "fail");
  const tiles = [
    cell("test cases", count(cases)),
    ...shown.map(([word, number]) => cell(WORDS[word], count(number), number ? word : "none")),
    not_run ? cell("not run", count(not_run), "not-run") : null,
    cell("runs", count(runs)),
    cell("tokens", count(data.runs.reduce((sum, run) => sum + run.tokens, 0))),
    cell("cost", money(cost, unpriced)),
  ];
  return h("section.totals", null, h("dl", null, tiles), bar);
}

function matrixSection() {
  const { agents, rows } = data.matrix;
  if (!rows.length) return h("section", null, h("p.none", null, "Nothing was run."), missing());
  const head = agents.map((name) => h("th", { scope: "col", title: name }, text(shortened(name || "recording", 48))));
  const body = h("tbody", null, matrixRows(rows.length > ROWS ? worstFirst(rows).slice(0, ROWS) : rows));
  return h(
    "section",
    null,
    h("h2", null, "Scenarios"),
    h("div.scroll", null, h("table.matrix", null, h("thead", null, h("tr", null, h("td"), head)), body)),
    rows.length > ROWS ? moreRows(rows, body) : null,
    missing(),
  );
}

// Of very many rows those that did not pass come first, and the rest waits until somebody asks for it.
function moreRows(rows, body) {
  const more = h("button.more", { type: "button" }, `Show all ${count(rows.length)} rows`);
  const note = h("p.note", null, "Those that did not pass come first. ", more);
  more.addEventListener("click", () => {
    body.replaceChildren(...matrixRows(rows));
    note.remove();
  });
  return note;
}

function worstFirst(rows) {
  const open = (row) => Object.values(row.cells).some((place) => data.groups[place].outcome !== "pass");
  return [...rows.filter(open), ...rows.filter((row) => !open(row))];
}

function matrixRows(rows) {
  return rows.map((row, index) => {
    const same = index && rows[index - 1].scenario === row.scenario;
    const varied = row.varied ? h("small", null, text(row.varied)) : null;
    const name = h(`th${same ? ".same" : ""}`, { scope: "row" }, h("span", null, text(row.scenario)), varied);
    const cell = (agent) => (agent in row.cells ? groupCell(data.groups[row.cells[agent]]) : null);
    return h(
      "tr",
      null,
      name,
      data.matrix.agents.map((agent) => h("td", null, cell(agent))),
    );
  });
}

function missing() {
  if (!data.missing.length) return null;
  const names = data.missing.slice(0, MISSING).join(", ");
  return h("p.note", null, "Not run: ", text(data.missing.length > MISSING ? `${names}, …` : names));
}

function groupCell(group) {
  const runs = group.runs.map((id) => byId.get(id));
  const passed = runs.filter((run) => run.outcome === "pass").length;
  const word = runs.length > 1 ? `${passed} of ${runs.length}` : WORDS[group.outcome];
  const href = runs.length > 1 ? filterLink({ q: group.title }) : runLink(runs[0]);
  return h(
    `a.cell.o-${group.outcome}`,
    { href, title: `${group.title}: ${WORDS[group.outcome]}` },
    h("b", { "aria-hidden": "true" }, MARKS[group.outcome]),
    word,
  );
}

function attention() {
  const order = ["fail", "error", "undecided", "cancelled"];
  const runs = data.runs
    .filter((run) => run.outcome !== "pass" && !run.excused)
    .sort((one, other) => order.indexOf(one.outcome) - order.indexOf(other.outcome));
  if (!runs.length) return null;
  const seen = new Set();
  const first = runs.filter((run) => !seen.has(run.group) && seen.add(run.group)); // one trial speaks for its test case
  const more =
    first.length > ATTENTION || runs.length > first.length
      ? h(
          "p",
          null,
          h(
            "a",
            { href: filterLink({ outcome: OUTCOMES.filter((word) => word !== "pass").join(",") }) },
            `All ${plural(runs.length, "run")} that did not pass`,
          ),
        )
      : null;
  return h(
    "section",
    null,
    h("h2", null, "Needs a look"),
    h(
      "ul.attention",
      null,
      first.slice(0, ATTENTION).map((run) => attentionItem(run, runs)),
    ),
    more,
  );
}

function attentionItem(run, runs) {
  const others = runs.filter((other) => other.group === run.group).length - 1;
  const also = others ? h("small", null, ` and ${plural(others, "more trial")}`) : null;
  const found = (run.findings || [])
    .slice(0, 3)
    .map((item) =>
      h(
        "li",
        null,
        h("span.what", null, text(item.name)),
        item.text ? h("span", { dir: "auto" }, text(brief(item.text, 280))) : null,
        cites(run, item.cites),
      ),
    );
  return h(
    "li",
    null,
    mark(run.outcome),
    h("div", null, h("a.name", { href: runLink(run) }, text(run.title)), also, h("ul", null, found), quote(run)),
  );
}

function quote(run) {
  const known = new Map(run.messages.map((message) => [message.id, message]));
  const cited = (run.findings || [])
    .flatMap((item) => item.cites)
    .map((id) => known.get(id))
    .filter((item) => item?.text);
  const message = cited.find((item) => item.role === "assistant") || cited[0];
  return message ? h("blockquote", { dir: "auto" }, text(brief(message.text, 220))) : null;
}

function brief(value, longest) {
  return value.length > longest ? value.slice(0, longest - 1) + "…" : value;
}

function trials() {
  const groups = data.groups.filter((group) => group.trials > 1);
  if (!groups.length) return null;
  const head = ["test case", "trials", "pass rate", "pass@k", "pass^k", "checks that disagree"].map((word) =>
    h("th", { scope: "col" }, word),
  );
  const rows = groups.slice(0, 400).map((group) => {
    const dots = group.runs
      .slice(0, DOTS)
      .map((id) => byId.get(id))
      .map((run) =>
        h(
          `a.dot.o-${run.outcome}`,
          {
            href: runLink(run),
            title: `trial ${run.trial}: ${WORDS[run.outcome]}`,
            "aria-label": `trial ${run.trial}: ${WORDS[run.outcome]}`,
          },
          MARKS[run.outcome],
        ),
      );
    const shaky = group.checks.filter((item) => item.flakiness || !item.ok || item.threshold < 1);
    const list = shaky.map((item) =>
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
      h("td", null, h("div.dots", null, dots)),
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
  );
  return h(
    "section",
    null,
    h("h2", null, "Trials"),
    h("div.scroll", null, h("table.trials", null, h("thead", null, h("tr", null, head)), h("tbody", null, rows))),
    note,
  );
}

// What labels say of the judge: agreement, and shares corrected for its errors.
function calibrationSection() {
  const found = data.calibration;
  if (!found) return null;
  const head = found.head.map((word) => h("th", { scope: "col" }, word));
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
    h("div.scroll", null, h("table.trials", null, h("thead", null, h("tr", null, head)), h("tbody", null, rows))),
    found.remarks.map((remark) => h("p.note", null, text(remark))),
  );
}

function plan() {
  const { cases, runs, not_run } = data.totals;
  const open = data.running ? "not over yet" : "not begun";
  const several = (name, values) => (values.length ? [name, values.join(", ")] : null);
  const values = (name) => [...new Set(data.runs.map((run) => run[name]).filter(Boolean))];
  const trials = Math.max(1, ...data.runs.map((run) => run.trials));
  const allowed = (number) => (number === null ? "any number" : number);
  const { undecided, errors } = data.allowance;
  const pairs = [
    ["test cases", count(cases)],
    ["runs", `${count(runs + not_run)}${not_run ? `, ${count(not_run)} of them ${open}` : ""}`],
    trials > 1 ? ["trials", trials] : null,
    several("agents", values("agent")),
    several("personas", values("persona")),
    several("regions", values("region")),
    ["seed", data.seed],
    ["tolerated", `undecided: ${allowed(undecided)}, errors: ${allowed(errors)}`],
    data.metricsThreshold === null ? null : ["metrics needed", `${data.metricsThreshold} of 100`],
  ];
  const rows = pairs
    .filter(Boolean)
    .map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, text(brief(String(value), 400)))));
  return h("section", null, h("h2", null, "Plan"), h("dl.pairs", null, rows));
}

function environment() {
  const rows = Object.entries(data.environment).map(([name, value]) =>
    h(
      "div",
      null,
      h("dt", null, text(name)),
      h("dd", null, text(typeof value === "object" ? JSON.stringify(value) : value)),
    ),
  );
  return rows.length ? h("section", null, h("h2", null, "Environment"), h("dl.pairs", null, rows)) : null;
}
