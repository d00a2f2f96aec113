// Verdicts as words, marks and badges. Every verdict has a mark of its own, so that nobody has to tell colours apart.

import { h, text } from "./dom.js";

export const MARKS = {
  pass: "✓",
  fail: "✗",
  undecided: "?",
  error: "!",
  cancelled: "–",
  skipped: "–",
  running: "•",
  queued: "·",
};
export const WORDS = {
  pass: "passed",
  fail: "failed",
  undecided: "undecided",
  error: "error",
  cancelled: "cancelled",
  running: "running",
};
export const OUTCOMES = ["pass", "fail", "undecided", "error", "cancelled"];

export function mark(outcome, label) {
  const word = WORDS[outcome] || outcome;
  return h(
    `span.mark.o-${outcome.replace(" ", "-")}`,
    { role: "img", "aria-label": label || word, title: word },
    MARKS[outcome] || "·",
  );
}

export function pill(outcome) {
  return h(`span.pill.o-${outcome}`, null, `${MARKS[outcome] || ""} ${WORDS[outcome] || outcome}`);
}

// Links to the messages that a check or a decision rests on. ids: of messages; links: see address.js.
export function cites(links, run, ids) {
  const known = new Set(run.messages.map((message) => message.id));
  return (ids || []).map((id) =>
    known.has(id)
      ? h("a.cite", { href: links.run(run.id, id), title: "Show this message" }, text(id))
      : h("span.cite.gone", { title: "This message is not in the conversation" }, text(id)),
  );
}

/** How many test cases had each outcome, the best first: ``[["pass", 3], …]``. */
export function outcomeCounts({ passed, failed, undecided, errors, cancelled }) {
  return [
    ["pass", passed],
    ["fail", failed],
    ["undecided", undecided],
    ["error", errors],
    ["cancelled", cancelled],
  ];
}

// A bar whose parts are as wide as the number of test cases with that outcome.
export function splitBar(totals) {
  const counts = outcomeCounts(totals);
  const known = counts.reduce((sum, [, number]) => sum + number, 0);
  const told = counts.map(([word, number]) => `${number} ${WORDS[word]}`).join(", ");
  const bar = h("div.split", { role: "img", "aria-label": told });
  for (const [word, number] of [...counts, ["not-run", totals.cases - known]]) {
    if (number <= 0) continue;
    const part = h(`i.o-${word}`);
    part.style.flexGrow = String(number);
    bar.append(part);
  }
  return bar;
}
