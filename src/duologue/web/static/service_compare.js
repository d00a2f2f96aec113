// Two executions of the same test cases: what became better or worse, and how sure that is.

import { h, longText, text } from "./dom.js";
import { duration, money, percent, plural, when } from "./format.js";
import { rateText } from "./rates.js";
import { table } from "./tables.js";
import { mark } from "./verdicts.js";

const MARKS = { better: "▲", worse: "▼", tied: "=", undecided: "?" };
const TONE = { better: "pass", worse: "fail", tied: "none", undecided: "undecided" };
const ORDER = ["worse", "better", "undecided", "tied"];
const SHOWN = 500;

/** @returns {Promise<Page>} */
export async function comparePage(context, place) {
  const { source, address } = context;
  const [first, second] = [place.query.get("first"), place.query.get("second")];
  const { rows } = await source.executions({ offset: 0, limit: 200 }, new URLSearchParams());
  const go = (name, value) =>
    address.go(address.href(["compare"], { ...Object.fromEntries(place.query), [name]: value }));
  const pick = (name, label, value) =>
    h(
      "div.field",
      null,
      h("label", { for: name }, label),
      h(
        "select",
        { id: name, onchange: (event) => go(name, event.target.value) },
        h("option", { value: "" }, "Choose…"),
        rows.map((row) =>
          h("option", { value: row.id, selected: row.id === value }, text(`${row.suite} · ${row.name}`)),
        ),
      ),
    );
  const picker = h("div.picker", null, pick("first", "Before", first), pick("second", "After", second));
  const body =
    first && second
      ? await comparison(context, first, second)
      : h(
          "p.none",
          null,
          rows.length > 1
            ? "Choose two executions of the same test cases."
            : "A comparison needs two executions of the same test cases.",
        );
  return {
    element: h(
      "main.page.compare",
      { id: "main", tabindex: "-1" },
      h(
        "header.title",
        null,
        h("p.up", null, h("a", { href: address.href([]) }, "← Executions")),
        h("h1", null, "Compare"),
      ),
      picker,
      body,
    ),
    view: "executions",
    title: "Compare",
    keys: { o: () => address.go(address.href([])) },
    help: [["o", "all executions"]],
  };
}

async function comparison({ source, address }, first, second) {
  let found;
  try {
    found = await source.compare(first, second);
  } catch (error) {
    if (error.status !== 422) throw error;
    return h("p.told.o-undecided", { role: "status" }, text(error.message));
  }
  const runLink = (side, run) => address.href(["executions", side === "first" ? first : second, "run", run.run_id]);
  return [
    overall(found),
    cases(found),
    flips(found, runLink),
    checks(found),
    measures(found),
    changes(found),
    notes(found),
  ];
}

function overall({ overall: found, first, second, confidence }) {
  const counts = ORDER.map((word) =>
    h(`div.o-${found[word] ? TONE[word] : "none"}`, null, h("dt", null, word), h("dd", null, String(found[word]))),
  );
  const rows = [
    ["before", `${rateText(found.first)}, ${when(first.started_at)}`],
    ["after", `${rateText(found.second)}, ${when(second.started_at)}`],
    ["difference", differenceText(found.difference)],
    found.further_trials ? ["open", `some ${plural(found.further_trials, "more trial")} of each would tell`] : null,
  ].filter(Boolean);
  const head = h(
    "section.totals",
    null,
    h(
      "h2",
      null,
      h(`span.pill.large.o-${TONE[found.verdict]}`, null, `${MARKS[found.verdict]} ${found.verdict}`),
      h("small", null, text(found.reason)),
    ),
    h("dl", null, counts),
  );
  const list = rows.map(([name, value]) => h("div", null, h("dt", null, name), h("dd", null, value)));
  return [
    head,
    h("dl.pairs", null, list),
    h("p.note", null, `Intervals and verdicts are of ${percent(confidence)} confidence.`),
  ];
}

function points(value) {
  const rounded = Math.round(value * 1000) / 10;
  return `${rounded > 0 ? "+" : ""}${rounded}`;
}

function differenceText(found) {
  if (found.value === null) return "unknown";
  const ends = found.low === null || found.low === undefined ? "" : ` [${points(found.low)} to ${points(found.high)}]`;
  return `${points(found.value)} points${ends}`;
}

function badge(verdict) {
  return h(`span.mark.o-${TONE[verdict]}`, { role: "img", "aria-label": verdict, title: verdict }, MARKS[verdict]);
}

