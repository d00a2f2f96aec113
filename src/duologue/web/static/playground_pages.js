// The playground: write to an agent, speak with it, or watch a simulated user talk to it.

import { all, read, send } from "./api.js";
import { executionLinks } from "./address.js";
import { h, longText, text } from "./dom.js";
import { duration, pretty } from "./format.js";
import { LiveRun } from "./live_run.js";
import { action, emptyState, leaving, note } from "./page_parts.js";
import { runView } from "./run.js";
import { Speak } from "./speak.js";

const ROLES = { user: "You", assistant: "Agent", tool: "Tool" };

export async function playgroundPage(context, place) {
  const { address } = context;
  const [connectors, agents, scenarios, personas, runtimes] = await Promise.all([
    all("/connectors"),
    all("/agents"),
    all("/scenarios"),
    all("/personas"),
    read("/runtimes"),
  ]);
  const choices = [
    ...connectors.map((item) => ({ kind: "connector", id: item.id, name: item.name, ways: WAYS })),
    ...agents.map((item) => ({ kind: "agent", id: item.id, name: item.name, ways: waysOf(item, runtimes.data) })),
  ];
  if (!choices.length) return nobody(address);
  const chosen = choices.find((item) => item.id === place.query.get(item.kind)) || choices[0];
  const way = chosen.ways.find(([name]) => name === place.query.get("who")) || chosen.ways[0];
  const here = (item, who) => address.href(["playground"], { [item.kind]: item.id, ...(who ? { who } : {}) });
  const agent = h(
    "select",
    {
      id: "agent",
      onchange: async () => {
        const wanted = choices.find((item) => `${item.kind}:${item.id}` === agent.value);
        const stays = wanted.ways.some(([name]) => name === place.query.get("who"));
        await address.go(here(wanted, stays ? place.query.get("who") : null));
        agent.value = `${chosen.kind}:${chosen.id}`; // where somebody has stayed
      },
    },
    group("Connectors", choices, "connector", chosen),
    group("Saved agents", choices, "agent", chosen),
  );
  const tabs = h(
    "nav.tabs",
    { "aria-label": "Who talks" },
    chosen.ways.map(([name, word]) =>
      h("a", { href: here(chosen, name), "aria-current": name === way[0] ? "true" : null }, word),
    ),
  );
  const part = {
    you: () => new Talk(context, chosen),
    voice: () => {
      const query = { [chosen.kind]: chosen.id };
      return new Speak(context, { ...chosen, query }, (said) => save(context, chosen, said));
    },
    simulated: () => watch(context, chosen, scenarios, personas),
  }[way[0]]();
  return {
    element: h(
      "main.page.playground",
      { id: "main", tabindex: "-1" },
      head(),
      h("p.inline", null, h("label.quiet", { for: "agent" }, "Agent"), agent),
      tabs,
      part.element,
    ),
    view: "playground",
    title: "Playground",
    shown: () => part.shown?.(),
    left: () => part.left?.(),
    ...KEYS[way[0]](part),
  };
}

// Ways of talking with an agent: what the address says, and what the page does.
const WAYS = [
  ["you", "Talk yourself"],
  ["voice", "Speak with it"],
  ["simulated", "Watch a simulated user"],
];
const KEYS = {
  you: () => ({
    keys: { "/": () => document.getElementById("say")?.focus() },
    help: [
      ["/", "write a message"],
      ["Enter", "send it"],
      ["Shift Enter", "new line"],
    ],
  }),
  voice: (part) => ({
    keys: { c: () => part.toggle(), m: () => part.mute(), i: () => part.interrupt() },
    help: [
      ["c", "call, and hang up"],
      ["m", "mute your microphone"],
      ["i", "interrupt the agent"],
    ],
  }),
  simulated: () => ({}),
};

// An agent whose runtime speaks cannot be written to.
function waysOf({ agent }, runtimes) {
  const kind = agent.runtime?.kind;
  const modes = runtimes.filter((item) => item.kind === kind).map((item) => item.mode);
  const speaks = kind && (agent.runtime_mode === "voice" || (modes.length && !modes.includes("text")));
  return speaks ? WAYS.filter(([name]) => name !== "you") : WAYS;
}

