"""Names that lead nowhere, and combinations that leave nothing to run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from duologue.config.problems import Problems, listed, unknown
from duologue.config.spec import Spec
from duologue.errors import Position
from duologue.specs.agents import READY_MODELS, is_model_name
from duologue.specs.prompts import Prompt
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Suite, Workflow
from duologue.suites.manifests.draft import SECTIONS
from duologue.suites.plan.matrix import agents_of, personas_of, perturbations_of, regions_of, trials_of

_MOST_CASES = 1_000_000
"""Test cases of one scenario; more is a slip of the keyboard."""


def find_broken_references(suite: Suite, broken: Mapping[str, set[str]], problems: Problems) -> None:
    """Look up every name that a suite uses.

    Args:
        suite: all of it.
        broken: names of resources that exist but were refused, by section.
        problems: takes what is wrong.
    """
    looker = _Looker(suite=suite, broken=broken, problems=problems)
    looker.duplicates()
    looker.participants()
    for prompt in suite.prompts:
        looker.prompt(prompt)
    for scenario in suite.scenarios:
        looker.scenario(scenario)
    if suite.workflow:
        looker.workflow(suite.workflow)
    if not suite.scenarios and not suite.replays and not broken:
        problems.warning(suite.place() or Position("?"), "the suite has no scenarios and no replays: nothing to run")


@dataclass(kw_only=True)
class _Looker:
    suite: Suite
    broken: Mapping[str, set[str]]
    problems: Problems

    def names(self, section: str) -> list[str]:
        """Everything that has a name in a section."""
        return [*(item.name for item in getattr(self.suite, section)), *self.broken.get(section, ())]

    def tasks(self) -> list[str]:
        """Everything that a prompt is known by."""
        return list(dict.fromkeys([*(item.answers_to for item in self.suite.prompts), *self.names("prompts")]))

    def look(self, spec: Spec, path: Iterable[str | int], what: str, name: str | None, known: Iterable[str]) -> None:
        """An error if nothing is called that."""
        every = list(dict.fromkeys(known))
        if name is not None and name not in every:
            self.problems.error(spec.place(*path) or Position("?"), unknown(what, name, every))

    def look_for_model(self, spec: Spec, field: str, name: str | None) -> None:
        """An error if that is neither a model of the suite nor the full name of one."""
        if name is not None and not is_model_name(name):
            self.look(spec, (field,), "model", name, [*self.names("models"), *READY_MODELS])

    def duplicates(self) -> None:
        """An error for each name that two resources share."""
        for section in [*SECTIONS, "simulators", "mcp_servers", "a2a_agents"]:
            seen: dict[str, Any] = {}
            for item in getattr(self.suite, section):
                first = seen.setdefault(item.name, item)
                if first is not item:
                    place = item.place("name") or Position("?")
                    told = f"two of the {section} are called '{item.name}', the first in {first.place('name')}"
                    self.problems.error(place, f"{told}; rename one")
        self._twice(self.suite, "regions")

    def participants(self) -> None:
        """Models and prompts of agents, simulators and judges."""
        suite = self.suite
        for agent in suite.agents:
            self.look_for_model(agent, "model", agent.model)
            self.look(agent, ("prompt",), "prompt", agent.prompt, self.tasks())
        for simulator in suite.simulators:
            self.look_for_model(simulator, "model", simulator.model)
        for judge in suite.judges:
            self.look_for_model(judge, "model", judge.model)
            self.look(judge, ("prompt",), "prompt", judge.prompt, self.tasks())
        if suite.judge_defaults:
            self.look(suite.judge_defaults, ("judge",), "judge", suite.judge_defaults.judge, self.names("judges"))
            self.look(suite.judge_defaults, ("prompt",), "prompt", suite.judge_defaults.prompt, self.tasks())
        for replay in suite.replays:
            self.look(replay, ("judge",), "judge", replay.judge, self.names("judges"))

    def prompt(self, prompt: Prompt) -> None:
        """The tools that a prompt offers, unless servers bring some that only they know."""
        suite = self.suite
        if suite.mcp_servers or suite.a2a_agents or suite.extensions or suite.pack_file:
            return
        for index, tool in enumerate(prompt.allowed_tools):
            if not tool.startswith(("workflow__", "memory__", "skill__")):
                self.look(prompt, ("allowed_tools", index), "tool", tool, self.names("tools"))

    def scenario(self, scenario: Scenario) -> None:
        """Everything that a scenario names."""
        for section, field in (("agents", "agents"), ("personas", "personas")):
            for index, name in enumerate(getattr(scenario, field)):
                self.look(scenario, (field, index), section[:-1], name, self.names(section))
        self.look(scenario, ("judge",), "judge", scenario.judge, self.names("judges"))
        for field in ("agents", "personas", "regions"):
            self._twice(scenario, field)
        self._agents(scenario)
        for index, turn in enumerate(scenario.turns):
            self._turn(scenario, index, turn)
        self._perturbations(scenario)

    def _twice(self, spec: Scenario | Suite, field: str) -> None:
        names: tuple[str, ...] = getattr(spec, field)
        for index, name in enumerate(names):
            if name in names[:index]:
                place = spec.place(field, index) or Position("?")
                self.problems.error(place, f"'{name}' stands here twice; for repetitions there is 'trials'")

    def _agents(self, scenario: Scenario) -> None:
        suite, problems = self.suite, self.problems
        if "agents" in self.broken or any(name not in self.names("agents") for name in scenario.agents):
            return
        place = scenario.place() or Position("?")
        groups = {agent.group for agent in suite.agents}
        group = scenario.agent_group
        if group is not None and group not in groups and suite.agents and not scenario.agents:
            told = f"{unknown('group of agents', group, sorted(groups))}. All agents are rehearsed"
            problems.warning(scenario.place("agent_group") or place, told)
        found = agents_of(suite, scenario)
        if not found:
            needed = listed(scenario.required_capabilities)
            told = f"no agent of the suite can do all of this: {needed}" if suite.agents else "the suite has no agents"
            problems.error(scenario.place("required_capabilities") or place, f"{told}; nothing would be rehearsed")
        made_of_models = [agent for agent in found if agent.model and not agent.prompt]
        if made_of_models:
            self._task(scenario, made_of_models[0].name, place)

    def _task(self, scenario: Scenario, agent: str, place: Position) -> None:
        if scenario.prompt is not None:
            self.look(scenario, ("prompt",), "prompt", scenario.prompt, self.tasks())
        elif not self.suite.workflow:
            told = f"the agent '{agent}' is made of a model and has no prompt; give the agent or this scenario one"
            self.problems.error(place, f"{told}. Known: {listed(self.tasks())}")

    def _turn(self, scenario: Scenario, index: int, turn: Turn) -> None:
        self._accidents(scenario, index, turn)
        if turn.role != "simulated_user":
            return
        at = ("turns", index)
        names = [simulator.name for simulator in self.suite.simulators]
        self.look(scenario, (*at, "simulator"), "simulator", turn.simulator, names)
        self.look(scenario, (*at, "persona"), "persona", turn.persona, self.names("personas"))
        if turn.simulator is None and len(names) > 1:
            place = scenario.place(*at) or Position("?")
            self.problems.error(place, f"the suite has several simulators; say which one: {listed(names)}")

    def _accidents(self, scenario: Scenario, index: int, turn: Turn) -> None:
        """Tools that are to fail or to be declined in a turn, unless servers bring some that only they know."""
        suite = self.suite
        if suite.mcp_servers or suite.a2a_agents or suite.extensions or suite.pack_file:
            return
        at, names = ("turns", index), self.names("tools")
        for tool in turn.consent:
            self.look(scenario, (*at, "consent", tool), "tool", tool, names)
        for place, failure in enumerate(turn.chaos.tool_failures if turn.chaos else ()):
            self.look(scenario, (*at, "chaos", "tool_failures", place, "tool"), "tool", failure.tool, names)

    def _perturbations(self, scenario: Scenario) -> None:
        seen: dict[str, tuple[str, ...]] = {}
        for index, turn in enumerate(scenario.turns):
            texts = " ".join([turn.content or "", *(part.text or "" for part in turn.parts)])
            for key, values in turn.perturbations.items():
                place = scenario.place("turns", index, "perturbations", key) or Position("?")
                if f"{{{key}}}" not in texts:
                    self.problems.warning(place, f"the turn does not say {{{key}}}, so its variants are all the same")
                if seen.setdefault(key, values) != values:
                    self.problems.error(place, "another turn has other values for this name; give it another name")
                if len(set(values)) < len(values):
                    self.problems.error(place, "the same value stands here twice; each must differ")
        place = scenario.place() or Position("?")
        variants = len(perturbations_of(scenario, most=10_001))
        if variants > 10_000:
            self.problems.error(place, "the perturbations make more than 10,000 combinations; expected fewer")
            return
        around = len(personas_of(scenario)) * len(regions_of(self.suite, scenario)) * trials_of(self.suite, scenario)
        count = variants * around * max(1, len(agents_of(self.suite, scenario)))
        if count > _MOST_CASES:
            told = f"the scenario makes {count:,} test cases: agents × personas × regions × perturbations × trials"
            self.problems.error(place, f"{told}; expected at most {_MOST_CASES:,}")

    def workflow(self, workflow: Workflow) -> None:
        """The states that a workflow names, their prompts, and states that nothing leads to."""
        states = workflow.states
        self.look(workflow, ("entry",), "state", workflow.entry, states)
        reached = {workflow.entry}
        for name, state in states.items():
            for event, target in state.on_event.items():
                self.look(workflow, ("states", name, "on_event", event), "state", target, states)
            self.look(workflow, ("states", name, "on_max_visits"), "state", state.on_max_visits, states)
            reached |= {*state.on_event.values(), state.on_max_visits or name if state.on_max_visits else ""}
            self.look(workflow, ("states", name, "prompt_task"), "prompt", state.prompt_task, self.tasks())
        for name in states:
            if name not in reached:
                place = workflow.place("states", name, of_key=True) or Position("?")
                self.problems.warning(place, "no event leads to this state")
