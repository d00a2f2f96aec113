// The matrix: scenarios down, agents across, each cell a test case coloured by its verdict.

import { h, text } from "./dom.js";
import { count, shortened } from "./format.js";
import { scrollable } from "./tables.js";
import { MARKS, WORDS } from "./verdicts.js";

const PAGE = 400;
const MISSING = 20;

/**
 * @param {Execution} execution
 * @param {Object} links
 * @param {function({offset: number, limit: number}): Promise<MatrixRow[]>} more  gives all rows in the plan's order
 */
export function matrixSection(execution, links, more) {
  const { agents, rows, total } = execution.matrix;
  if (!rows.length) return h("section", null, h("h2", null, "Scenarios"), nothing(execution), missing(execution));
  const head = agents.map((name) => h("th", { scope: "col", title: name }, text(shortened(name || "recording", 48))));
  const body = h("tbody", null, matrixRows(rows, agents, links));
  return h(
    "section.scenarios",
    null,
    h("h2", null, "Scenarios"),
    scrollable("Scenarios by agent", h("table.matrix", null, h("thead", null, h("tr", null, h("td"), head)), body)),
    total > rows.length ? moreRows(total, body, agents, links, more) : null,
    missing(execution),
  );
}

function nothing(execution) {
  return h("p.none", null, execution.running ? "No run has finished yet." : "Nothing was run.");
}

// Of very many rows those that did not pass come first, and the rest waits until somebody asks for it.
function moreRows(total, body, agents, links, more) {
  const button = h("button.more", { type: "button" }, `Show all ${count(total)} rows`);
  const note = h("p.note", null, "Those that did not pass come first. ", button);
  let shown = 0;
  button.addEventListener("click", async () => {
    const rows = await more({ offset: shown, limit: PAGE }).catch((error) => error);
    if (rows instanceof Error) return note.replaceChildren(button, " ", ...text(rows.message));
    if (!shown) body.replaceChildren();
    body.append(...matrixRows(rows, agents, links));
    shown += rows.length;
    if (shown >= total || !rows.length) return note.remove();
    return note.replaceChildren(button, ` ${count(shown)} of ${count(total)}`);
  });
  return note;
}

function matrixRows(rows, agents, links) {
  return rows.map((row, index) => {
    const same = index && rows[index - 1].scenario === row.scenario;
    const varied = row.varied ? h("small", null, text(row.varied)) : null;
    const name = h(`th${same ? ".same" : ""}`, { scope: "row" }, h("span", null, text(row.scenario)), varied);
    const cell = (agent) => (Object.hasOwn(row.cells, agent) ? matrixCell(row.cells[agent], links) : null);
    return h(
      "tr",
      null,
      name,
      agents.map((agent) => h("td", null, cell(agent))),
    );
  });
}

/** @param {Cell} cell */
function matrixCell(cell, links) {
  const { outcome, runs, passed, title } = cell;
  const word = runs > 1 ? `${passed} of ${runs}` : WORDS[outcome] || outcome;
  const href = runs > 1 ? links.runs({ q: title }) : links.run(cell.run);
  return h(
    `a.cell.o-${outcome}`,
    { href, title: `${title}: ${WORDS[outcome] || outcome}` },
    h("b", { "aria-hidden": "true" }, MARKS[outcome]),
    word,
  );
}

function missing({ missing: titles, missingTotal, running }) {
  if (!missingTotal) return null;
  const names = titles.slice(0, MISSING).join(", ");
  const all = missingTotal > MISSING ? `${names}, …` : names;
  return h("p.note", null, running ? "Still to run: " : "Not run: ", text(all));
}
