// Settings: the project and its models, tokens, secrets, workers and runtimes.

import { toPart } from "./address.js";
import { all, read, send } from "./api.js";
import { schemaForm } from "./form.js";
import { h, text } from "./dom.js";
import { since, when } from "./format.js";
import { action, ask, emptyState, note } from "./page_parts.js";
import { formSchema, itemPage } from "./resource_pages.js";

const PARTS = [
  ["projects", "Projects", "What runs share: models, budgets, limits and defaults."],
  ["tokens", "Tokens", "Who may use this service, and for what."],
  ["secrets", "Secrets", "Keys of agents, platforms and models, by name."],
  ["workers", "Workers", "The processes that execute runs."],
  ["runtimes", "Runtimes", "How agents can be run."],
];
const STATES = { running: "pass", stopping: "undecided", stopped: "cancelled", lost: "error" };

export function settingsPage(context, place) {
  const [, name, id] = place.path;
  const pages = {
    projects: id ? () => projectPage(context, id) : projectsList,
    tokens: tokensPage,
    secrets: secretsPage,
    workers: workersPage,
    runtimes: runtimesPage,
  };
  return name && Object.hasOwn(pages, name) ? pages[name](context) : home(context);
}

async function home({ address, session }) {
  const cards = PARTS.map(([name, title, told]) =>
    h("li", null, h("a.card", { href: address.href(["settings", name]) }, h("b", null, title), h("p", null, told))),
  );
  const who = session.token_required
    ? h(
        "p.facts",
        null,
        h("span", null, "Signed in as ", h("b", null, text(session.name))),
        h("span", null, `scope ${session.scope}`),
      )
    : h("p.facts", null, h("span", null, "No token is needed on this machine"));
  return page("Settings", h("header.title", null, h("h1", null, "Settings"), who), h("ul.cards", null, cards));
}

function page(title, ...content) {
  return { element: h("main.page.resource", { id: "main", tabindex: "-1" }, content), view: "settings", title };
}

function head(address, name, button = null) {
  const [, title, about] = PARTS.find(([other]) => other === name);
  return [
    h("p.up", null, h("a", { href: address.href(["settings"]) }, "← Settings")),
    h(
      "header.title",
      null,
      h("div", null, h("h1", null, title), button ? h("div.tools", null, button) : null),
      h("p.lead", null, about),
    ),
  ];
}

function facts(...items) {
  return h(
    "p.facts",
    null,
    items.filter(Boolean).map((item) => h("span", null, item)),
  );
}

// Projects

const PROJECT = {
  name: "projects",
  one: "project",
  many: "Projects",
  about: "What runs share: models, budgets, limits and defaults.",
  at: ["settings", "projects"],
  up: [["settings"], "Settings"],
  view: "settings",
  path: "/projects",
  form: "projects",
  layout: { main: ["name", "max_concurrency", "settings"] },
  title: (item) => item.name,
  facts: (item) => [item.max_concurrency ? `${item.max_concurrency} runs at once` : null],
  gone: "Everything in it is deleted with it: definitions, executions and runs.",
  made: (context, item) => location.assign(`/p/${toPart(item.name)}/`),
};

async function projectsList({ address, project }) {
  const found = await all("/projects");
  const rows = found.map((item) =>
    h(
      "li",
      null,
      h(
        "div",
        null,
        h("a.name", { href: address.href(["settings", "projects", item.id]) }, text(item.name)),
        item.name === project ? h("small", null, " this one") : null,
      ),
      facts(...PROJECT.facts(item), since(item.updated_at)),
    ),
  );
  return page(
    "Projects",
    head(
      address,
      "projects",
      h("a.button.primary", { href: address.href(["settings", "projects", "new"]) }, "New project"),
    ),
    h("ul.items", { "aria-label": "Projects" }, rows),
  );
}

function projectPage(context, id) {
  return itemPage(context, PROJECT, id)();
}

// Tokens

