// An eval: launch it, its executions, its schedules, its baselines, and the suite file that it is.

import { all, page, read, send } from "./api.js";
import { h, text } from "./dom.js";
import { when } from "./format.js";
import { executionItems } from "./execution_rows.js";
import { formSchema } from "./resource_pages.js";
import { schemaForm } from "./form.js";
import { action, note } from "./page_parts.js";

export function evalTools(context, item) {
  return [action("Launch", () => launch(context, item.id, {}), { kind: "primary" })];
}

/** Put the runs of an eval into the queue, and show the execution. */
async function launch({ address }, evalId, fields) {
  const { data } = await send("POST", "/executions", { body: { eval_id: evalId, ...fields } });
  address.go(address.href(["executions", String(data.id)]));
}

export function evalParts(context, item) {
  return {
    before: [launchSection(context, item), executionsSection(context, item)],
    after: [schedulesSection(context, item), suiteSection(item)],
  };
}

function launchSection(context, item) {
  const place = h("div");
  const told = h("p.told", { role: "status" });
  let form = null;
  const open = async () => {
    if (form) return;
    form = schemaForm(await formSchema("executions"), {
      layout: { hide: ["eval_id"], main: ["name", "budget", "seed", "priority", "not_before"] },
    });
    const button = h("button.primary", { type: "submit" }, "Launch with these settings");
    const element = h(
      "form",
      { novalidate: true, "aria-label": "Launch settings" },
      form.element,
      h("div.form-tools", null, button, told),
    );
    element.addEventListener("submit", async (event) => {
      event.preventDefault();
      note(told, "");
      try {
        await launch(context, item.id, form.value());
      } catch (error) {
        form.show(error.problems || [], error.message);
      }
    });
    place.replaceChildren(element);
  };
  const box = h("details.fold", null, h("summary", null, "Launch with other settings"), place);
  box.addEventListener("toggle", () => box.open && open());
  return h("section.launching", null, box);
}

function executionsSection(context, item) {
  const place = h("div", null, h("p.none", null, "…"));
  const fill = async () => {
    const { data } = await page("/executions", { eval_id: item.id, limit: 10 });
    place.replaceChildren(data.length ? executionItems(context, data) : h("p.none", null, "Not launched yet."));
  };
  fill().catch((error) => note(place, error.message, "fail"));
  const compare = h("a", { href: context.address.href([], { suite: item.name }) }, "All executions and trend");
  return h("section", null, h("h2", null, "Executions"), place, h("p", null, compare));
}

function schedulesSection({ address }, item) {
  const schedules = h("ul.items.small");
  const row = (schedule) =>
    h(
      "li",
      null,
      h("a.name", { href: address.href(["define", "schedules", schedule.id]) }, text(schedule.cron)),
      h(
        "p.facts",
        null,
        scheduleFacts(schedule)
          .filter(Boolean)
          .map((fact) => h("span", null, text(fact))),
      ),
    );
  all("/schedules", { eval_id: item.id }).then(
    (found) => schedules.replaceChildren(...found.map(row)),
    (error) => schedules.replaceChildren(h("li.none", null, text(error.message))),
  );
  return h(
    "section",
    null,
    h("h2", null, "Schedules"),
    schedules,
    h("p", null, h("a", { href: address.href(["define", "schedules", "new"], { eval_id: item.id }) }, "New schedule")),
  );
}

function suiteSection(item) {
  const yaml = h("pre.suite", { hidden: true, tabindex: "0" });
  const show = action("Show as a suite file", async () => {
    const { suite } = await read(`/evals/${item.id}/suite`);
    yaml.replaceChildren(...text(suite));
    yaml.hidden = false;
  });
  const save = action("Save as a suite file", async () => {
    const { name, suite } = await read(`/evals/${item.id}/suite`);
    saveText(`${name.replace(/[^\w.-]+/g, "-") || "suite"}.yaml`, suite);
    return "Saved.";
  });
  return h(
    "section",
    null,
    h("h2", null, "Suite file"),
    h("p", null, "This eval with all that it refers to, for ", h("code", null, "duologue run"), "."),
    h("p.actions", null, show, save),
    yaml,
  );
}

/** Give the browser a text to save. */
function saveText(name, content) {
  const address = URL.createObjectURL(new Blob([content], { type: "text/plain" }));
  const link = h("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}

export function scheduleFacts(schedule) {
  return [
    schedule.timezone,
    schedule.enabled ? (schedule.next_at ? `next ${when(schedule.next_at)}` : null) : "off",
    schedule.last_at ? `last ${when(schedule.last_at)}` : null,
    schedule.last_error ? "failed" : null,
  ];
}
