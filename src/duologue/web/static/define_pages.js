// What can be defined, at a glance, and the import of suite files.

import { Problem, send } from "./api.js";
import { h, text } from "./dom.js";
import { plural } from "./format.js";
import { action } from "./page_parts.js";
import { RESOURCES, counts } from "./resources.js";

export async function definePage({ address }) {
  const numbers = await counts();
  const cards = [...RESOURCES.values()].map((resource) => {
    const number = numbers.get(resource.name);
    return h(
      "li",
      null,
      h(
        "a.card",
        { href: address.href(resource.at) },
        h("b", null, resource.many),
        h("span.number", null, number === "0" ? "none yet" : number),
        h("p", null, resource.about),
      ),
    );
  });
  return {
    element: h(
      "main.page",
      { id: "main", tabindex: "-1" },
      h(
        "header.title",
        null,
        h(
          "div",
          null,
          h("h1", null, "Define"),
          h("div.tools", null, h("a.button", { href: address.href(["define", "import"]) }, "Import a suite file")),
        ),
        h("p.lead", null, "What to rehearse, with whom, against which agent, and when."),
      ),
      numbers.get("evals") === "0" ? steps(address, numbers) : null,
      h("ul.cards", null, cards),
    ),
    view: "define",
    title: "Define",
  };
}

// The way to a first execution: what is there already is ticked off.
function steps(address, numbers) {
  const has = (name) => numbers.get(name) !== "0";
  const all = [
    ["connectors", "Connect your agent, and test that it answers", has("connectors") || has("agents")],
    ["personas", "Describe who talks to it", has("personas")],
    ["scenarios", "Write a situation, and what counts as success", has("scenarios")],
    ["evals", "Combine them in an eval, and launch it", has("evals")],
  ];
  const next = all.find(([, , done]) => !done)?.[0];
  const items = all.map(([name, told, done]) =>
    h(
      `li${done ? ".done" : ""}`,
      null,
      h("span.tick", { "aria-hidden": "true" }, done ? "✓" : ""),
      done
        ? h("span", null, told, h("small", null, " done"))
        : h(name === next ? "a.button.primary" : "a", { href: address.href(["define", name, "new"]) }, told),
    ),
  );
  return h(
    "section.steps-to-do",
    { "aria-label": "First steps" },
    h("h2", null, "Four steps to a first result"),
    h("ol", null, items),
  );
}

export async function importPage({ address }) {
  const field = h("textarea.data.whole", {
    id: "suite",
    rows: "18",
    spellcheck: "false",
    "aria-describedby": "suite-help suite-problems",
    placeholder: "apiVersion: duologue/v1\nkind: Suite\nmetadata: {name: refunds}\nspec:\n  …",
  });
  const file = h("input", { type: "file", id: "suite-file", accept: ".yaml,.yml,.json" });
  file.addEventListener("change", async () => {
    if (file.files[0]) field.value = await file.files[0].text();
  });
  const problems = h("div.problems", { id: "suite-problems", tabindex: "-1", hidden: true });
  const done = h("div", { role: "status" });
  const told = h("span.told", { role: "status" });
  const show = (list, head) => {
    problems.replaceChildren(
      h("p", null, text(head)),
      h(
        "ul",
        null,
        list.map(({ path, message }) => h("li", null, path ? h("code", null, text(path)) : null, " ", text(message))),
      ),
    );
    problems.hidden = !head;
    if (head) problems.focus();
  };
  const post = async (only) => {
    show([], "");
    done.replaceChildren();
    if (!field.value.trim()) return show([], "Paste a suite file, or choose one.");
    try {
      const { data } = await send("POST", "/suites", {
        body: { suite: field.value },
        query: { validate_only: only || undefined },
      });
      return done.replaceChildren(result(address, data, only));
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      return show(
        error.problems,
        error.problems.length ? `${plural(error.problems.length, "problem")}: nothing was imported` : error.message,
      );
    }
  };
  return {
    element: h(
      "main.page.resource",
      { id: "main", tabindex: "-1" },
      h("p.up", null, h("a", { href: address.href(["define"]) }, "← Define")),
      h("h1", null, "Import a suite file"),
      h(
        "p.lead",
        { id: "suite-help" },
        "Its personas, scenarios and agents are saved, and an eval for each agent: all of them or none. ",
        "A suite is one file here, with everything in it.",
      ),
      h(
        "div.fields",
        null,
        h("div.field", null, h("label", { for: "suite-file" }, "File"), file),
        h("div.field", null, h("label", { for: "suite" }, "Suite, in YAML or JSON"), field),
        problems,
      ),
      h(
        "p.actions",
        null,
        action("Check for problems", () => post(true), { place: told, kind: "button" }),
        action("Import", () => post(false), { place: told, kind: "primary" }),
        told,
      ),
      done,
    ),
    view: "define",
    title: "Import a suite file",
  };
}

function result(address, data, only) {
  const kinds = ["personas", "scenarios", "agents", "evals"].filter((name) => Object.keys(data[name]).length);
  const list = kinds.map((kind) =>
    h(
      "li",
      null,
      h("b", null, RESOURCES.get(kind).many),
      " ",
      Object.entries(data[kind]).map(([name, id], index) => [
        index ? ", " : "",
        only ? h("span", null, text(name)) : h("a", { href: address.href(["define", kind, id]) }, text(name)),
      ]),
    ),
  );
  const warnings = data.warnings.map(({ path, message }) =>
    h("li", null, h("code", null, text(path)), " ", text(message)),
  );
  return h(
    "section",
    null,
    h("h2", null, only ? "This would be imported" : "Imported"),
    h("ul.plain", null, list),
    warnings.length ? [h("h3", null, "Not imported"), h("ul.plain", null, warnings)] : null,
  );
}
