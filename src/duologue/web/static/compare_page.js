// Two executions compared: what became worse or better, how sure that is, and the conversations side by side.

import { h, longText, text } from "./dom.js";
import { brief, count, duration, executionName, money, percent, plural, when } from "./format.js";
import { decidedText, rateText } from "./rates.js";
import { table } from "./tables.js";

const TONES = { worse: "fail", better: "pass", undecided: "undecided", tied: "none" };
const SIGNS = { worse: "✗", better: "✓", undecided: "?", tied: "=" };
const ORDER = ["worse", "better", "undecided", "tied"];
const SHOWN = 200;
const CHOICES = 200;

/**
 * Addresses: `compare/FIRST/SECOND`, and `compare?first=FIRST&second=SECOND`, of which either may be missing.
 * @param {Object} host  source, address and links of the host
 * @returns {Promise<Page>}
 */
export async function comparePage(host, { path, query }) {
  const { source, links, address } = host;
  const ids = [path[1] ?? query.get("first"), path[2] ?? query.get("second")];
  const agents = named(query, ["firstAgent", "secondAgent"]);
  const [{ rows }, found] = await Promise.all([
    source.executions({ offset: 0, limit: CHOICES }, new URLSearchParams()),
    ids[0] && ids[1] ? compared(source, ids, agents) : null,
  ]);
  const to = {
    execution: (place) => links.execution(ids[place]).overview(),
    run: (place, run) => links.execution(ids[place]).run(run),
    name: (place, name) => executionName({ id: ids[place], name }),
  };
  const keys = { o: () => address.go(links.executions()) };
  if (found) keys.x = () => address.go(links.compare(ids[1], ids[0], exchanged(agents)));
  const choose = (place, id) => address.go(links.compare(place ? ids[0] : id, place ? id : ids[1]));
  const parts = [upLink(links), picker(rows, ids, choose), found ? null : invitation(rows), problemOf(found)];
  return {
    element: found?.overall ? comparison(found, to, parts) : emptyPage(parts),
    view: "compare",
    title: found?.second ? `Comparison of ${found.second.suite}` : "Compare",
    keys,
    help: [["o", "all executions"], ...(found ? [["x", "swap before and after"]] : [])],
  };
}

function named(query, names) {
  const given = names.filter((name) => query.get(name)).map((name) => [name, query.get(name)]);
  return given.length ? Object.fromEntries(given) : null;
}

function exchanged(agents) {
  const { firstAgent, secondAgent } = agents || {};
  return agents && { ...(secondAgent && { firstAgent: secondAgent }), ...(firstAgent && { secondAgent: firstAgent }) };
}

// What cannot be compared, because nothing is the same, is said beside the choice and not instead of it.
async function compared(source, [first, second], agents) {
  try {
    return await source.compare(first, second, agents || {});
  } catch (error) {
    if (error.status !== 422) throw error;
    return { problem: error.message };
  }
}

function problemOf(found) {
  return found?.problem ? h("p.told.o-undecided", { role: "status" }, text(found.problem)) : null;
}

function upLink(links) {
  return h("p.up", null, h("a", { href: links.executions() }, "← Executions"));
}

function picker(rows, ids, choose) {
  const field = (place, label) => {
    const here = rows.some((row) => row.id === ids[place]);
    const option = (id, word) => h("option", { value: id, selected: id === ids[place] }, word);
    return h(
      "div.field",
      null,
      h("label", { for: `side-${place}` }, label),
      h(
        "select",
        { id: `side-${place}`, onchange: (event) => choose(place, event.target.value || null) },
        option("", "Choose…"),
        ids[place] && !here ? option(ids[place], brief(ids[place], 80)) : null,
        rows.filter((row) => row.state !== "unreadable").map((row) => option(row.id, brief(nameOf(row), 80))),
      ),
    );
  };
  return h("div.picker", null, field(0, "Before"), field(1, "After"));
}

function nameOf(row) {
  return `${row.suite} · ${row.name}`;
}

function invitation(rows) {
  const told =
    rows.length > 1
      ? "Choose two executions of the same test cases."
      : "A comparison needs two executions of the same test cases.";
  return h("p.none", null, told);
}

function emptyPage([up, ...parts]) {
  return h(
    "main.page.compare",
    { id: "main", tabindex: "-1" },
    h("header.title", null, up, h("h1", null, "Compare")),
    parts,
  );
}

