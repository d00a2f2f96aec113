"""Everything about a test case that does not change from run to run: prepared once, shared by trials and perturbations.

A casting knows the scenario, its agent and its region. What it gives out for a run is cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from duologue.agents.native.values import all_values
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.checking import Check
from duologue.conversation.executor import ScenarioExecutor
from duologue.conversation.setup import ScriptStep
from duologue.messages import Message
from duologue.specs.checking import GuardrailSpec
from duologue.specs.environment import expand
from duologue.specs.participants import Agent
from duologue.specs.prompt import Prompt
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Suite
from duologue.suites.manifests.checks_within import made_check, made_eval
from duologue.suites.plan.cases import TestCase
from duologue.suites.runner.circumstances import Circumstances
from duologue.suites.runner.guarding import NoViolation
from duologue.suites.runner.judging import judge_for, resources_for
from duologue.suites.runner.script import TurnListener, TurnStep, final_judgement
from duologue.suites.runner.shelf import ModelShelf
from duologue.suites.runner.users import SuiteUser
from duologue.vocabulary import Scope

if TYPE_CHECKING:
    from duologue.agents.native.blueprint import Blueprint
    from duologue.agents.tools.toolbox import Toolbox
    from duologue.checks import Resources

MakeAgent = Callable[[TestCase], AgentAdapter]


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Who takes part in one run, and what happens in it.

    Attributes:
        agents: the participants.
        script: the steps; empty for a free conversation.
        checks: of every turn and of the whole conversation, beside those in the steps.
    """

    agents: tuple[AgentAdapter, ...]
    script: tuple[ScriptStep, ...]
    checks: tuple[Check, ...]


