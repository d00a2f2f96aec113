"""What can be wrong with a suite whose parts are all well formed: names, files, variables, tools, checks.

Names that lead nowhere and combinations that leave nothing to run come first, then variables of prompts that nobody
gives a value or that refer to each other in a circle. What has to be built to be checked is in ``validate.checks``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from duologue.config.access import variables
from duologue.config.files import PATTERN, matching_files
from duologue.config.problems import Problems, listed, similar_file, unknown
from duologue.config.spec import Spec, written_paths
from duologue.config.templates import missing_variables, placeholders
from duologue.errors import Position, Problem
from duologue.specs.agents import READY_MODELS, is_model_name, metaprompt_of
from duologue.specs.prompts import ENGINE_TOOLS, Prompt, open_variables, values_for
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Suite, Workflow, find_named
from duologue.specs.users import Attack
from duologue.suites.manifests.loader import SECTIONS, UNREAD, Draft
from duologue.suites.manifests.validate.checks import find_broken_checks, find_broken_tools, with_pack
from duologue.suites.plan.build import (
    agents_of,
    attackers_of,
    needs_simulator,
    personas_of,
    perturbations_of,
    played_by,
    regions_of,
    trials_of,
)

if TYPE_CHECKING:
    from duologue.models.mock.file import ResponseFile

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
        if name is not None and name not in every and UNREAD not in every:
            self.problems.error(spec.place(*path) or Position("?"), unknown(what, name, every))

    def look_for_model(self, spec: Spec, field: str, name: str | None) -> None:
        """An error if that is neither a model of the suite nor the full name of one."""
        known = [*self.names("models"), *READY_MODELS]
        if name is None or is_model_name(name) or name in known or UNREAD in known:
            return
        told = unknown("model", name, known)
        self.problems.error(
            spec.place(field) or Position("?"),
            f"{told}. A model of a provider is written as provider/model, such as openai/gpt-5-mini",
        )

    def duplicates(self) -> None:
        """An error for each name that two resources share."""
        for section in [*SECTIONS, "simulators", "mcp_servers", "a2a_agents"]:
            seen: dict[str, Any] = {}
            for item in getattr(self.suite, section):
                first = seen.setdefault(item.name, item)
                if first is not item:
                    place = item.place("name") or Position("?")
                    told = (
                        f"two of the {section} are called '{item.name}', the first in {first.place('name')}; rename one"
                    )
                    if item.place() is not None and item.place() == first.place():
                        told = (
                            f"'{item.name}' is listed twice: the same file is named twice. Remove one of the references"
                        )
                    self.problems.error(place, told)
        self._twice(self.suite, "regions")

    def participants(self) -> None:
        """Models and prompts of agents, simulators and judges."""
        suite = self.suite
        for agent in suite.agents:
            self.look_for_model(agent, "model", agent.model)
            self.look(agent, ("prompt",), "prompt", agent.prompt, self.tasks())
        for simulator in suite.simulators:
            self.look_for_model(simulator, "model", simulator.model)
        for persona in suite.personas:
            if persona.attack:
                self._attack(persona.attack)
        for judge in suite.judges:
            self.look_for_model(judge, "model", judge.model)
            self.look(judge, ("prompt",), "prompt", judge.prompt, self.tasks())
        if suite.judge_defaults:
            self.look(suite.judge_defaults, ("judge",), "judge", suite.judge_defaults.judge, self.names("judges"))
            self.look(suite.judge_defaults, ("prompt",), "prompt", suite.judge_defaults.prompt, self.tasks())
        for replay in suite.replays:
            self.look(replay, ("judge",), "judge", replay.judge, self.names("judges"))

    def _attack(self, attack: Attack) -> None:
        self.look_for_model(attack, "model", attack.model)
        self.look_for_model(attack, "metaprompt_model", attack.metaprompt_model)
        if attack.objective is not None:
            from duologue.agents.red_team import objectives

            self.look(attack, ("objective",), "objective", attack.objective, [item.id for item in objectives()])

    def prompt(self, prompt: Prompt) -> None:
        """The tools that a prompt offers, unless servers bring some that only they know."""
        suite = self.suite
        if suite.mcp_servers or suite.a2a_agents or suite.extensions or suite.pack_file:
            return
        for index, tool in enumerate(prompt.allowed_tools):
            if not tool.startswith(ENGINE_TOOLS):
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
        self._criteria(scenario)
        for index, turn in enumerate(scenario.turns):
            self._turn(scenario, index, turn)
        self._perturbations(scenario)
        attackers = attackers_of(self.suite, scenario)
        at = [turn for turn in scenario.turns if turn.persona in {item.name for item in attackers}]
        if at and len(attackers) > 1:
            place = scenario.place("turns", scenario.turns.index(at[-1]), "persona") or Position("?")
            self.problems.error(place, "the turns of a scenario have one attacker at most; use scenarios of their own")

    def _criteria(self, scenario: Scenario) -> None:
        """What the judge of a success or failure criterion does not do."""
        if not scenario.ends_on_criteria:
            return
        defaults = self.suite.judge_defaults
        name = scenario.judge or (defaults.judge if defaults else None)
        judge = find_named(self.suite.judges, name) or next(iter(self.suite.judges), None)
        given = [field for field in ("votes", "min_turns", "prompt") if judge and field in judge.written()]
        if judge and given:
            place = judge.place(given[0]) or scenario.place("success_criteria") or Position("?")
            told = f"has no effect on the success_criteria and failure_criteria of the scenario '{scenario.name}'"
            self.problems.warning(place, f"{given[0]} of the judge '{judge.name}' {told}")

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
        made_of_models = [agent for agent in found if agent.is_native and not agent.prompt]
        if made_of_models:
            self._task(scenario, made_of_models[0].name, place)

    def _task(self, scenario: Scenario, agent: str, place: Position) -> None:
        if scenario.prompt is not None:
            states = self.suite.workflow.states if self.suite.workflow else ()
            self.look(scenario, ("prompt",), "prompt", scenario.prompt, [*self.tasks(), *states])
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
        simulated = needs_simulator(self.suite, scenario, turn)
        for field in ("simulator", "user_temperature"):
            if not simulated and getattr(turn, field) is not None:
                personas = [item for item in played_by(self.suite, scenario, turn) if item]
                told = listed(f"'{item.name}' has {'lines' if item.lines else f'an {item.way}'}" for item in personas)
                place = scenario.place(*at, field) or Position("?")
                self.problems.error(place, f"the persona {told}, so no simulator plays the user here. Remove '{field}'")
        if turn.simulator is None and len(names) > 1 and simulated:
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
        for name, state in states.items():
            if state.composition or state.orchestration == "composition":
                place = workflow.place("states", name, "composition") or workflow.place("states", name) or Position("?")
                which = f" '{state.composition}'" if state.composition else ""
                told = f"the state runs the composition{which}, and Duologue does not run compositions"
                self.problems.error(place, f"{told}. Give the state a 'prompt_task' instead")
        for name in states:
            if name not in reached:
                place = workflow.place("states", name, of_key=True) or Position("?")
                self.problems.warning(place, "no event leads to this state")


def find_open_variables(suite: Suite, problems: Problems) -> None:
    """Warn of every scenario whose prompt would be left with an open variable: its runs end with an error."""
    used = {id(prompt): prompt for scenario in suite.scenarios for prompt in _prompts(suite, scenario)}
    for prompt in used.values():
        _find_circles(prompt, problems)
    for scenario in suite.scenarios:
        for prompt in _prompts(suite, scenario):
            _find_open(prompt, scenario, problems)


def _prompts(suite: Suite, scenario: Scenario) -> list[Prompt]:
    tasks = {scenario.prompt, *(agent.prompt for agent in suite.agents)} - {None}
    found = [suite.prompt_for(task) for task in sorted(filter(None, tasks))]
    return [prompt for prompt in found if prompt is not None]


def _find_open(prompt: Prompt, scenario: Scenario, problems: Problems) -> None:
    required, left = open_variables(prompt, scenario)
    place = scenario.place("prompt") or scenario.place() or Position("?")
    consequence = f"every run of scenario '{scenario.name}' will end with an error"
    if required:
        told = f"the prompt '{prompt.answers_to}' requires {listed(required)}, which has no value"
        problems.warning(place, f"{told}: {consequence}")
    if left:
        names = listed(f"{{{{{name}}}}}" for name in left)
        told = f"the prompt '{prompt.answers_to}' says {names}, which nothing gives a value"
        problems.warning(prompt.place("system_template") or place, f"{told}: {consequence}")


def _find_circles(prompt: Prompt, problems: Problems) -> None:
    circle = _circle(values_for(prompt))
    if circle:
        place = prompt.place("values") or prompt.place() or Position("?")
        problems.error(place, f"values refer to each other in a circle: {' → '.join(circle)}")


def _circle(values: Mapping[str, str]) -> list[str]:
    """The names of a circle, the first one again at the end; [] if there is none."""
    done: set[str] = set()
    for start in values:
        path: list[str] = []
        stack = [(start, iter(_names_in(values, start)))]
        path.append(start)
        while stack:
            name, rest = stack[-1]
            following = next(rest, None)
            if following is None:
                stack.pop()
                path.pop()
                done.add(name)
            elif following in path:
                return [*path[path.index(following) :], following]
            elif following not in done:
                stack.append((following, iter(_names_in(values, following))))
                path.append(following)
    return []


def _names_in(values: Mapping[str, str], name: str) -> list[str]:
    return [other for other in placeholders(values[name]) if other in values]


def validated(draft: Draft, problems: Problems, *, whole: bool = True) -> Suite | None:
    """The suite of a draft, after everything about it was looked at.

    Args:
        draft: what was put together.
        problems: takes what is wrong.
        whole: it is a whole suite; otherwise what it refers to may be elsewhere and is not looked at.
    """
    suite = draft.suite
    if suite is None:
        return None
    _find_unset_variables(suite, problems)
    _find_unset_headers(suite, problems)
    _find_idle_streaming(suite, problems)
    if whole:
        _find_missing_files(suite, problems)
        suite = with_pack(suite, problems)
        find_broken_references(suite, draft.broken, problems)
        find_open_variables(suite, problems)
        _find_broken_answers(suite, problems)
    find_broken_tools(suite, problems)
    find_broken_checks(suite, problems, whole=whole)
    if any(agent.runtime is not None for agent in suite.agents):
        from duologue.suites.manifests.validate.runtimes import find_broken_runtimes

        find_broken_runtimes(suite, problems, whole=whole)
    if any(item.voice is not None for item in (*suite.scenarios, *suite.personas)):
        from duologue.suites.manifests.validate.voice import find_broken_voices

        find_broken_voices(suite, problems)
    return suite


def _find_unset_variables(suite: Suite, problems: Problems) -> None:
    for place, text in suite.environment_texts():
        for name in missing_variables(text):
            problems.warning(
                place or Position("?"),
                f"the environment variable {name} is not set. What needs it will end with an error; "
                f"set it, or write ${{{name}:-default}}",
            )


def _find_unset_headers(suite: Suite, problems: Problems) -> None:
    """Headers that are taken from the environment by name."""
    bound = [*(tool.http for tool in suite.tools if tool.http), *suite.a2a_agents]
    for spec in bound:
        for index, entry in enumerate(spec.headers_from_env):
            name = entry.partition("=")[2]
            if name and not variables().get(name):
                problems.warning(
                    spec.place("headers_from_env", index) or Position("?"),
                    f"the environment variable {name} is not set. What needs it will end with an error; set it",
                )


def _find_idle_streaming(suite: Suite, problems: Problems) -> None:
    for scenario in suite.scenarios:
        if scenario.streaming and not any(agent.http for agent in suite.agents):
            place = scenario.place("streaming", of_key=True) or Position("?")
            problems.warning(place, "has an effect on agents behind a URL only; others give the same answers without")


def _find_missing_files(suite: Suite, problems: Problems) -> None:
    for spec, field, written in written_paths(suite):
        if (
            field in {"credential_file", "schema_file", "mock_parts"}
            or missing_variables(written)
            or (field == "target" and ".py:" not in written)
        ):
            continue  # looked for elsewhere: when they are used, or where checks are made
        if field == "target":
            written = written.rpartition(":")[0]
        place = spec.place(field) or Position("?")
        path = suite.path_or_here(written) if field == "recording_file" else suite.path(written)
        if PATTERN & set(written) and field == "recording":
            if not matching_files(suite.folder, written):
                problems.error(place, f"no file matches '{written}'")
        elif field == "working_dir":
            if not path.is_dir():
                problems.error(place, f"there is no folder '{written}'")
        elif not path.is_file():
            problems.error(place, f"there is no file '{written}'{similar_file(path)}")


def _find_broken_answers(suite: Suite, problems: Problems) -> None:
    """Look at the response files of mock models, which may be wrong, or for another suite."""
    seen: set[str] = set()
    for model in suite.models:
        written = model.mock_file
        if model.provider != "mock" or not written or written in seen or missing_variables(written):
            continue
        seen.add(written)
        path = suite.path(written)
        if not path.is_file():
            continue  # that was told
        from duologue.models.mock.file import ResponseFile

        file = ResponseFile.looked_at(path, problems)
        for problem in unused_answers(file, suite) if file else ():
            problems.warning(problem.position, problem.message)


def unused_answers(file: ResponseFile, suite: Suite) -> tuple[Problem, ...]:
    """Warnings about answers in a response file that no part of the suite will ask for."""
    from duologue.models.mock.file import ANY_PERSONA

    alone = ("lines", "agenda")
    played = [
        persona
        for scenario in suite.scenarios
        for turn in ([item for item in scenario.turns if item.role == "simulated_user"] if scenario.turns else [None])
        if turn is not None or scenario.simulates_a_user
        for persona in played_by(suite, scenario, turn)
    ]
    without_model = {
        item.name: f"no model plays the persona '{item.name}': it has {item.way} of its own"
        for item in suite.personas
        if item.way in alone
    }
    if suite.scenarios and all(persona is not None and persona.way in alone for persona in played):
        who = "each has lines or an agenda of its own" if played else "the suite has no simulated users"
        without_model[ANY_PERSONA] = f"no model plays a user: {who}"
    return file.unused(
        without_model=without_model,
        scenarios=[item.name for item in (*suite.scenarios, *suite.replays)],
        personas=[
            name for item in suite.personas for name in (item.name, *([metaprompt_of(item)] if item.attack else ()))
        ],
        judges=[item.name for item in suite.judges],
        states=list(suite.workflow.states) if suite.workflow else [],
    )