/**
 * @param {Object} found  what Comparison.as_data makes
 * @param {Object} to  both sides, by place: 0 before, 1 after
 * @param {function(number): ?string} to.execution  the link to an execution; null where there is no page
 * @param {function(number, string): ?string} to.run  the link to a run
 * @param {function(number, string): string} [to.name]  what people call an execution of that id
 * @param {Element[]} [parts]  what leads up from the page, and what stands below its title
 */
export function comparison(found, to, [up, ...parts] = []) {
  const { overall } = found;
  return h(
    "main.page.compare",
    { id: "main", tabindex: "-1" },
    h(
      "header.title",
      null,
      up,
      h("div", null, h("h1", null, text(found.second.suite)), verdictPill(overall.verdict)),
      h("p.lead", null, text(overall.reason), more(overall)),
    ),
    parts,
    sides(found, to),
    found.notes.map((note) => h("p.note", null, text(note))),
    casesSection(found),
    flipsSection(found, to),
    checksSection(found),
    measuresSection(found),
    changesSection(found),
    onlySection(found),
  );
}

function linked(href, content) {
  return href ? h("a", { href }, content) : h("span", null, content);
}

function verdictPill(word) {
  return h(`span.pill.large.o-${TONES[word]}`, null, `${SIGNS[word]} ${word}`);
}

function verdictMark(word) {
  return h(`span.verdict.o-${TONES[word]}`, null, h("b", { "aria-hidden": "true" }, SIGNS[word]), ` ${word}`);
}

function sides({ first, second, overall, confidence }, to) {
  const name = to.name || ((place, id) => id);
  const side = (word, one, rate, place) =>
    h(
      "div",
      null,
      h("dt", null, word),
      h(
        "dd",
        null,
        rate.value === null ? "–" : percent(rate.value),
        h("small", null, decidedText(rate)),
        h("small", null, linked(to.execution(place), text(name(place, one.id)))),
        h("small", null, when(one.started_at)),
        h("small", null, text(one.agents.join(", "))),
      ),
    );
  const { difference } = overall;
  const openCount = `${count(overall.undecided)} undecided`;
  return h(
    "section.totals.sides",
    null,
    h(
      "dl",
      null,
      side("before", first, overall.first, 0),
      side("after", second, overall.second, 1),
      h(
        `div.o-${TONES[overall.verdict]}`,
        null,
        h("dt", null, "difference"),
        h(
          "dd",
          null,
          points(difference.value),
          h("small", null, interval(difference), ` with ${percent(confidence)} confidence`),
          h("small", null, ["better", "worse", "tied"].map((word) => `${count(overall[word])} ${word}, `), openCount),
        ),
      ),
    ),
  );
}

// A difference of shares, in percentage points.
function points(value) {
  if (value === null || value === undefined) return "–";
  const whole = value * 100;
  return `${whole > 0 ? "+" : whole < 0 ? "−" : ""}${Math.abs(whole).toFixed(Math.abs(whole) < 10 ? 1 : 0)}`;
}

function interval({ low, high }) {
  return low === null || low === undefined ? "" : `${points(low)} to ${points(high)}`;
}

function casesSection({ cases }) {
  const sorted = [...cases].sort((one, other) => ORDER.indexOf(one.verdict) - ORDER.indexOf(other.verdict));
  const rows = sorted
    .slice(0, SHOWN)
    .map((item) =>
      h(
        "tr",
        null,
        h("td", null, verdictMark(item.verdict)),
        h("th", { scope: "row" }, text(item.title)),
        h("td.n", null, rateText(item.first)),
        h("td.n", null, rateText(item.second)),
        h("td.n", null, points(item.difference.value), h("small", null, ` ${interval(item.difference)}`)),
        h("td", null, text(item.reason), more(item)),
      ),
    );
  const counts = ORDER.map((word) => [word, cases.filter((item) => item.verdict === word).length]);
  const told = counts.filter(([, number]) => number).map(([word, number]) => `${count(number)} ${word}`);
  return h(
    "section",
    null,
    h("h2", null, "Test cases", h("small", null, told.join(", "))),
    table("Test cases", ["", "test case", "before", "after", "difference", "why"], rows),
    sorted.length > SHOWN ? h("p.note", null, `and ${plural(sorted.length - SHOWN, "more test case")}`) : null,
  );
}

function more({ further_trials: trials }) {
  return trials ? h("small.more-trials", null, ` About ${plural(trials, "more trial")} per side would decide.`) : null;
}

function flipsSection({ flips, flips_in_all: all }, to) {
  if (!flips.length) return null;
  const told = all > flips.length ? `${count(flips.length)} of ${count(all)}` : count(all);
  return h(
    "section",
    null,
    h("h2", null, "Trials that changed verdict", h("small", null, told)),
    flips.map((flip) => flipItem(flip, to)),
  );
}

