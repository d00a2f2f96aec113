// Continue a run from one of its turns: what is asked for, and the execution that comes of it.

import { h, text } from "./dom.js";

const TRIALS = 5;

/**
 * The section with the form, and a button for each turn that opens it.
 * @param {Object} context  see runs_page.js; its source has fork and forkAgents
 * @param {Run} run  that is over
 */
export function forkSection({ source, address }, run) {
  const turn = h("input", { id: "fork-turn", type: "number", min: 0, max: run.turns, required: true });
  turn.value = Math.max(0, run.turns - 1);
  const say = h("textarea", { id: "fork-say", rows: 2, dir: "auto", placeholder: "as the scenario says" });
  const trials = h("input", { id: "fork-trials", type: "number", min: 1, max: 1000, required: true });
  trials.value = TRIALS;
  const agent = h("select", { id: "fork-agent" }, h("option", { value: "" }, "The same agent"));
  const model = h("input", { id: "fork-model", type: "text", placeholder: "the same model", autocomplete: "off" });
  const told = h("span.told", { role: "status" });
  const start = h("button.primary", { type: "submit" }, "Fork run");
  const form = h(
    "form.fork",
    { novalidate: true },
    h(
      "p.note",
      null,
      "Earlier turns stay as recorded. The conversation continues from there, as a new execution.",
    ),
    field("fork-turn", `After turn (0 to ${run.turns})`, turn),
    field("fork-say", "The user says next", say),
    field("fork-trials", "Trials", trials),
    field("fork-agent", "Agent", agent),
    field("fork-model", "Model", model),
    h("p.actions", null, start, told),
  );
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (start.getAttribute("aria-disabled")) return;
    const wrong = [turn, trials].find((input) => !input.validity.valid);
    if (wrong) {
      told.className = "told o-fail";
      told.replaceChildren(...text(`Expected a whole number from ${wrong.min} to ${wrong.max}.`));
      wrong.focus();
      return;
    }
    start.setAttribute("aria-disabled", "true");
    told.replaceChildren();
    try {
      const body = { turn: Number(turn.value), trials: Number(trials.value), ...chosen(agent) };
      if (say.value.trim()) body.say = say.value;
      if (model.value.trim()) body.model = model.value.trim();
      const made = await source.fork(run.id, body);
      await address.go(address.href(["executions", String(made.id)]));
    } catch (error) {
      told.className = "told o-fail";
      told.replaceChildren(...text(error.message));
    } finally {
      start.removeAttribute("aria-disabled");
    }
  });
  const section = h("details.fork-box", { id: "fork" }, h("summary", null, h("b", null, "Fork this run")), form);
  let asked = false;
  section.addEventListener("toggle", async () => {
    if (asked || !section.open) return;
    asked = true;
    try {
      const found = await source.forkAgents();
      agent.append(...found.map(({ kind, id, name }) => h("option", { value: `${kind}:${id}` }, text(name))));
    } catch {
      asked = false; // the same agent can be chosen all the same
    }
  });
  const open = (after) => {
    section.open = true;
    turn.value = after;
    say.focus();
    section.scrollIntoView({ block: "nearest" });
  };
  return { section, button: (number) => forkButton(number, open) };
}

function forkButton(number, open) {
  const label = `Fork from turn ${number + 1}`;
  const button = h("button.link.fork-here", { type: "button", "aria-label": label }, "Fork from here");
  button.addEventListener("click", () => open(number));
  return button;
}

function chosen(agent) {
  const [kind, id] = agent.value.split(":");
  return id ? { [kind]: id } : {};
}

function field(id, label, control) {
  return h("div.field", null, h("label", { for: id }, label), control);
}
