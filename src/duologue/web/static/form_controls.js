// The controls of forms, one for each kind of value that a JSON Schema can ask for. Parts that are folded are made when
// they are opened, so that schemas which contain themselves end, and a form with a hundred fields opens at once.

import { append, h, text } from "./dom.js";
import {
  area,
  data,
  emptyWord,
  flag,
  helpNodes,
  isUsual,
  labelOf,
  line,
  numberOf,
  oneOf,
  scalarOf,
  several,
  textOf,
} from "./form_fields.js";

const LONG = /(description|content|prompt|template|criteria|note|rubric|reason|instructions?|text|message|about)$/;

const ROW = /\[#?\d+\]/g;

let made = 0; // controls, for their ids

// Of parts with many fields, those that are shown at once; by the name of the part in the schema.
const PARTS = {
  Turn: ["role", "content"],
  SeedMessage: ["role", "content"],
  Agent: ["name", "description", "model", "prompt", "http", "runtime", "platform", "platform_agent_id"],
  Prompt: ["name", "task", "system_template", "variables", "values"],
  Tool: ["name", "description", "input_schema", "mode", "mock_result"],
  Model: ["name", "provider", "model", "base_url", "credential"],
  Fragment: ["name", "content"],
  HttpEndpoint: ["url", "preset", "headers"],
  RunConfig: ["mode", "runtime", "max_turns", "judge"],
  Defaults: ["budget", "run_budget", "concurrency", "run_timeout", "temperature"],
  ProjectSettings: ["evaluation_model", "persona_model", "models", "defaults"],
};

export class Controls {
  constructor(defs, { choices, special, long }) {
    this.defs = defs;
    this.choices = choices;
    this.special = special;
    this.long = new Set(long);
    this.places = new Map(); // path -> {control, told}; rows are named by a key, as in "turns[#7].content"
    this.lists = new Map(); // path of a list -> its rows as they stand
  }

  // A schema without references and without null: {...schema, nullable}.
  plain(schema) {
    let found = schema;
    let nullable = false;
    for (let depth = 0; depth < 8; depth += 1) {
      if (found.$ref) {
        const { $ref, ...rest } = found;
        const part = $ref.split("/").pop();
        found = { ...this.defs[part], ...rest, part };
      } else if (found.anyOf || found.oneOf) {
        const { anyOf, oneOf, ...rest } = found;
        const kinds = (anyOf || oneOf).filter((item) => item.type !== "null");
        nullable ||= kinds.length < (anyOf || oneOf).length;
        if (kinds.length > 1) return { ...rest, kinds, nullable };
        found = { ...kinds[0], ...rest };
      } else if (found.allOf?.length === 1) {
        const { allOf, ...rest } = found;
        found = { ...allOf[0], ...rest };
      } else break;
    }
    return { ...found, nullable };
  }

  // The fields of an object.
  fields(schema, value, path, { main, hide = [] } = {}) {
    const all = Object.entries(schema.properties || {}).filter(([name]) => !hide.includes(name));
    const required = new Set(schema.required || []);
    const parts = new Map();
    const make = ([name, field]) => {
      const given = value?.[name];
      const at = path ? `${path}.${name}` : name;
      const made = this.field(name, field, given, at, required.has(name));
      parts.set(name, made);
      return made.element;
    };
    const shown = main ? main.map((name) => all.find(([other]) => other === name)).filter(Boolean) : all;
    const rest = main ? all.filter(([name]) => !main.includes(name)) : [];
    const element = h("div.fields", null, shown.map(make));
    const set = rest.filter(([name, field]) => !isUsual(this.plain(field), value?.[name]));
    // What is set stands with the others, so that nothing that matters is hidden.
    element.append(...set.map(make));
    const folded = rest.filter((item) => !set.includes(item));
    if (folded.length) {
      const body = h("div.fields");
      let filled = false;
      const fill = () => {
        if (filled) return;
        filled = true;
        append(body, folded.map(make));
      };
      const names = folded.map(([name]) => (path ? `${path}.${name}` : name));
      element.append(this.fold(`More settings`, folded.length, body, fill, names));
    }
    return {
      element,
      value: () => {
        const found = {};
        for (const [name, part] of parts) {
          const one = part.value();
          if (one !== undefined) found[name] = one;
        }
        return found;
      },
    };
  }

  // A part that is made when it is opened.
  fold(label, count, body, fill, names) {
    const summary = h("summary", null, label, count ? h("small", null, ` ${count}`) : null);
    const element = h("details.fold", null, summary, body);
    element.addEventListener("toggle", () => element.open && fill());
    for (const name of names) {
      this.places.set(name, {
        later: () => {
          fill();
          element.open = true;
        },
      });
    }
    return element;
  }

  field(name, schema, value, path, required) {
    const kind = this.plain(schema);
    const id = `f${(made += 1)}`;
    const label = this.choicesOf(path, name) ? labelOf(name.replace(/_ids$/, "s").replace(/_id$/, "")) : labelOf(name);
    const help = kind.description ? h("p.help", { id: `${id}-help` }, helpNodes(kind.description)) : null;
    const told = h("p.problem", { id: `${id}-problem`, hidden: true });
    const described = [help ? `${id}-help` : null, `${id}-problem`].filter(Boolean).join(" ");
    const control = this.control({ id, name, kind, value, path, required, label, described });
    this.places.set(path, { control, told });
    const mark = required ? h("span.needed", null, " required") : null;
    const body = control.group
      ? h(
          "fieldset.field",
          { "aria-describedby": described },
          h("legend", null, label, mark),
          help,
          control.element,
          told,
        )
      : h("div.field", null, h("label", { for: id }, label, mark), help, control.element, told);
    return { element: body, value: control.value };
  }

  choicesOf(path, name) {
    return this.choices[path.replace(ROW, "")] || this.choices[name];
  }

  control(spec) {
    const { kind, path, name } = spec;
    const simple = path.replace(ROW, "");
    if (this.special[simple] || this.special[name]) return (this.special[simple] || this.special[name])(this, spec);
    const choices = this.choicesOf(path, name);
    if (choices && kind.type === "array") return several(spec, choices);
    if (choices) return oneOf(spec, choices, spec.required ? "Choose…" : "None");
    if (kind.kinds) return this.union(spec);
    if (kind.enum)
      return oneOf(
        spec,
        kind.enum.map((value) => ({ value, label: String(value) })),
        emptyWord(kind),
      );
    if (kind.const !== undefined)
      return oneOf(spec, [{ value: kind.const, label: String(kind.const) }], emptyWord(kind));
    if (kind.type === "boolean") return flag(spec);
    if (kind.type === "integer" || kind.type === "number") return line(spec, numberOf(kind.type));
    if (kind.type === "array") return this.list(spec);
    if (kind.type === "object" && kind.properties) return this.object(spec);
    if (kind.type === "object" && (kind.additionalProperties?.type === "string" || kind.additionalProperties?.enum))
      return this.pairs(spec);
    if (kind.type === "string")
      return this.long.has(simple) || this.long.has(name) || LONG.test(name) ? area(spec) : line(spec, textOf);
    return data(spec);
  }

  // Several kinds of values: as text if all of them can be written in a line, else whichever is chosen.
  union(spec) {
    const kinds = spec.kind.kinds.map((item) => this.plain(item));
    if (kinds.every((item) => /^(string|number|integer)$/.test(item.type))) return line(spec, scalarOf(kinds));
    return data(spec);
  }

  object(spec) {
    const { kind, value, path, required, label } = spec;
    const body = h("div.nested");
    const there = !isUsual(kind, value);
    let inner = null;
    const fill = () => {
      if (inner) return;
      inner = this.fields(kind, value ?? (typeof kind.default === "object" ? kind.default : {}) ?? {}, path, {
        main: PARTS[kind.part],
      });
      append(body, [inner.element]);
    };
    const names = Object.keys(kind.properties).map((name) => `${path}.${name}`);
    if (there || required) {
      fill();
      return { element: body, group: true, value: () => this.filled(inner.value(), required || there) };
    }
    const element = this.fold(`Set ${label.toLowerCase()}`, 0, body, fill, names);
    return { element, group: true, value: () => (inner ? this.filled(inner.value(), required) : undefined) };
  }

  filled(value, keep) {
    return Object.keys(value).length || keep ? value : undefined;
  }

  // `maker` makes the control of an item in place of that which its schema asks for.
  list(spec, maker = null) {
    const { kind, value, path, label, name } = spec;
    const items = [];
    this.lists.set(path, items);
    const item = this.plain(kind.items || {});
    const one = singular(label);
    const rows = h("ol.rows", { "aria-label": label });
    const simple = !maker && !(item.type === "object" || item.type === "array" || item.kinds);
    const add = h("button.add", { type: "button", onclick: () => make(undefined, true) }, `Add ${one.toLowerCase()}`);
    const make = (given, focus) => {
      const key = `[#${(made += 1)}]`; // its number changes when rows before it go
      const at = path + key;
      const id = `f${made}`;
      const told = h("p.problem", { id: `${id}-problem`, hidden: true });
      const wanted = {
        id,
        name,
        kind: item,
        value: given,
        path: at,
        required: true,
        label: one,
        described: `${id}-problem`,
        labelled: true,
      };
      const control = maker ? maker(this, wanted) : this.control(wanted);
      const remove = h("button.remove", { type: "button" }, "Remove");
      const row = h(simple ? "li.row" : "li.row.card", null, control.element, h("div.row-tools", null, remove), told);
      const entry = { control, told, row, remove, key };
      this.places.set(at, entry);
      remove.addEventListener("click", () => {
        const index = items.indexOf(entry);
        items.splice(index, 1);
        row.remove();
        number();
        (items[Math.min(index, items.length - 1)]?.remove || add).focus();
      });
      items.push(entry);
      rows.append(row);
      number();
      if (focus) (row.querySelector("input, textarea, select, summary") || remove).focus();
    };
    const number = () => {
      items.forEach((entry, index) => {
        entry.remove.setAttribute("aria-label", `Remove ${one.toLowerCase()} ${index + 1}`);
        const field = entry.row.querySelector(":scope > input, :scope > textarea, :scope > select");
        field?.setAttribute("aria-label", `${one} ${index + 1}`);
        if (!simple) entry.row.setAttribute("aria-label", `${one} ${index + 1}`);
      });
    };
    for (const given of value ?? kind.default ?? []) make(given, false);
    return {
      element: h("div.list", { id: spec.id, tabindex: "-1" }, rows, add),
      group: true,
      value: () => {
        const found = items.map((entry) => entry.control.value()).filter((one) => one !== undefined);
        return found.length ? found : undefined;
      },
    };
  }

  // Names and texts.
  pairs(spec) {
    const { value, label, kind } = spec;
    const rows = h("ol.rows", { "aria-label": label });
    const entries = [];
    const one = singular(label).toLowerCase();
    const options = kind.additionalProperties?.enum;
    const add = h("button.add", { type: "button", onclick: () => make("", "", true) }, `Add ${one}`);
    const make = (name, given, focus) => {
      const key = h("input", {
        type: "text",
        value: name,
        "aria-label": `Name of ${one}`,
        placeholder: "name",
        autocomplete: "off",
        spellcheck: "false",
      });
      const content = options
        ? h(
            "select",
            { "aria-label": `Value of ${one}` },
            options.map((item) => h("option", { value: item, selected: item === given }, item)),
          )
        : h("input", {
            type: "text",
            value: given,
            "aria-label": `Value of ${one}`,
            placeholder: "value",
            autocomplete: "off",
          });
      const remove = h("button.remove", { type: "button", "aria-label": `Remove ${one}` }, "Remove");
      const row = h("li.row.pair", null, key, content, h("div.row-tools", null, remove));
      const entry = { key, content };
      remove.addEventListener("click", () => {
        entries.splice(entries.indexOf(entry), 1);
        row.remove();
        add.focus();
      });
      entries.push(entry);
      rows.append(row);
      if (focus) key.focus();
    };
    for (const [name, given] of Object.entries(value ?? {})) make(name, given, false);
    return {
      element: h("div.list", { id: spec.id, tabindex: "-1" }, rows, add),
      group: true,
      value: () => {
        const found = Object.fromEntries(
          entries.filter(({ key }) => key.value.trim()).map(({ key, content }) => [key.value.trim(), content.value]),
        );
        return Object.keys(found).length ? found : undefined;
      },
      wrong: () => {
        const names = entries.map(({ key }) => key.value.trim());
        if (entries.some(({ content }, index) => !names[index] && content.value && !options))
          return "a value has no name; give it one, or remove it";
        const twice = names.find((name, index) => name && names.indexOf(name) !== index);
        return twice === undefined ? undefined : `found the name “${twice}” twice; each stands for one value`;
      },
    };
  }

  wrong() {
    const found = [];
    for (const [path, { control }] of this.places) {
      const message = control?.wrong?.();
      if (message && control.element.isConnected) found.push({ path: this.numbered(path), message, at: path });
    }
    return found;
  }

  // The path of a field as the service says it, by the key of each row: the service counts the rows that are filled in.
  keyed(path) {
    let found = "";
    for (const part of path.match(/\[[^\]]*\]|[^[]+/g) ?? []) {
      const number = /^\[(\d+)\]$/.exec(part)?.[1];
      const rows = number && this.lists.get(found)?.filter(({ control }) => control.value() !== undefined);
      found += rows?.[number]?.key ?? part;
    }
    return found;
  }

  // The same path for people.
  numbered(path) {
    return path.replace(/\[#\d+\]/g, (key, from) => {
      const rows = this.lists.get(path.slice(0, from)) ?? [];
      return `[${rows.findIndex((row) => row.key === key)}]`;
    });
  }

  clear() {
    for (const { told, control } of this.places.values()) {
      if (!told) continue;
      told.hidden = true;
      told.replaceChildren();
      control.element.removeAttribute("aria-invalid");
    }
  }

  // Say what is wrong beside the field, or beside the nearest that there is around it. The id of what was found.
  tell(path, message, place = this.keyed(path)) {
    for (let at = place; at; at = parentOf(at)) {
      let found = this.places.get(at);
      if (found?.later) {
        found.later();
        found = this.places.get(at);
      }
      if (!found?.told) continue;
      const { control, told } = found;
      told.append(h("span", null, at === place ? null : [h("code", null, text(path)), " "], text(message)));
      told.hidden = false;
      const field = control.element.matches("input, select, textarea")
        ? control.element
        : control.element.querySelector("input, select, textarea, [id]") || control.element;
      field.setAttribute("aria-invalid", "true");
      if (!field.id) field.id = `f${(made += 1)}`;
      for (let up = field; up; up = up.parentElement) if (up.tagName === "DETAILS") up.open = true;
      return field.id;
    }
    return null;
  }
}

function parentOf(path) {
  return path.replace(/(\.[^.[\]]+|\[#?\d+\]|^[^.[\]]+)$/, "");
}

function singular(label) {
  if (/criteria$/i.test(label))
    return label.replace(/criteria$/i, (word) => (word[0] === "C" ? "Criterion" : "criterion"));
  if (/ies$/.test(label)) return label.replace(/ies$/, "y");
  return label.replace(/(?<!s)s$/, "");
}
