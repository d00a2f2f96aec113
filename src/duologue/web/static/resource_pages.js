// Pages of what can be defined: a list with a search, and a form made from the schema. What a kind of resource has
// beyond that (a test button, versions, a launch) it says in `resources.js`.

import { all, readPage, send } from "./api.js";
import { changesOf, schemaForm } from "./form.js";
import { h, text } from "./dom.js";
import { brief, since } from "./format.js";
import { ask, emptyState, leaving, note, tools } from "./page_parts.js";

/**
 * @typedef {Object} Resource
 * @property {string} name  in addresses, such as "personas"
 * @property {string} one  such as "persona"
 * @property {string} many  such as "Personas"
 * @property {string} about  a sentence on what it is for
 * @property {string} path  in the API
 * @property {string} form  the name of its schema
 * @property {Object} layout  see form.js
 * @property {function(Object): string} title
 * @property {function(Object): Array} facts  of an item in the list
 * @property {function(Object): string} [lead]  a line of text in the list
 * @property {function(): Promise<Object>} [choices]  see form.js
 * @property {Object} [special]  see form.js
 * @property {function(Object, Object): {before: Element[], after: Element[]}} [extras]  sections around the form
 * @property {function(Object, Object): Element[]} [tools]  buttons in the head of an item that is saved
 * @property {string} [next]  what an empty list says to do
 */

/** The list of a kind of resource. */
export function listPage(context, resource) {
  return async () => {
    const { address } = context;
    const items = (await all(resource.path, resource.query)).reverse();
    const create = h("a.button.primary", { href: address.href([...resource.at, "new"]) }, `New ${resource.one}`);
    const search = h("input", {
      type: "search",
      id: "search",
      placeholder: `Search ${resource.many.toLowerCase()}  ( / )`,
      "aria-label": `Search ${resource.many.toLowerCase()}`,
      autocomplete: "off",
      spellcheck: "false",
    });
    const rows = h("ul.items", { "aria-label": resource.many });
    const none = h("p.none", { hidden: true, role: "status" }, "Nothing matches.");
    const made = items.map((item) => ({
      item,
      element: listItem(context, resource, item),
      words: JSON.stringify(item).toLowerCase(),
    }));
    const filter = () => {
      const words = search.value.toLowerCase().trim();
      const shown = made.filter((one) => one.words.includes(words));
      rows.replaceChildren(...shown.slice(0, 500).map((one) => one.element));
      none.hidden = shown.length > 0;
    };
    search.addEventListener("input", filter);
    filter();
    const body = items.length
      ? [items.length > 5 ? h("div.toolbar.plain", null, search) : null, none, rows]
      : emptyState(
          `No ${resource.many.toLowerCase()} yet`,
          resource.next || resource.about,
          h("a.button.primary", { href: address.href([...resource.at, "new"]) }, `New ${resource.one}`),
        );
    const head = h(
      "header.title",
      null,
      h("div", null, h("h1", null, resource.many), tools(items.length ? create : null, resource.listTools?.(context))),
      h("p.lead", null, resource.about),
    );
    return {
      element: h("main.page.resource", { id: "main", tabindex: "-1" }, crumbs(context, resource), head, body),
      view: resource.view,
      title: resource.many,
      keys: {
        n: () => address.go(address.href([...resource.at, "new"])),
        "/": () => search.focus(),
        j: () => move(1),
        k: () => move(-1),
      },
      help: [
        ["j", `next ${resource.one}`],
        ["k", `previous ${resource.one}`],
        ["/", "search"],
        ["n", `new ${resource.one}`],
      ],
    };
  };
}

// The focus goes through the links of a list.
export function move(by) {
  const links = [...document.querySelectorAll(".items a.name")];
  const at = links.indexOf(document.activeElement);
  links[Math.max(0, Math.min(links.length - 1, at < 0 ? 0 : at + by))]?.focus();
}

function listItem({ address }, resource, item) {
  const facts = (resource.facts?.(item) || []).filter(Boolean);
  const lead = resource.lead?.(item);
  return h(
    "li",
    null,
    h(
      "div",
      null,
      h("a.name", { href: address.href([...resource.at, item.id]) }, text(brief(resource.title(item), 200))),
      lead ? h("p", { dir: "auto" }, text(brief(lead, 200))) : null,
    ),
    h(
      "p.facts",
      null,
      facts.map((fact) => h("span", null, text(fact))),
      item.updated_at ? h("span", { title: item.updated_at }, since(item.updated_at)) : null,
    ),
  );
}

