// Forms made from JSON Schemas: labels from names of fields, help from their descriptions, problems beside the field.
//
//   const form = schemaForm(schema, { value, layout, choices });
//   page.append(form.element);
//   form.value()            what is filled in; what is left empty is left out
//   form.changed            whether that is something else than at first
//   form.show(problems)     [{path, message}] as the service gives them; the rest stands above the form
//
// `layout`: {main: [names that are shown at once], hide: [names], long: [names of long texts]}. `choices`: by path of
// a field without numbers, such as "scenario_ids" or "turns.persona": [{value, label}].

import { Controls } from "./form_controls.js";
import { sameData } from "./form_fields.js";
import { h, text } from "./dom.js";

export function schemaForm(schema, { value = {}, layout = {}, choices = {}, special = {} } = {}) {
  const controls = new Controls(schema.$defs || {}, { choices, special, long: layout.long || [] });
  const summary = h("div.problems", { tabindex: "-1", hidden: true });
  const fields = controls.fields(schema, value, "", { main: layout.main, hide: layout.hide });
  const element = h("div.form", null, summary, fields.element);
  const before = structuredClone(fields.value());

  return {
    element,
    value: () => fields.value(),
    get changed() {
      return !sameData(before, fields.value());
    },
    // Problems of what was typed that no service need be asked about: JSON that is none, numbers that are none.
    wrong: () => controls.wrong(),
    show(problems, told = "") {
      const left = [];
      const links = [];
      controls.clear();
      for (const { path, message, at } of problems) {
        const field = controls.tell(path, message, at);
        if (field) links.push({ field, path, message });
        else left.push({ path, message });
      }
      const items = [
        ...links.map(({ field, path, message }) =>
          h(
            "li",
            null,
            h("a", { href: `#${field}`, onclick: (event) => jump(event, field) }, text(path)),
            ": ",
            text(message),
          ),
        ),
        ...left.map(({ path, message }) =>
          h("li", null, path ? [h("code", null, text(path)), ": "] : null, text(message)),
        ),
      ];
      const named = problems.filter(({ path }) => path).length;
      const words =
        named === 1 ? "Check one field" : named ? `Check ${named} fields` : "This cannot be saved";
      const head = problems.length ? words : told;
      summary.replaceChildren(...(head ? [h("p", { role: "alert" }, text(head)), h("ul", null, items)] : []));
      summary.hidden = !head;
      if (head) (links.length === 1 && !left.length ? document.getElementById(links[0].field) : summary)?.focus();
    },
  };
}

/** The fields that differ; null for those that were emptied. */
export function changesOf(before, now) {
  const found = {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(now)])) {
    if (!sameData(before[name], now[name])) found[name] = now[name] ?? null;
  }
  return found;
}

function jump(event, id) {
  event.preventDefault();
  const field = document.getElementById(id);
  open(field);
  field?.scrollIntoView({ block: "center" });
  field?.focus({ preventScroll: true });
}

function open(element) {
  for (let at = element; at; at = at.parentElement) if (at.tagName === "DETAILS") at.open = true;
}
