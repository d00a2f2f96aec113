// What was decided about a run: checks, criteria, guardrails, and the way through a workflow.

import { h, longText, text } from "./dom.js";
import { brief, count, pretty } from "./format.js";
import { WORDS, cites, mark } from "./verdicts.js";

const PASSED_SHOWN = 8;

export function checksBox(links, run) {
  if (!run.checks.length) return null;
  const order = { fail: 0, error: 1, pass: 2, skipped: 3 };
  const sorted = [...run.checks].sort((one, other) => order[one.status] - order[other.status]);
  const open = sorted.filter((item) => item.status === "fail" || item.status === "error");
  const rest = sorted.slice(open.length);
  const passed = rest.filter((item) => item.status === "pass").length;
  const skipped = rest.length > passed ? `, ${count(rest.length - passed)} skipped` : "";
  const items = (list) =>
    h(
      "ul.checks",
      null,
      list.map((item) => checkItem(links, run, item)),
    );
  const folds = rest.length > PASSED_SHOWN || open.length > 0;
  const others = !rest.length
    ? null
    : folds
      ? h("details", null, h("summary", null, `${count(passed)} passed${skipped}`), items(rest))
      : items(rest);
  return h(
    "section",
    null,
    h("h2", null, "Checks", h("small", null, `${passed} of ${run.checks.length} passed${skipped}`)),
    open.length ? items(open) : null,
    others,
  );
}

function checkItem(links, run, item) {
  const place = item.whole ? "conversation" : `turn ${item.turn + 1}`;
  const plain = item.score === undefined || item.score === (item.status === "pass" ? 1 : 0);
  const score = plain ? null : `score ${Number(item.score).toFixed(2)}`;
  const kind = item.kind && !item.name.startsWith(item.kind) ? item.kind : null;
  const details = item.details
    ? h(
        "details",
        null,
        h("summary", null, "Details"),
        longText(pretty(item.details), "pre"),
      )
    : null;
  return h(
    "li",
    null,
    mark(item.status),
    h(
      "div",
      null,
      h("b", null, text(item.name)),
      " ",
      cites(links, run, item.cites),
      h("small", null, text([place, score, kind].filter(Boolean).join(" · "))),
      item.why ? longText(item.why, "div.why") : null,
      details,
    ),
  );
}

function decisionItem(links, run, item) {
  return h(
    "li",
    null,
    mark(item.status, { pass: "met", fail: "not met", undecided: "not decided" }[item.status]),
    h(
      "div",
      null,
      h("b", { dir: "auto" }, text(brief(item.criterion, 2000))),
      " ",
      cites(links, run, item.cites),
      item.why ? longText(item.why, "div.why") : null,
    ),
  );
}

export function decisionsBox(links, run) {
  if (!run.decisions?.length && !run.judgements?.length) return null;
  const items = (run.decisions || []).map((item) => decisionItem(links, run, item));
  const words = (run.judgements || []).map((item) => [
    h(
      "p.why",
      { dir: "auto" },
      h("b", null, text(item.judge)),
      text(` turn ${item.turn + 1}, ${item.kind}${item.advisory ? ", advisory" : ""}: `),
      text(`${WORDS[item.verdict] || item.verdict}.`),
    ),
    item.reasoning ? longText(item.reasoning, "div.why") : null,
    item.decisions?.length
      ? h(
          "ul.checks",
          null,
          item.decisions.map((decided) => decisionItem(links, run, decided)),
        )
      : null,
  ]);
  return h("section", null, h("h2", null, "Judge"), h("ul.checks", null, items), words);
}

export function guardrailsBox(run) {
  if (!run.guardrails?.length && !run.workflow) return null;
  const items = (run.guardrails || []).map((item) =>
    h(
      "li",
      null,
      mark(item.passed ? "pass" : item.expected ? "skipped" : "fail"),
      h(
        "div",
        null,
        h("b", null, text(item.type)),
        h(
          "small",
          null,
          text(`turn ${item.turn + 1} · ${item.direction}${item.expected && !item.passed ? " · expected" : ""}`),
        ),
        item.explanation ? longText(item.explanation, "div.why") : null,
      ),
    ),
  );
  const steps = run.workflow
    ? run.workflow.transitions.map((step) =>
        h(
          "li",
          null,
          h(
            "div",
            null,
            text(`${step.from} → ${step.to}`),
            h("small", null, text(`${step.event ?? ""} · turn ${(step.turn ?? 0) + 1}`)),
          ),
        ),
      )
    : [];
  const flow = run.workflow
    ? [
        h(
          "h2",
          null,
          "Workflow",
          h("small", null, text(run.workflow.state + (run.workflow.complete ? ", complete" : ""))),
        ),
        h("ul.checks", null, steps),
      ]
    : [];
  return h("section", null, items.length ? [h("h2", null, "Guardrails"), h("ul.checks", null, items)] : null, flow);
}