function cases({ cases: all, only_first: gone, only_second: fresh }) {
  const sorted = [...all]
    .sort((one, other) => ORDER.indexOf(one.verdict) - ORDER.indexOf(other.verdict))
    .slice(0, SHOWN);
  const rows = sorted.map((item) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, badge(item.verdict), " ", text(item.title)),
      h("td", null, rateText(item.first)),
      h("td", null, rateText(item.second)),
      h("td", null, differenceText(item.difference)),
      h("td", null, text(item.reason)),
    ),
  );
  const only = (list, word) =>
    list.length
      ? h("p.note", null, `${word}: `, text(list.slice(0, 20).join(", ")), list.length > 20 ? ", …" : "")
      : null;
  return h(
    "section",
    null,
    h("h2", null, "Test cases"),
    table("Test cases", ["test case", "before", "after", "difference", "why"], rows),
    only(gone, "Only before"),
    only(fresh, "Only after"),
  );
}

function flips({ flips: found, flips_in_all: number }, runLink) {
  if (!found.length) return null;
  const items = found.map((flip) => {
    const worse = flip.second.outcome === "fail";
    const side = (name) => {
      const run = flip[name];
      const lines = run.messages.map((line, index) =>
        h(
          `li.message.${line.role}${index === flip.apart_from ? ".apart" : ""}`,
          null,
          h("div.head", null, h("b", null, text(line.role))),
          longText(line.text),
        ),
      );
      return h(
        "div",
        null,
        h(
          "p",
          null,
          mark(run.outcome),
          " ",
          h("a", { href: runLink(name, run) }, name === "first" ? "Before" : "After"),
        ),
        run.reason ? h("p.note", { dir: "auto" }, text(run.reason)) : null,
        h("ol.messages", null, lines),
      );
    };
    return h(
      "details.flipped",
      null,
      h(
        "summary",
        null,
        badge(worse ? "worse" : "better"),
        " ",
        text(flip.title),
        h("small", null, text(` trial ${flip.trial}`)),
      ),
      h("div.both-sides", null, side("first"), side("second")),
    );
  });
  return h(
    "section",
    null,
    h(
      "h2",
      null,
      "Trials with another verdict",
      h("small", null, number > found.length ? `${found.length} of ${number}` : String(number)),
    ),
    items,
  );
}

function checks({ checks: found }) {
  if (!found.length) return null;
  const rows = found.map((item) =>
    h(
      "tr",
      null,
      h("th", { scope: "row" }, badge(item.verdict), " ", text(item.name)),
      h("td", null, rateText(item.first)),
      h("td", null, rateText(item.second)),
    ),
  );
  return h("section", null, h("h2", null, "Checks"), table("Checks", ["check", "before", "after"], rows));
}

function amount(value, unit) {
  if (unit === "USD") return money(value);
  return unit === "s" ? duration(value) : value.toLocaleString("en-US", { maximumFractionDigits: 1 });
}

function signed(value, unit) {
  return `${value > 0 ? "+" : value < 0 ? "−" : ""}${amount(Math.abs(value), unit)}`;
}

function measures({ measures: found }) {
  if (!found.length) return null;
  const rows = found.map((item) => {
    const { value, low, high } = item.difference;
    const ends = low === null || high === null ? "" : ` [${signed(low, item.unit)} to ${signed(high, item.unit)}]`;
    return h(
      "tr",
      null,
      h("th", { scope: "row" }, item.name),
      h("td", null, amount(item.first, item.unit)),
      h("td", null, amount(item.second, item.unit)),
      h("td", null, value === null ? "unknown" : signed(value, item.unit) + ends),
    );
  });
  return h(
    "section",
    null,
    h("h2", null, "Cost, time and length"),
    table("Cost, time and length", ["mean of a run", "before", "after", "difference"], rows),
  );
}

function changes({ changes: found }) {
  const rows = found.map((item) =>
    h(
      "div",
      null,
      h("dt", null, text([item.part, item.name].filter(Boolean).join(" "))),
      h(
        "dd",
        null,
        item.diff.length
          ? h(
              "pre.lines",
              null,
              item.diff.map((line) =>
                h(line.startsWith("-") ? "del" : line.startsWith("+") ? "ins" : "span", null, text(line), "\n"),
              ),
            )
          : [h("del", null, text(item.first ?? "none")), " ", h("ins", null, text(item.second ?? "none"))],
      ),
    ),
  );
  return h(
    "section",
    null,
    h("h2", null, "What is configured differently"),
    rows.length ? h("dl.differing", null, rows) : h("p.none", null, "Nothing that is known."),
  );
}

function notes({ notes: found }) {
  return found.length
    ? h(
        "section",
        null,
        h("h2", null, "Notes"),
        found.map((told) => h("p.note", null, text(told))),
      )
    : null;
}