async function tokensPage(context) {
  const { address } = context;
  const list = h("ul.items", { "aria-label": "Tokens" });
  const shown = h("div", { role: "status" });
  const fill = async () => {
    const found = (await all("/tokens")).reverse();
    list.replaceChildren(...found.map((token) => tokenRow(token, fill)));
    if (!found.length)
      list.replaceChildren(
        h(
          "li.none",
          null,
          "No tokens yet. Once there is one, everyone needs a token after the service restarts.",
        ),
      );
  };
  const made = ({ token, name }) => {
    const field = h("input", {
      type: "text",
      readonly: true,
      value: token,
      "aria-label": `The token ${name}`,
      onfocus: (event) => event.target.select(),
    });
    const copy = action("Copy", async () => {
      await navigator.clipboard.writeText(token);
      return "Copied.";
    });
    shown.replaceChildren(
      h(
        "section.once",
        null,
        h("h2", null, text(`The token “${name}”`)),
        h("p", null, "Copy it now: it is not shown again."),
        h("p.inline", null, field, copy),
      ),
    );
    field.focus();
  };
  const form = await createForm(
    "tokens",
    "/tokens",
    "Create token",
    { main: ["name", "scope", "project", "expires_at"] },
    async (data) => {
      made(data);
      await fill();
    },
  );
  await fill();
  return page("Tokens", head(address, "tokens"), shown, list, h("section", null, h("h2", null, "New token"), form));
}

function tokenRow(token, fill) {
  const revoke = async () => {
    const warning = "Anyone who uses it loses access at once.";
    if (!(await ask(`Revoke the token “${token.name}”?`, warning, "Revoke token"))) return;
    await send("DELETE", `/tokens/${token.id}`);
    await fill();
  };
  return h(
    "li",
    null,
    h("div", null, h("b", null, text(token.name)), " ", h("code", null, text(`${token.hint}…`))),
    facts(
      `scope ${token.scope}`,
      token.expires_at ? `until ${when(token.expires_at)}` : null,
      token.last_used_at ? `used ${since(token.last_used_at)}` : "never used",
    ),
    h("div.tools", null, action("Revoke", revoke)),
  );
}

async function createForm(name, path, label, layout, done, method = "POST", to = (value) => [path, value]) {
  const schema = await formSchema(name);
  let form = schemaForm(schema, { layout });
  const slot = h("div", null, form.element);
  const told = h("p.told", { role: "status" });
  const element = h(
    "form",
    { novalidate: true, autocomplete: "off", "aria-label": label },
    slot,
    h("div.form-tools", null, h("button.primary", { type: "submit" }, label), told),
  );
  element.addEventListener("submit", async (event) => {
    event.preventDefault();
    note(told, "");
    const wrong = form.wrong();
    if (wrong.length) return form.show(wrong);
    try {
      const [where, body] = to(form.value());
      const { data } = await send(method, where, { body });
      form = schemaForm(schema, { layout });
      slot.replaceChildren(form.element);
      return await done(data);
    } catch (error) {
      return form.show(error.problems || [], error.message);
    }
  });
  return element;
}

// Secrets