function crumbs({ address }, resource, item = false) {
  const up = item
    ? [address.href(resource.at), resource.many]
    : resource.up && [address.href(resource.up[0]), resource.up[1]];
  return up ? h("p.up", null, h("a", { href: up[0] }, `← ${up[1]}`)) : null;
}

/** The form of one item, or of a new one. */
export function itemPage(context, resource, id, query) {
  return async () => {
    const [schema, choices, saved] = await Promise.all([
      formSchema(resource.form),
      resource.choices ? resource.choices(context) : {},
      id === "new"
        ? { data: beginning(context, resource, query), etag: null }
        : send("GET", `${resource.path}/${encodeURIComponent(id)}`),
    ]);
    return new ItemPage(context, resource, { schema, choices, saved, isNew: id === "new" });
  };
}

// What a new item begins with: what another page has prepared, and what the address names.
function beginning(context, resource, query) {
  const { [resource.name]: draft, ...rest } = context.draft || {};
  context.draft = rest;
  return { ...Object.fromEntries(query || []), ...draft };
}

const schemas = new Map();

/** A schema with descriptions; kept, because it does not change while the service runs. */
export async function formSchema(name) {
  if (!schemas.has(name)) schemas.set(name, await readPage(`/forms/${name}`));
  return schemas.get(name);
}

class ItemPage {
  constructor(context, resource, { schema, choices, saved, isNew }) {
    Object.assign(this, { context, resource, schema, choices, isNew });
    this.item = saved.data;
    this.etag = saved.etag;
    this.view = resource.view;
    this.title = isNew ? `New ${resource.one}` : resource.title(this.item);
    this.slot = h("div");
    this.save = h("button.primary", { type: "submit" }, isNew ? `Create ${resource.one}` : "Save");
    this.told = h("p.told", { role: "status" });
    this.raw = null;
    this.rawButton = h("button.link", { type: "button", onclick: () => this.turn() }, "Edit as JSON");
    this.form = this.made(this.item);
    this.before = this.form.value();
    this.slot.append(this.form.element);
    this.keys = { "/": () => this.slot.querySelector("input, textarea, select")?.focus() };
    this.help = [
      ["/", "first field"],
      ["Ctrl Enter", "save"],
    ];
    this.element = this.drawn();
    this.guard = leaving(() => this.dirty);
  }

  made(value) {
    const { layout, special } = this.resource;
    return schemaForm(this.schema, { value, layout, choices: this.choices, special });
  }

  get dirty() {
    return this.raw !== null || this.form.changed;
  }

  left() {
    this.guard();
  }