function group(label, choices, kind, chosen) {
  const own = choices.filter((item) => item.kind === kind);
  if (!own.length) return null;
  const options = own.map((item) =>
    h("option", { value: `${item.kind}:${item.id}`, selected: item === chosen }, text(item.name)),
  );
  return h("optgroup", { label }, options);
}

function nobody(address) {
  const empty = emptyState(
    "No agent to talk to yet",
    "The playground talks to the agent behind a connector, whose address is all that it takes, and to saved agents.",
    h("a.button.primary", { href: address.href(["define", "connectors", "new"]) }, "New connector"),
    h("a.button", { href: address.href(["define", "agents", "new"]) }, "New agent"),
  );
  return {
    element: h("main.page", { id: "main", tabindex: "-1" }, head(), empty),
    view: "playground",
    title: "Playground",
  };
}

function head() {
  return h(
    "header.title",
    null,
    h("h1", null, "Playground"),
    h(
      "p.lead",
      null,
      "Talk to an agent yourself, in writing or by microphone, or watch a simulated user do it. Nothing here " +
        "counts in any rate.",
    ),
  );
}

// What somebody has said becomes turns of a new scenario, whose form is shown next.
function save(context, chosen, said) {
  const turns = said.map((content) => ({ role: "user", content }));
  context.draft = { scenarios: { description: `Said to ${chosen.name} in the playground.`, turns } };
  context.address.go(context.address.href(["define", "scenarios", "new"]));
}

// A conversation that somebody has with an agent, turn by turn.
class Talk {
  constructor(context, chosen) {
    Object.assign(this, { context, chosen });
    this.messages = [];
    this.thread = null;
    this.list = h("ol.messages", { "aria-label": "Conversation" });
    this.status = h("p.told", { role: "status" });
    this.field = h("textarea", {
      id: "say",
      rows: "2",
      "aria-label": "Your message",
      placeholder: "Write to the agent",
    });
    this.button = h("button.primary", { type: "submit" }, "Send");
    this.after = h(
      "p.actions",
      { hidden: true },
      action("Save as a scenario", () => this.save(), { kind: "button" }),
      action("Begin anew", () => this.anew()),
    );
    this.none = h("p.none", null, "Say something: the agent answers here.");
    const form = h("form.say", { "aria-label": "Your turn" }, this.field, this.button);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.say();
    });
    this.field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      this.say();
    });
    this.element = h(
      "section.talk",
      { "aria-label": "Conversation" },
      this.none,
      this.list,
      this.status,
      form,
      this.after,
    );
    this.round = 0;
    this.guard = leaving(() => this.messages.length > 0 || this.field.value.trim() !== "");
  }

  shown() {
    this.field.focus({ preventScroll: true });
  }

  left() {
    this.guard();
    this.gone = true;
  }

  async say() {
    const words = this.field.value.trim();
    if (!words || this.busy) return;
    this.busy = true;
    const { round } = this;
    const stale = () => this.gone || round !== this.round; // nobody waits for this answer any more
    this.button.setAttribute("aria-disabled", "true");
    this.none.hidden = true;
    this.add({ role: "user", content: words });
    this.field.value = "";
    note(this.status, "The agent is answering…");
    try {
      const body = { messages: this.messages.map(sent), ...(this.thread ? { thread_id: this.thread } : {}) };
      const { data } = await send("POST", `/${this.chosen.kind}s/${this.chosen.id}/invoke`, { body });
      if (stale()) return;
      if (!data.success) throw new Error(data.error || "the agent has not answered");
      this.thread = data.thread_id;
      data.messages.forEach((message, index) => this.add(message, index ? null : data.latency_ms));
      note(this.status, "");
    } catch (error) {
      if (stale()) return;
      // What was not answered is not part of the conversation: it can be sent again, with what was written meanwhile.
      this.messages.pop();
      this.list.lastElementChild?.remove();
      this.field.value = [words, this.field.value].filter(Boolean).join("\n");
      note(this.status, error.message, "fail");
    } finally {
      if (!stale()) this.rest();
    }
    this.after.hidden = !this.messages.length;
    this.field.focus();
    this.after.scrollIntoView({ block: "nearest" });
  }

  add(message, latency = null) {
    this.messages.push(message);
    this.list.append(messageItem(message, latency));
    this.list.lastElementChild.scrollIntoView({ block: "nearest" });
  }

  rest() {
    this.busy = false;
    this.button.removeAttribute("aria-disabled");
  }

  anew() {
    this.round += 1;
    this.rest();
    note(this.status, "");
    this.messages = [];
    this.thread = null;
    this.list.replaceChildren();
    this.none.hidden = false;
    this.after.hidden = true;
    this.field.focus();
  }

  save() {
    const said = this.messages.filter((message) => message.role === "user").map(contentOf);
    this.guard();
    save(this.context, this.chosen, said);
  }
}

