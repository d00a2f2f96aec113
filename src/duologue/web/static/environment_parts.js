// An environment: what would be sent, whether the gate is passed, deploy, and what was deployed.

import { all, read, send } from "./api.js";
import { h, text } from "./dom.js";
import { percent, when } from "./format.js";
import { action, ask, note, pairs } from "./page_parts.js";

const OUTCOME = { deployed: "pass", failed: "error", refused: "fail", pending: "undecided" };

export function environmentParts(context, item) {
  const agent = h("select", { id: "deploy-agent" });
  const version = h("input", {
    type: "text",
    id: "deploy-version",
    inputmode: "numeric",
    placeholder: "newest",
    autocomplete: "off",
  });
  const result = h("div.result", { role: "status" });
  const history = h("ol.items", { "aria-label": "Deployments" });
  const wanted = () => ({ agent_id: agent.value, version: version.value.trim() ? Number(version.value) : undefined });
  const fill = async () => {
    const found = (await all("/deployments", { environment_id: item.id }, 100)).reverse();
    history.replaceChildren(...found.map(row));
    if (!found.length) history.replaceChildren(h("li.none", null, "Nothing has been deployed yet."));
  };
  const preview = action(
    "Preview",
    async () => {
      const found = await read(`/environments/${item.id}/preview`, wanted());
      result.replaceChildren(
        pairs([["request", `${found.method} ${found.url}`]]),
        h("pre", { tabindex: "0" }, text(JSON.stringify(found.body, null, 2))),
      );
    },
    { place: result },
  );
  const gate = action(
    "Check the gate",
    async () =>
      result.replaceChildren(
        gateView(
          await read(`/agents/${agent.value}/gate`, { ...wanted(), agent_id: undefined, environment_id: item.id }),
        ),
      ),
    { place: result },
  );
  const deploy = action(
    "Deploy",
    async () => {
      const name = agent.selectedOptions[0]?.textContent || "the agent";
      if (!(await ask(`Deploy ${name} to ${item.name}?`, "The gate is checked first.", "Deploy", { danger: false })))
        return;
      const { data } = await send("POST", "/deployments", { body: { environment_id: item.id, ...wanted() } });
      result.replaceChildren(
        h(`p.told.o-${OUTCOME[data.status]}`, null, text(`${data.status}: ${data.message}`)),
        data.gate ? gateView(data.gate) : "",
      );
      await fill();
    },
    { kind: "button", place: result },
  );
  const fillAgents = async () => {
    const agents = await all("/agents");
    agent.replaceChildren(
      ...agents.map((one) => h("option", { value: one.id, selected: one.id === item.agent_id }, text(one.name))),
    );
    if (!agents.length) note(result, "There are no agents to deploy yet.");
  };
  Promise.all([fillAgents(), fill()]).catch((error) => note(result, error.message, "fail"));
  const after = [
    h(
      "section",
      null,
      h("h2", null, "Deploy"),
      h(
        "p.inline",
        null,
        h("label.quiet", { for: "deploy-agent" }, "Agent"),
        agent,
        h("label.quiet", { for: "deploy-version" }, "Version"),
        version,
      ),
      h("p.actions", null, preview, gate, deploy),
      result,
    ),
    h("section", null, h("h2", null, "Deployments"), history),
  ];
  return { after };
}

function row(found) {
  return h(
    "li",
    null,
    h("div", null, h("b", null, `Version ${found.agent_version}`), h("p", { dir: "auto" }, text(found.message))),
    h(
      "p.facts",
      null,
      h(`span.o-${OUTCOME[found.status]}.told`, null, found.status),
      h("span", null, when(found.created_at)),
    ),
  );
}

function gateView(gate) {
  return h(
    "div",
    null,
    h(
      `p.told.o-${gate.passed ? "pass" : "fail"}`,
      null,
      h("b", null, gate.passed ? "The gate is passed. " : "The gate is not passed. "),
      text(gate.reason),
    ),
    pairs([
      ["eval", gate.eval_name],
      ["execution", gate.execution_name],
      [
        "pass rate",
        gate.pass_rate === null ? null : `${percent(gate.pass_rate)}, ${percent(gate.required_pass_rate)} needed`,
      ],
    ]),
    gate.notes.map((told) => h("p.note", null, text(told))),
  );
}
