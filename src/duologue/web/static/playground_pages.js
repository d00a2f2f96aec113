// The playground: write to an agent, speak with it, or watch a simulated user talk to it.

import { all, read, send } from "./api.js";
import { executionLinks } from "./address.js";
import { h, text } from "./dom.js";
import { LiveRun } from "./live_run.js";
import { action, emptyState } from "./page_parts.js";
import { runView } from "./run.js";
import { Speak } from "./speak.js";
import { Talk } from "./talk.js";

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
    you: () => new Talk(chosen, (said) => save(context, chosen, said)),
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
    "The playground talks to the agent behind a connector, and to saved agents.",
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
        "counts towards any rate.",
    ),
  );
}

// What somebody has said becomes turns of a new scenario, whose form is shown next.
function save(context, chosen, said) {
  const turns = said.map((content) => ({ role: "user", content }));
  context.draft = { scenarios: { description: `Said to ${chosen.name} in the playground.`, turns } };
  context.address.go(context.address.href(["define", "scenarios", "new"]));
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
    h("option", { value: "" }, "No persona"),
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