function flipItem(flip, to) {
  const worse = flip.second.outcome === "fail";
  const apart = flip.apart_from;
  const details = h(
    `details.flip.o-${worse ? "fail" : "pass"}`,
    null,
    h(
      "summary",
      null,
      h("b", null, `${flip.first.outcome} → ${flip.second.outcome}`),
      " ",
      text(flip.title),
      ` #${flip.trial}`,
    ),
  );
  // Long conversations are drawn when somebody opens them.
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) details.append(sideBySide(flip, apart, to));
  });
  return details;
}

function sideBySide({ first, second }, apart, to) {
  const lines = Math.max(first.messages.length, second.messages.length);
  const rows = [];
  for (let place = 0; place < lines; place++) {
    const same = apart === null || place < apart;
    const cells = [first, second].map((side) => saidCell(side.messages[place]));
    rows.push(h(`tr${same ? ".same" : ""}`, null, cells));
  }
  const head = [first, second].map((side, place) =>
    h(
      "th",
      { scope: "col" },
      linked(to.run(place, side.run_id), place ? "after" : "before"),
      h("small", null, text(` ${side.outcome}${side.reason ? `: ${side.reason.slice(0, 300)}` : ""}`)),
    ),
  );
  return table("Both conversations", head, rows, "table.pair");
}

function saidCell(line) {
  if (!line) return h("td");
  return h("td", null, h("b", null, text(line.role)), longText(line.text));
}

function checksSection({ checks }) {
  if (!checks.length) return null;
  const sorted = [...checks].sort((one, other) => ORDER.indexOf(one.verdict) - ORDER.indexOf(other.verdict));
  const rows = sorted
    .slice(0, SHOWN)
    .map((item) =>
      h(
        "tr",
        null,
        h("th", { scope: "row" }, text(item.name)),
        h("td", null, verdictMark(item.verdict)),
        h("td.n", null, rateText(item.first)),
        h("td.n", null, rateText(item.second)),
        h("td.n", null, item.adjusted_p < 0.001 ? "< 0.001" : item.adjusted_p.toFixed(3)),
      ),
    );
  const head = ["check", "", "before", "after", "p"];
  return h("section", null, h("h2", null, "Checks over all runs"), table("Checks over all runs", head, rows));
}

const UNITS = { __proto__: null, USD: (value) => money(value), s: (value) => duration(value) };

function measuresSection({ measures }) {
  if (!measures.length) return null;
  const rows = measures.map((item) => {
    const shown = UNITS[item.unit] || ((value) => count(Math.round(value * 10) / 10));
    const signed = (value) =>
      value === null ? "–" : `${value > 0 ? "+" : value < 0 ? "−" : ""}${shown(Math.abs(value))}`;
    const ends =
      item.difference.low === null ? "" : `${signed(item.difference.low)} to ${signed(item.difference.high)}`;
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, text(item.name)),
      h("td.n", null, shown(item.first)),
      h("td.n", null, shown(item.second)),
      h("td.n", null, signed(item.difference.value), h("small", null, ` ${ends}`)),
    );
  });
  const head = ["", "before", "after", "difference"];
  return h("section", null, h("h2", null, "Per run, on average"), table("Per run, on average", head, rows));
}

function changesSection({ changes }) {
  if (!changes.length) return null;
  const items = changes.map((item) => {
    const name = [item.part, item.name].filter(Boolean).join(": ");
    const values = item.diff.length
      ? null
      : h("p", null, text(`${item.first ?? "nothing"} → ${item.second ?? "nothing"}`));
    const lines = item.diff.map((line) =>
      h(`span.line${line[0] === "+" ? ".added" : line[0] === "-" ? ".gone" : ""}`, null, text(line)),
    );
    const cases = item.cases === null ? null : h("small", null, ` in ${plural(item.cases, "test case")}`);
    return h("div.diff", null, h("b", null, text(name)), cases, values, lines.length ? h("pre", null, lines) : null);
  });
  return h("section", null, h("h2", null, "Configuration"), items);
}

function onlySection({ only_first: first, only_second: second }) {
  const part = (word, titles) =>
    titles.length
      ? h("p.note", null, `${word}: `, text(titles.slice(0, 20).join(", ") + (titles.length > 20 ? ", …" : "")))
      : null;
  const parts = [part("Only before", first), part("Only after", second)].filter(Boolean);
  return parts.length ? h("section", null, parts) : null;
}
