// Controls whose fields depend on a choice: the parameters of a check by its type, those of a runtime by its kind.

import { read } from "./api.js";
import { append, h, text } from "./dom.js";
import { helpNodes } from "./form_fields.js";
import { formSchema } from "./resource_pages.js";

let catalogue = null;
let runtimes = null;

/** A list of checks: each has a type, and the parameters of that type. */
export function checkControl(controls, spec) {
  return controls.list(spec, checkItem);
}

function checkItem(controls, spec) {
  const { kind, value, path } = spec;
  const select = h("select", { id: spec.id, "aria-label": "Type of check" });
  const summary = h("p.help");
  const params = h("div.nested");
  const rest = controls.fields(
    { ...kind, properties: without(kind.properties, ["type", "params"]), required: [] },
    value ?? {},
    path,
    { main: [] },
  );
  let inner = null;
  let turn = 0;
  const fill = async (type, given) => {
    const mine = (turn += 1);
    inner = given ? { value: () => given } : null;
    summary.replaceChildren(...helpNodes((await types()).find((item) => item.type === type)?.summary || "").flat());
    const schema = type ? await formSchema(`check-types/${encodeURIComponent(type)}`).catch(() => null) : null;
    if (mine !== turn) return;
    if (!schema) return params.replaceChildren();
    const outer = controls.defs;
    controls.defs = { ...outer, ...schema.$defs };
    const required = schema.required?.length ? schema.required : Object.keys(schema.properties || {}).slice(0, 3);
    inner = controls.fields(schema, given ?? {}, `${path}.params`, { main: required });
    params.replaceChildren(inner.element);
  };
  types().then((found) => {
    const families = Map.groupBy ? Map.groupBy(found, (item) => item.family) : grouped(found);
    append(select, [
      h("option", { value: "" }, "Choose…"),
      ...[...families].map(([family, items]) =>
        h(
          "optgroup",
          { label: family },
          items.map((item) => h("option", { value: item.type, selected: item.type === value?.type }, text(item.type))),
        ),
      ),
    ]);
    if (value?.type && select.value !== value.type)
      select.append(h("option", { value: value.type, selected: true }, text(value.type)));
  });
  if (value?.type) fill(value.type, value.params);
  select.addEventListener("change", () => fill(select.value, null));
  return {
    element: h("div.check", null, select, summary, params, rest.element),
    group: true,
    value: () => {
      const type = select.value || value?.type;
      const given = inner?.value();
      return {
        ...(type ? { type } : {}),
        ...(given && Object.keys(given).length ? { params: given } : {}),
        ...rest.value(),
      };
    },
  };
}

/** The configuration of a runtime: its kind, and what that takes. */
export function runtimeControl(controls, spec) {
  const { value, path } = spec;
  const select = h("select", { id: spec.id, "aria-label": "Kind of runtime" }, h("option", { value: "" }, "Default"));
  const summary = h("p.help");
  const params = h("div.nested");
  let inner = value ? { value: () => without(value, ["kind"]) } : null;
  const fill = async (kind, given) => {
    const found = (await kinds()).find((item) => item.kind === kind);
    summary.replaceChildren(...(found ? helpNodes(found.description).flat() : []));
    if (!found) {
      inner = null;
      return params.replaceChildren();
    }
    const schema = await formSchema(`runtimes/${found.mode}/${found.kind}`);
    controls.defs = { ...controls.defs, ...schema.$defs };
    inner = controls.fields({ ...schema, properties: without(schema.properties, ["kind"]) }, given ?? {}, path);
    return params.replaceChildren(inner.element);
  };
  kinds().then((found) => {
    append(
      select,
      found.map((item) =>
        h("option", { value: item.kind, selected: item.kind === value?.kind }, text(`${item.label} (${item.mode})`)),
      ),
    );
  });
  if (value?.kind) fill(value.kind, value);
  select.addEventListener("change", () => fill(select.value, null));
  return {
    element: h("div.check", null, select, summary, params),
    group: true,
    value: () => {
      const kind = select.value || (select.options.length > 1 ? "" : value?.kind);
      return kind ? { kind, ...inner?.value() } : undefined;
    },
  };
}

function types() {
  catalogue ??= read("/check-types").then(({ data }) => data);
  return catalogue;
}

function kinds() {
  runtimes ??= read("/runtimes").then(({ data }) => data);
  return runtimes;
}

function without(object, names) {
  return Object.fromEntries(Object.entries(object || {}).filter(([name]) => !names.includes(name)));
}

function grouped(items) {
  const found = new Map();
  for (const item of items) found.set(item.family, [...(found.get(item.family) || []), item]);
  return found;
}