async function secretsPage({ address }) {
  const list = h("ul.items", { "aria-label": "Secrets" });
  const told = h("p.told", { role: "status" });
  const fill = async () => {
    const found = await all("/secrets");
    list.replaceChildren(...found.map((secret) => secretRow(secret, fill)));
    if (!found.length)
      list.replaceChildren(
        h("li.none", null, "No secrets yet. Definitions refer to a secret as ${NAME} in headers, URLs and variables."),
      );
  };
  const name = h("input", {
    type: "text",
    id: "secret-name",
    autocomplete: "off",
    spellcheck: "false",
    placeholder: "SUPPORT_AGENT_KEY",
    "aria-describedby": "secret-name-problem",
  });
  const value = h("input", {
    type: "password",
    id: "secret-value",
    autocomplete: "off",
    "aria-describedby": "secret-value-problem",
  });
  const provider = h("input", { type: "text", id: "secret-provider", autocomplete: "off" });
  const problems = {
    secret_name: h("p.problem", { id: "secret-name-problem" }),
    value: h("p.problem", { id: "secret-value-problem" }),
  };
  const form = h(
    "form",
    { novalidate: true, autocomplete: "off", "aria-label": "Save a secret" },
    h(
      "div.field",
      null,
      h("label", { for: "secret-name" }, "Name"),
      h("p.help", null, "The name that definitions refer to. An existing secret gets the new value."),
      name,
      problems.secret_name,
    ),
    h(
      "div.field",
      null,
      h("label", { for: "secret-value" }, "Value"),
      h("p.help", null, "Encrypted, and never shown again."),
      value,
      problems.value,
    ),
    h(
      "div.field",
      null,
      h("label", { for: "secret-provider" }, "Provider"),
      h("p.help", null, "Free text, such as the company that issued the key."),
      provider,
    ),
    h("div.form-tools", null, h("button.primary", { type: "submit" }, "Save secret"), told),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    Object.values(problems).forEach((place) => place.replaceChildren());
    for (const field of [name, value]) field.removeAttribute("aria-invalid");
    if (!name.value.trim()) return wrong(name, problems.secret_name, "A secret needs a name.");
    try {
      await send("PUT", `/secrets/${encodeURIComponent(name.value.trim())}`, {
        body: { value: value.value, ...(provider.value ? { provider: provider.value } : {}) },
      });
      note(told, `${name.value.trim()} is saved.`, "pass");
      for (const field of [name, value, provider]) field.value = "";
      return await fill();
    } catch (error) {
      const found = error.problems?.[0];
      return found?.path === "value"
        ? wrong(value, problems.value, found.message)
        : wrong(name, problems.secret_name, found?.message || error.message);
    }
  });
  await fill();
  return page("Secrets", head(address, "secrets"), list, h("section", null, h("h2", null, "New secret"), form));
}

function wrong(field, place, message) {
  place.replaceChildren(...text(message));
  field.setAttribute("aria-invalid", "true");
  field.focus();
}

function secretRow(secret, fill) {
  const remove = async () => {
    if (!(await ask(`Delete the secret “${secret.name}”?`, "Definitions that name it will fail.", "Delete secret")))
      return;
    await send("DELETE", `/secrets/${encodeURIComponent(secret.name)}`);
    await fill();
  };
  return h(
    "li",
    null,
    h("div", null, h("code", null, text(secret.name))),
    facts(secret.provider ? h("span", null, text(secret.provider)) : null, `changed ${since(secret.updated_at)}`),
    h("div.tools", null, action("Delete", remove)),
  );
}

// Workers and runtimes

async function workersPage({ address }) {
  const found = await all("/workers");
  const rows = found.map((worker) =>
    h(
      "li",
      null,
      h(
        "div",
        null,
        h("b", null, text(worker.host)),
        " ",
        h("small", null, `process ${worker.pid}, version ${worker.version}`),
      ),
      facts(
        h(`span.told.o-${STATES[worker.state]}`, null, worker.state),
        `${worker.active} of ${worker.capacity} runs`,
        `seen ${since(worker.last_seen)}`,
      ),
    ),
  );
  const none = emptyState(
    "No workers",
    "Runs wait in the queue until a worker starts: run `duologue worker`, or serve without --no-worker.",
  );
  return page(
    "Workers",
    head(address, "workers"),
    found.length ? h("ul.items", { "aria-label": "Workers" }, rows) : none,
  );
}

async function runtimesPage({ address }) {
  const { data } = await read("/runtimes");
  const rows = data.map((item) =>
    h(
      "li",
      null,
      h(
        "div",
        null,
        h("b", null, text(item.label)),
        " ",
        h("code", null, text(item.kind)),
        h("p", null, text(item.description)),
      ),
      facts(item.mode, item.mocks_tools ? "tools can be mocked" : null),
    ),
  );
  return page("Runtimes", head(address, "runtimes"), h("ul.items", { "aria-label": "Runtimes" }, rows));
}
