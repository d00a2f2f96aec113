// Executions as a short list, such as those of one eval.

import { h, text } from "./dom.js";
import { executionName, percent, plural, since } from "./format.js";
import { mark } from "./verdicts.js";

/** @param {Object[]} executions  as the REST API answers them */
export function executionItems({ address }, executions) {
  return h(
    "ul.items",
    { "aria-label": "Executions" },
    executions.map((item) =>
      h(
        "li",
        null,
        h(
          "div",
          null,
          mark(outcomeOf(item)),
          " ",
          h("a.name", { href: address.href(["executions", String(item.id)]) }, text(executionName(item))),
        ),
        h(
          "p.facts",
          null,
          h("span", null, plural(item.counts.total, "run")),
          item.pass_rate === null ? null : h("span", null, `${percent(item.pass_rate)} passed`),
          h("span", null, since(item.created_at)),
        ),
      ),
    ),
  );
}

function outcomeOf({ status, counts }) {
  if (status === "queued" || status === "running") return status;
  if (counts.failed) return "fail";
  if (counts.error) return "error";
  if (counts.cancelled) return "cancelled";
  return counts.undecided || !counts.passed ? "undecided" : "pass";
}