  drawn() {
    const { resource, context, item, isNew } = this;
    const head = h(
      "header.title",
      null,
      crumbs(context, resource, true),
      h("div", null, h("h1", null, text(this.title)), tools(isNew ? null : resource.tools?.(context, item, this))),
      isNew
        ? h("p.lead", null, resource.about)
        : h(
            "p.facts",
            null,
            (resource.facts?.(item) || []).filter(Boolean).map((fact) => h("span", null, text(fact))),
          ),
    );
    const remove = isNew ? null : h("button.danger", { type: "button", onclick: () => this.remove() }, "Delete");
    const form = h(
      "form.whole",
      { novalidate: true, autocomplete: "off", "aria-label": this.title },
      this.slot,
      h("div.form-tools", null, this.save, this.told, h("span.space"), this.rawButton, remove),
    );
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.submit();
    });
    const { before = [], after = [] } = isNew ? {} : resource.extras?.(context, item, this) || {};
    const body = before.length ? h("section", null, h("h2", null, "Definition"), form) : form;
    return h("main.page.resource", { id: "main", tabindex: "-1" }, head, before, body, after);
  }

  // From the form to its JSON, and back.
  turn() {
    if (this.raw === null) {
      this.raw = h("textarea.data.whole", {
        "aria-label": `${this.resource.one} as JSON`,
        spellcheck: "false",
        rows: "24",
      });
      this.raw.value = JSON.stringify(this.form.value(), null, 2);
      this.slot.replaceChildren(h("div.problems", { hidden: true, tabindex: "-1" }), this.raw);
      this.rawButton.replaceChildren("Back to the form");
      this.raw.focus();
      return;
    }
    const value = this.read();
    if (value === null) return;
    this.raw = null;
    this.form = this.made(value);
    this.slot.replaceChildren(this.form.element);
    this.rawButton.replaceChildren("Edit as JSON");
  }

  // What is filled in; null if that cannot be read.
  read() {
    if (this.raw === null) {
      const wrong = this.form.wrong();
      if (wrong.length) this.form.show(wrong);
      return wrong.length ? null : this.form.value();
    }
    try {
      const value = JSON.parse(this.raw.value || "{}");
      if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("expected an object");
      return value;
    } catch (error) {
      this.show([], `Not a JSON object: ${error.message}`);
      return null;
    }
  }

  show(problems, told) {
    if (this.raw === null) return this.form.show(problems, told);
    const box = this.slot.firstElementChild;
    const list = problems.map(({ path, message }) =>
      h("li", null, path ? h("code", null, text(path)) : null, " ", text(message)),
    );
    box.replaceChildren(
      h("p", { role: "alert" }, text(problems.length ? "This cannot be saved" : told)),
      h("ul", null, list),
    );
    box.hidden = false;
    return box.focus();
  }

  async submit() {
    if (this.busy) return;
    const value = this.read();
    if (value === null) return;
    this.busy = true;
    this.save.setAttribute("aria-disabled", "true");
    note(this.told, "Saving…");
    try {
      const { path, at } = this.resource;
      if (this.isNew) {
        const { data } = await send("POST", path, { body: value });
        this.guard();
        if (this.resource.made) return this.resource.made(this.context, data, this);
        this.context.address.replace(this.context.address.href([...at, data.id]));
        return await this.context.app.show(false);
      }
      const changes = changesOf(this.before, value);
      if (!Object.keys(changes).length) return note(this.told, "No changes to save.");
      const { data, etag } = await send("PATCH", `${path}/${encodeURIComponent(this.item.id)}`, {
        body: changes,
        etag: this.etag,
      });
      this.saved(data, etag);
    } catch (error) {
      this.failed(error, "Keep mine (overwrite)", () => this.submit());
    } finally {
      this.busy = false;
      this.save.removeAttribute("aria-disabled");
    }
    return null;
  }

  // Something beside the form has changed it: what was read of it is not what is there any more.
  async reread() {
    const { data, etag } = await send("GET", `${this.resource.path}/${encodeURIComponent(this.item.id)}`);
    this.item = data;
    this.etag = etag;
  }

  saved(data, etag) {
    this.item = data;
    this.etag = etag;
    this.raw = null;
    this.rawButton.replaceChildren("Edit as JSON");
    this.form = this.made(data);
    this.before = this.form.value();
    this.title = this.resource.title(data);
    const focused = document.activeElement === this.save;
    this.slot.replaceChildren(this.form.element);
    const head = this.element.querySelector("h1");
    head.replaceChildren(...text(this.title));
    if (focused) this.save.focus();
    note(this.told, "Saved.", "pass");
  }

  // What somebody else has changed meanwhile is neither taken nor overwritten unless somebody says so.
  failed(error, word, work) {
    if (error.status !== 412) {
      note(this.told, "");
      return this.show(error.problems || [], error.message || String(error));
    }
    const button = (label, act) => h("button.more", { type: "button", onclick: act }, label);
    return this.told.replaceChildren(
      "Someone else has changed this. Your changes are not saved. ",
      button("Load theirs", () => this.load()),
      " ",
      button(word, () => this.overwrite(work)),
    );
  }

  // What is there now, in place of what was written here.
  load() {
    this.guard();
    return this.context.app.show(false);
  }

  // Of what is there now, only the fields that were changed here are overwritten.
  async overwrite(work) {
    note(this.told, "");
    try {
      await this.reread();
      await work();
    } catch (error) {
      this.failed(error);
    }
  }

  async remove() {
    const { resource, item } = this;
    const sure = await ask(
      `Delete ${resource.one} “${brief(resource.title(item), 80)}”?`,
      resource.gone || "This cannot be undone.",
      `Delete ${resource.one}`,
    );
    if (!sure) return;
    await this.removeNow();
  }

  async removeNow() {
    const { resource, item, context } = this;
    try {
      await send("DELETE", `${resource.path}/${encodeURIComponent(item.id)}`, { etag: this.etag });
      this.guard();
      context.address.go(context.address.href(resource.at));
    } catch (error) {
      this.failed(error, "Delete anyway", () => this.removeNow());
    }
  }
}