const KEPT = ["role", "content", "tool_calls", "tool_call_id", "name"];

function sent(message) {
  const found = Object.fromEntries(
    KEPT.filter((name) => message[name] !== undefined && message[name] !== null).map((name) => [name, message[name]]),
  );
  return typeof found.content === "string" || found.content === undefined
    ? found
    : { ...found, content: contentOf(message) };
}

function contentOf({ content }) {
  if (typeof content === "string") return content;
  return Array.isArray(content) ? content.map((part) => part.text || `[${part.type}]`).join("\n") : "";
}

function messageItem(message, latency) {
  const role = ROLES[message.role] ? message.role : "other";
  const calls = (message.tool_calls || []).map((call) =>
    h(
      "div.call",
      null,
      h("code.name", null, text(call.function?.name)),
      longText(pretty(call.function?.arguments ?? ""), "pre"),
    ),
  );
  const said = contentOf(message);
  return h(
    `li.message.${role}`,
    null,
    h(
      "div.head",
      null,
      h("b", null, text(ROLES[message.role] || message.role)),
      latency === null ? null : h("span.facts", null, h("span", null, duration(latency / 1000))),
    ),
    said ? longText(said) : null,
    calls,
  );
}

function watch({ address }, chosen, scenarios, personas) {
  if (!scenarios.length)
    return {
      element: emptyState(
        "No scenario yet",
        "A simulated user needs a situation.",
        h("a.button.primary", { href: address.href(["define", "scenarios", "new"]) }, "New scenario"),
      ),
    };
  const scenario = h(
    "select",
    { id: "scenario" },
    scenarios.map((item) => h("option", { value: item.id }, text(item.name))),
  );
  const persona = h(
    "select",
    { id: "persona" },
    h("option", { value: "" }, "Nobody in particular"),
    personas.map((item) => h("option", { value: item.id }, text(item.name))),
  );
  const start = action(
    "Start",
    async () => {
      const whom = { [`${chosen.kind}_id`]: chosen.id };
      const body = { scenario_id: scenario.value, persona_id: persona.value || null, ...whom };
      const { data } = await send("POST", "/playground-runs", { body });
      address.go(address.href(["playground", data.id]));
    },
    { kind: "primary" },
  );
  return {
    element: h(
      "section",
      null,
      h("div.field", null, h("label", { for: "scenario" }, "Scenario"), scenario),
      h("div.field", null, h("label", { for: "persona" }, "Persona"), persona),
      h("p.actions", null, start),
    ),
  };
}

/** One run of the playground, live. */
export async function playgroundRunPage(context, place) {
  const { address, source } = context;
  const id = place.path[1];
  const links = playgroundLinks(address);
  const inner = { ...context, id: null, links };
  const run = await source.run(null, id);
  const element = h("div");
  const draw = async (found) => {
    const view = await runView(
      { ...inner, source: { ...boundTo(source), trials: async () => ({ passRate: null, runs: [] }) } },
      { ...found, trials: 1 },
      { at: -1, total: 0 },
    );
    view.querySelector(".back")?.replaceChildren(h("a", { href: address.href(["playground"]) }, "← Playground"));
    return view;
  };
  element.append(await draw(run));
  const live = new LiveRun({ source, run, draw, place: () => element.firstElementChild });
  return {
    element,
    view: "playground",
    title: run.title,
    shown: () => live.begin(),
    left: () => live.end(),
    keys: { o: () => address.go(address.href(["playground"])) },
    help: [["o", "back to the playground"]],
  };
}

function boundTo(source) {
  const names = ["run", "calls", "fork", "forkAgents"];
  return Object.fromEntries(names.map((name) => [name, (...args) => source[name](...args)]));
}

function playgroundLinks(address) {
  return {
    ...executionLinks(address, []),
    run: (id, message) => address.href(["playground", id, ...(message ? [message] : [])]),
    runs: () => address.href(["playground"]),
  };
}
