// What can be defined, one entry for each kind: what its list and its form show, and what it can do besides.

import { all, read } from "./api.js";
import { connectorTools, connectorTest } from "./connector_parts.js";
import { agentParts, agentTools } from "./agent_parts.js";
import { evalParts, evalTools, scheduleFacts } from "./eval_parts.js";
import { environmentParts } from "./environment_parts.js";
import { checkControl, runtimeControl } from "./check_control.js";
import { plural } from "./format.js";

// The names of all items of a kind, for fields that name one.
async function named(path, value = "id") {
  const items = await all(path);
  return items.map((item) => ({ value: item[value], label: item.name || item.display_name || item.id }));
}

const DEFINED = [
  {
    name: "personas",
    one: "persona",
    many: "Personas",
    about: "Who the simulated user is: what this person wants, knows and insists on, and how they write.",
    next: "A persona plays the user in your scenarios. Begin with a name and a sentence about the person.",
    layout: { main: ["name", "description", "goals", "constraints", "style", "language"] },
    lead: (item) => item.description,
    facts: (item) => [item.language, item.goals?.length ? plural(item.goals.length, "goal") : null],
  },
  {
    name: "scenarios",
    one: "scenario",
    many: "Scenarios",
    about: "What to rehearse: the situation, what counts as success, and how it is checked.",
    next: "A scenario is a situation for the simulated user, with criteria that decide whether the agent did well.",
    layout: {
      main: [
        "name",
        "description",
        "persona_ids",
        "criteria",
        "success_criteria",
        "failure_criteria",
        "turns",
        "checks",
        "max_turns",
        "trials",
      ],
      hide: ["personas", "cases", "agents", "agent_group"],
    },
    lead: (item) => item.description || item.criteria?.[0] || item.success_criteria,
    facts: (item) => [
      item.personas?.length ? plural(item.personas.length, "persona") : null,
      item.criteria?.length ? plural(item.criteria.length, "criterion").replace("criterions", "criteria") : null,
      item.checks?.length ? plural(item.checks.length, "check") : null,
    ],
    choices: async () => ({ persona_ids: await named("/personas"), "turns.persona": await named("/personas", "name") }),
    special: { checks: checkControl },
  },
  {
    name: "connectors",
    one: "connector",
    many: "Connectors",
    about: "The address of an agent that is already running, and how it is called.",
    next: "Connect the agent that you want to rehearse: all you need is its URL.",
    layout: { main: ["name", "type", "base_url", "headers", "config"] },
    lead: (item) => item.base_url,
    facts: (item) => [item.type],
    tools: connectorTools,
    extras: connectorTest,
  },
  {
    name: "agents",
    one: "agent",
    many: "Agents",
    about:
      "Agents that are developed here or on a platform: a prompt, tools and a model, in versions that never change.",
    next: "An agent is a draft that you edit and versions that you publish. Evals can name either.",
    layout: { main: ["name", "agent", "prompts", "tools", "models"], long: ["system_template"] },
    title: (item) => item.name,
    lead: (item) => item.agent?.description || item.agent?.model || item.agent?.platform,
    facts: (item) => [item.version ? `version ${item.version}` : "draft only"],
    tools: agentTools,
    extras: agentParts,
    special: { "agent.runtime": runtimeControl },
  },
  {
    name: "evals",
    one: "eval",
    many: "Evals",
    about: "Scenarios and the connector or agent that they are run against. Launch it as often as you like.",
    next: "An eval brings scenarios and an agent together. Once it is saved you can launch it.",
    layout: {
      main: ["name", "description", "scenario_ids", "connector_id", "agent_id", "agent_version", "trials", "config"],
    },
    lead: (item) => item.description,
    facts: (item) => [plural(item.scenario_ids.length, "scenario"), item.trials > 1 ? `${item.trials} trials` : null],
    choices: async () => {
      const [scenario_ids, connector_id, agent_id, metrics] = await Promise.all([
        named("/scenarios"),
        named("/connectors"),
        named("/agents"),
        named("/metrics", "name"),
      ]);
      return { scenario_ids, connector_id, agent_id, "config.judge.metrics.name": metrics };
    },
    special: { "config.runtime": runtimeControl },
    tools: evalTools,
    extras: evalParts,
    gone: "Its executions stay. This cannot be undone.",
  },
  {
    name: "schedules",
    one: "schedule",
    many: "Schedules",
    about: "Evals that are launched on a schedule, such as every morning at six.",
    next: "A schedule launches an eval by a cron expression such as 0 6 * * *.",
    layout: { main: ["eval_id", "cron", "timezone", "enabled"] },
    title: (item) => item.cron,
    facts: scheduleFacts,
    lead: (item) => item.last_error || item.eval_name,
    choices: async () => ({ eval_id: await named("/evals") }),
  },
  {
    name: "metrics",
    one: "metric",
    many: "Metrics",
    about: "What judges grade conversations by, with a rubric and a weight.",
    next: "A metric has a rubric that says what each grade means. Predefined ones are there already.",
    layout: {
      main: ["name", "display_name", "description", "score_type", "rubric", "tier", "default_weight"],
      long: ["rubric"],
    },
    title: (item) => item.display_name || item.name,
    lead: (item) => item.description || (typeof item.rubric === "string" ? item.rubric : null),
    facts: (item) => [item.tier, item.draft ? "draft" : null],
  },
  {
    name: "environments",
    one: "environment",
    many: "Environments",
    about: "Where versions of an agent are deployed to, and the eval that has to pass before.",
    next: "An environment is a platform or a webhook that gets a version of an agent, once its gate is passed.",
    layout: { main: ["name", "description", "platform", "agent_id", "eval_id", "webhook_url", "platform_agent_id"] },
    lead: (item) => item.description || item.webhook_url,
    facts: (item) => [item.platform],
    choices: async () => {
      const [agent_id, eval_id] = await Promise.all([named("/agents"), named("/evals")]);
      return { agent_id, eval_id };
    },
    extras: environmentParts,
  },
];

/** All kinds, by name, complete with what follows from their names. */
export const RESOURCES = new Map(
  DEFINED.map((found) => [
    found.name,
    {
      at: ["define", found.name],
      up: [["define"], "Define"],
      view: "define",
      path: `/${found.name}`,
      form: found.name,
      title: (item) => item.name,
      ...found,
    },
  ]),
);

/** How many there are of each kind, as far as a page goes. */
export async function counts() {
  const found = await Promise.all([...RESOURCES.values()].map(({ path }) => read(path, { limit: 100 })));
  return new Map([...RESOURCES.keys()].map((name, index) => [name, countOf(found[index])]));
}

function countOf({ data, next }) {
  return next ? `${data.length}+` : String(data.length);
}
