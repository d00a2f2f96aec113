// What the service can do with an execution: cancel it, run it again, make it the baseline, report it, delete it.

import { send } from "./api.js";
import { h } from "./dom.js";
import { plural } from "./format.js";
import { action, ask } from "./page_parts.js";

/** @returns {Element[]} */
export function executionTools(context) {
  const { address, execution, host, id, app } = context;
  const { totals, running, evalId } = execution;
  context.told ??= h("span.told", { role: "status", "data-key": "told" }); // one, however often it is drawn
  const { told } = context;
  const cancel = async () => {
    if (
      !(await ask(
        "Cancel the remaining runs?",
        "Queued runs are cancelled at once, running ones as soon as their workers respond.",
        "Cancel runs",
      ))
    )
      return null;
    const { data } = await send("POST", `/executions/${id}/cancel`);
    return `${plural(data.cancelled + data.stopping, "run")} cancelled.`;
  };
  const retry = async () => {
    const { data } = await send("POST", `/executions/${id}/retry`);
    await app.show(false);
    return `${plural(data.retried, "run")} in the queue again.`;
  };
  const again = async () => {
    const { data } = await send("POST", "/executions", { body: { eval_id: evalId } });
    address.go(address.href(["executions", String(data.id)]));
  };
  const baseline = async () => {
    const { data } = await send("POST", "/baselines", { body: { execution_id: Number(id) } });
    return `Set as the baseline “${data.name}” of its eval.`;
  };
  const remove = async () => {
    if (
      !(await ask(
        `Delete the execution ${execution.name}?`,
        "All its runs, journals and labels are deleted with it.",
        "Delete execution",
      ))
    )
      return;
    await send("DELETE", `/executions/${id}`);
    address.go(address.href([]));
  };
  const button = (key, label, work, kind = "button") => {
    const made = action(label, work, { kind, place: told });
    made.dataset.key = key;
    return made;
  };
  return [
    running ? button("cancel", "Cancel", cancel) : null,
    !running && totals.errors ? button("retry", "Retry errors", retry) : null,
    !running && evalId ? button("again", "Launch again", again) : null,
    h("a.button", { href: host.compare(null, id), "data-key": "compare" }, "Compare"),
    !running
      ? menu([
          evalId ? button("baseline", "Set as baseline", baseline) : null,
          reports(context),
          button("delete", "Delete", remove, "button.danger"),
        ])
      : null,
    told,
  ].filter(Boolean);
}

function menu(items) {
  return h("details.menu", { "data-key": "more" }, h("summary.button", null, "More"), h("div.menu-items", null, items));
}

function reports({ source, id }) {
  return ["html", "junit", "json", "md"].map((format) =>
    h(
      "a.button",
      { href: source.report(id, format), download: "" },
      `Report as ${{ html: "HTML", junit: "JUnit", json: "JSON", md: "Markdown" }[format]}`,
    ),
  );
}
