// Pass rates with what they are of and their intervals: all runs, pass^k, and every check over all runs.

import { h, text } from "./dom.js";
import { count, percent, plural } from "./format.js";
import { table } from "./tables.js";

const CHECKS = 200;

function ends(item) {
  if (item.low === null || item.value === null) return "";
  return ` [${percent(item.low).replace("%", "")}–${percent(item.high)}]`;
}

export function rateText(rate) {
  return rate.value === null ? "none decided" : `${percent(rate.value)} of ${count(rate.decided)}${ends(rate)}`;
}

/** The same without the share, where that stands above it. */
export function decidedText(rate) {
  return rate.value === null ? "none decided" : `of ${plural(rate.decided, "decided run")}${ends(rate)}`;
}

export function besideText(rate) {
  const parts = [
    [rate.undecided, "undecided"],
    [rate.errors, rate.errors === 1 ? "error" : "errors"],
    [rate.cancelled, "cancelled"],
  ];
  return parts
    .filter(([number]) => number)
    .map(([number, word]) => `${count(number)} ${word}`)
    .join(", ");
}

export function ratesSection(execution) {
  const { runs, checks, pass_k, spared } = execution.rates;
  if (runs.value === null) return null;
  const beside = besideText(runs);
  const first = [
    `${rateText(runs)} decided runs passed, with a ${percent(runs.confidence)} interval for scenarios like these.`,
    beside ? ` Not counted: ${beside}.` : "",
    spared ? ` ${plural(spared, "run")} not needed: test cases were decided before.` : "",
  ];
  const tables = [passKTable(pass_k), checksTable(execution)];
  return h("section", null, h("h2", null, "Pass rates"), h("p", null, first), tables);
}

function passKTable(rows) {
  if (!rows.length) return null;
  return ratesTable(
    ["k", "pass^k: all of k trials pass", "pass@k: any of k trials passes", "tasks"],
    rows.map((row) => [row.k, percent(row.hat.value) + ends(row.hat), percent(row.at.value) + ends(row.at), row.tasks]),
  );
}

function checksTable({ rates: { checks }, totals }) {
  if (!checks.length || totals.runs < 2) return null;
  const lowest = (item) => (item.rate.value === null ? 2 : item.rate.value);
  const shown = [...checks].sort((one, other) => lowest(one) - lowest(other)).slice(0, CHECKS);
  return ratesTable(
    ["check, over all runs", "pass rate", "errors", "skipped"],
    shown.map((item) => [text(item.name), rateText(item.rate), item.rate.errors || "", item.skipped || ""]),
  );
}

function ratesTable(head, rows) {
  const cells = (row) => row.map((value, place) => h(place ? "td.n" : "th", place ? null : { scope: "row" }, value));
  return table(
    "Pass rates",
    head,
    rows.map((row) => h("tr", null, cells(row))),
  );
}