@dataclass(frozen=True)
class Casting:
    """A scenario with its agent in a region.

    Attributes:
        suite, scenario, agent, region: what is cast.
        shelf, toolbox: models and tools, shared by all castings of an execution.
        given: what makes the agent, where a program hands it over.
        temperature, max_tokens: of an agent made of a model, over what the suite says.
    """

    suite: Suite
    scenario: Scenario
    agent: Agent
    region: str
    shelf: ModelShelf
    toolbox: Toolbox
    given: Callable[[], AgentAdapter] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    _turn_checks: dict[int, tuple[Check, ...]] = field(default_factory=dict[int, "tuple[Check, ...]"])

    @property
    def description(self) -> str:
        """The situation."""
        return self.scenario.description

    @property
    def labels(self) -> dict[str, str]:
        """For choosing and grouping."""
        return self.scenario.labels

    def executor(self, case: TestCase, circumstances: Circumstances) -> ScenarioExecutor:
        """The run of one case."""
        cast = self.cast(case)
        return ScenarioExecutor(
            self.scenario.name,
            self.scenario.description,
            cast.agents,
            cast.script or None,
            set_id=self.suite.name,
            metadata={"case": case.as_data(), "labels": self.scenario.labels},
            checks=cast.checks,
            recall=circumstances.recall,
            **circumstances.as_arguments(),
        )

    def cast(self, case: TestCase) -> Cast:
        """Participants, script and checks of one run."""
        agent = self._make_agent(case)
        agents: list[AgentAdapter] = [agent]
        listeners: list[Any] = [agent] if hasattr(agent, "turn_spec") else []
        if self.scenario.simulates_a_user or not self.scenario.turns:
            user = SuiteUser(self.shelf, self.scenario, persona=case.persona, region=case.region)
            agents.append(user)
            listeners.append(user)
        else:
            agents.append(self._silent_user)
        if self.scenario.criteria:
            agents.append(self._judge)
        return Cast(agents=tuple(agents), script=self._script(case, listeners), checks=self.run_checks)

    @cached_property
    def prompts(self) -> tuple[Prompt, ...]:
        """What an agent made of a model is told, one for each state of a workflow; none for other agents."""
        if not self.agent.model:
            return ()
        task = self.agent.prompt or self.scenario.prompt
        workflow = self.suite.workflow
        tasks = [state.prompt_task or task for state in workflow.states.values()] if workflow else [task]
        found = {task: self.suite.prompt_for(task) for task in tasks if task}
        return tuple(prompt for prompt in found.values() if prompt is not None)

    @cached_property
    def thresholds(self) -> dict[str, float]:
        """The share of trials that checks need, by name, where it is not all of them.

        Checks of one name are counted together, so that the strictest of them decides.
        """
        shares: dict[str, float] = {}
        for check in [
            *self.run_checks,
            *(item for index in range(len(self.scenario.turns)) for item in self._of(index)),
        ]:
            share: float | None = getattr(check, "pass_threshold", None)
            shares[check.name] = max(shares.get(check.name, 0.0), 1.0 if share is None else share)
        return {name: share for name, share in shares.items() if share < 1}

    @cached_property
    def tolerated(self) -> frozenset[str]:
        """Types of guardrails whose violations do not fail a run."""
        guardrails = self._guardrails
        strict = {item.type for item in guardrails if item.fail_on_violation}
        return frozenset(item.type for item in guardrails if not item.fail_on_violation) - strict

    @property
    def _guardrails(self) -> list[GuardrailSpec]:
        return [item for prompt in self.prompts for item in prompt.guardrails if item.enabled]

    @cached_property
    def resources(self) -> Resources:
        """What checks may ask."""
        return replace(resources_for(self.shelf, self.scenario.name), run_tool=self.toolbox.run)

    @cached_property
    def run_checks(self) -> tuple[Check, ...]:
        """Checks of the conversation, evals of packs, and what guardrails come to."""
        written = [*self.scenario.checks, *self.suite.checks]
        checks: list[Check] = [made_check(spec, Scope.CONVERSATION, self.resources) for spec in written]
        evals = {spec.id: spec for spec in self.suite.pack_evals}
        evals.update({spec.id: spec for prompt in self.prompts for spec in prompt.evals})
        checks += [made_eval(spec, self.resources) for spec in evals.values()]
        if self._guardrails:
            checks.append(NoViolation(self.tolerated))
        return tuple(checks)

    @cached_property
    def _silent_user(self) -> AgentAdapter:
        return SuiteUser(self.shelf, self.scenario, persona=None, region=self.region)

    @cached_property
    def _judge(self) -> AgentAdapter:
        return judge_for(self.shelf, self.scenario.name, self.scenario.criteria, self.scenario.judge)

    @cached_property
    def _make_agent(self) -> MakeAgent:
        spec, given = self.agent, self.given
        if given is not None:
            return lambda _case: given()
        if spec.target:
            from duologue.suites.runner.targets import load_agent

            make = load_agent(expand(spec.target), self.suite.folder, spec.name)
            return lambda _case: make()
        if spec.http:
            agent = self._http()
            return lambda _case: agent
        from duologue.agents.native.prompt_agent import PromptAgent

        model = spec.model or ""
        return lambda case: PromptAgent(
            self.blueprint,
            model=self.shelf.model(model, scenario=self.scenario.name),
            tools=self.toolbox.session(),
        )

    def _http(self) -> AgentAdapter:
        from duologue.agents.http.agent import HttpAgent

        http = self.agent.http
        assert http is not None
        return HttpAgent(
            expand(http.url),
            headers={key: expand(value) for key, value in http.headers.items()},
            model=http.model,
            name=self.agent.name,
            timeout=self.agent.timeout,
            thread_header=http.thread_header,
            send=http.send,
            stream=self.scenario.streaming,
            extra_body=http.extra_body,
        )

    @cached_property
    def blueprint(self) -> Blueprint:
        """The prepared agent, for one that is made of a model."""
        from duologue.agents.native.blueprint import Blueprint

        return Blueprint(
            suite=self.suite,
            scenario=self.scenario,
            agent=self.agent,
            region=self.region,
            resources=self.resources,
            toolbox=self.toolbox,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )

    def _script(self, case: TestCase, listeners: Sequence[TurnListener]) -> tuple[ScriptStep, ...]:
        stop = self.suite.defaults.stop_on_failed_check
        steps: list[ScriptStep] = [
            TurnStep(
                index=index,
                turn=turn,
                line=self._line(turn, case) if turn.role == "user" else None,
                checks=self._of(index),
                listeners=listeners,
                stop=stop,
            )
            for index, turn in enumerate(self.scenario.turns)
        ]
        if steps and self.scenario.criteria:
            steps.append(final_judgement)
        return tuple(steps)

    def _of(self, index: int) -> tuple[Check, ...]:
        """The checks of a turn of the scenario."""
        held = self._turn_checks.get(index)
        if held is None:
            written = self.scenario.turns[index].checks
            held = self._turn_checks[index] = tuple(made_check(spec, Scope.TURN, self.resources) for spec in written)
        return held

    def _line(self, turn: Turn, case: TestCase) -> Message:
        if self.agent.model:
            return {"role": "user", "content": self.blueprint.content_of(turn, case.perturbation)}
        from duologue.agents.native import content_of

        return {"role": "user", "content": content_of(turn, self._values, dict(case.perturbation), self.suite)}

    @cached_property
    def _values(self) -> dict[str, str]:
        """What lines may name where the agent has instructions of its own: the scenario's variables and the region."""
        return all_values(None, self.scenario, self.region)
