"""What the runs of a test case share, prepared once: participants, script, checks and judge.

A setup knows a scenario, its agent and its region, or a replay. What it gives out for a single run is cheap.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from duologue.config.templates import expand, expand_url
from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.script import message as message_step
from duologue.conversation.setup import Check, ScriptStep
from duologue.errors import ConfigurationError
from duologue.messages import ContentPart, Message, text_of
from duologue.specs.agent_definition import AgentDefinition, background_of
from duologue.specs.agents import Agent, merged_headers
from duologue.specs.checks import CheckSpec, GuardrailSpec
from duologue.specs.prompts import Prompt
from duologue.specs.scenario import Scenario, SeedMessage, Turn
from duologue.specs.suite import Suite, find_named
from duologue.suites.manifests.validate.checks import made_check, made_eval
from duologue.suites.plan.build import TestCase
from duologue.suites.runner.definition import prompts_of
from duologue.suites.runner.judges import criteria_judge_for, judge_for
from duologue.suites.runner.models import SuiteModels, resources_for
from duologue.suites.runner.replay_setup import ReplaySetup
from duologue.suites.runner.run_checks import ExpectedCallsMade, GuardrailsHold
from duologue.suites.runner.script import (
    Participants,
    SilentUser,
    TurnListener,
    TurnStep,
    final_judgement,
    opening_steps,
    seed_message,
)
from duologue.vocabulary import Scope

if TYPE_CHECKING:
    from duologue.agents.native.blueprint import Blueprint
    from duologue.agents.tools.session import ToolSession
    from duologue.agents.tools.toolbox import Toolbox
    from duologue.checks import Resources
    from duologue.runtimes.base import RuntimeSession
    from duologue.suites.runner.isolated_agents import AgentProcesses
    from duologue.suites.runner.runtime_agents import RuntimeSetup
    from duologue.suites.runner.user_voice import SpokenUser
    from duologue.suites.runner.voice_agents import MakeVoiceAgent

MakeAgent = Callable[[TestCase], AgentAdapter]
MAX_SAID = 20_000_000
"""Characters of all lines of a scenario."""


@dataclass(frozen=True)
class CaseSetup:
    """A scenario with its agent in a region.

    Attributes:
        suite, scenario, agent, region: what is run.
        models, toolbox, processes: models, tools and processes of agents, shared by all setups of an execution.
        given: creates the agent, where a program supplies it.
        temperature, max_tokens: of a native agent, overriding the suite.
        seconds: that a run may take; None for no limit.
        turn_limit: turns after which a free conversation ends, overriding the scenario; None for the scenario's.
        session: what a runtime may ask of the service that runs it; None outside of one.
    """

    suite: Suite
    scenario: Scenario
    agent: Agent
    region: str
    models: SuiteModels
    toolbox: Toolbox
    processes: AgentProcesses | None
    given: Callable[[], AgentAdapter] | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    seconds: float | None = None
    turn_limit: int | None = None
    session: RuntimeSession | None = None
    _turn_checks: dict[int, tuple[Check, ...]] = field(default_factory=dict[int, "tuple[Check, ...]"])
    _last_lines: dict[tuple[tuple[str, str], ...], tuple[list[Message], list[Message | None]]] = field(
        default_factory=dict[tuple[tuple[str, str], ...], tuple[list[Message], list["Message | None"]]]
    )
    _http_agents: dict[str | None, AgentAdapter] = field(default_factory=dict[str | None, AgentAdapter])

    @property
    def description(self) -> str:
        """The situation."""
        return self.scenario.description

    @property
    def labels(self) -> dict[str, str]:
        """For choosing and grouping."""
        return self.scenario.labels

    @property
    def max_turns(self) -> int | None:
        """Turns after which a free conversation ends; None for the default."""
        return self.scenario.max_turns or self.scenario.message_limit

    @property
    def agent_timeout(self) -> float | None:
        """Seconds for one answer of the agent; None for the default."""
        return self.agent.timeout

    def participants(self, case: TestCase) -> Participants:
        """Participants, script and checks of one run."""
        agent = self._make_agent(case)
        agents: list[AgentAdapter] = [agent]
        listeners: list[Any] = [agent] if hasattr(agent, "turn_spec") else []
        script, checks = None, self.run_checks
        if self.held_by_runtime:
            from duologue.suites.runner.runtime_agents import hold_conversation

            agents.append(_SILENT_USER)
            script = (hold_conversation, final_judgement) if self.scenario.judged else (hold_conversation,)
        elif self.scenario.simulates_a_user:
            from duologue.suites.runner.users import SuiteUser

            spoken = self.user_of(case) if self.is_spoken else None
            user = SuiteUser(self.models, self.scenario, persona=case.persona, region=case.region, spoken=spoken)
            agents.append(user)
            listeners.append(user)
            if user.attacker and not self.scenario.turns:
                opening = [message_step(self._line(message, case)) for message in self.scenario.messages]
                script = (*opening, *user.attacker.marathon_script())
            elif user.attacker:
                checks = (*checks, user.attacker.held_check())
        else:
            agents.append(SilentUser(self.user_of(case)) if self.is_spoken else _SILENT_USER)
        if self.scenario.judged:
            agents.append(self._judge)
        return Participants(
            name=self.scenario.name,
            description=self.scenario.description,
            agents=tuple(agents),
            script=self._script(case, listeners) if script is None else script,
            checks=checks,
            metadata={"case": case.as_data(), "labels": self.scenario.labels},
        )

    @cached_property
    def runtime(self) -> RuntimeSetup | None:
        """The runtime that drives the agent; None if none does."""
        if self.agent.runtime is None or self.given is not None:
            return None
        from duologue.suites.runner.runtime_agents import runtime_setup

        named = {item.name for item in self.suite.models}
        known = self.models.mocking or self.agent.model in named
        return runtime_setup(
            self.suite,
            self.scenario,
            self.agent,
            self.region,
            seconds=self.seconds,
            max_turns=self.turn_limit or self.max_turns,
            session=self.session,
            model=partial(self.models.model, scenario=self.scenario.name) if known else None,
        )

    @property
    def is_spoken(self) -> bool:
        """Whether agent and user speak. An agent in Python code may be one that is spoken with nevertheless."""
        return self.scenario.voice is not None or (self.runtime is not None and self.runtime.is_voice)

    def user_of(self, case: TestCase) -> SpokenUser:
        """How the user of a case sounds."""
        from duologue.suites.manifests.validate.voice import HUM
        from duologue.suites.runner.user_voice import spoken_user

        persona = find_named(self.suite.personas, case.persona)
        mocked = self.agent.is_native and self.models.is_mock(self.agent.model or "")
        return spoken_user(self.scenario, persona, **({"voice": HUM} if mocked else {}))

    def _spoken(self, case: TestCase, make: MakeVoiceAgent, **described: Any) -> AgentAdapter:
        from duologue.suites.runner.voice_agents import SpokenAgent

        turns = self.scenario.turns
        return SpokenAgent(
            self.agent.name,
            make,
            call=self.scenario.voice,
            user=self.user_of(case),
            seed=case.seed,
            exchanges=sum(turn.most_exchanges for turn in turns) if turns else None,
            described=described,
        )

    @property
    def held_by_runtime(self) -> bool:
        """Whether the runtime of the agent holds the conversation by itself."""
        return self.runtime is not None and not self.runtime.asks_by_turns

    @cached_property
    def prompts(self) -> tuple[Prompt, ...]:
        """What a native agent, or one with a runtime, is told, one for each state of a workflow; else none."""
        return prompts_of(self.suite, self.scenario, self.agent)

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
        if not self.agent.is_native:
            return []
        return [item for prompt in self.prompts for item in prompt.guardrails if item.enabled]

    @cached_property
    def resources(self) -> Resources:
        """What checks may ask."""
        return replace(resources_for(self.models, self.scenario.name), run_tool=self.toolbox.run)

    @cached_property
    def run_checks(self) -> tuple[Check, ...]:
        """Checks of the conversation, evals of packs, and what guardrails come to."""
        written = [*map(self._emphasised, self.scenario.checks), *self.suite.checks]
        checks: list[Check] = [made_check(spec, Scope.CONVERSATION, self.resources) for spec in written]
        evals = {spec.id: spec for spec in self.suite.pack_evals}
        evals.update({spec.id: spec for prompt in self.prompts for spec in prompt.evals})
        checks += [made_eval(spec, self.resources) for spec in evals.values()]
        if self._guardrails:
            checks.append(GuardrailsHold(self.tolerated))
        if self.scenario.expected_tool_calls:
            checks.append(ExpectedCallsMade(self.scenario.expected_tool_calls))
        return tuple(checks)

    def _emphasised(self, spec: CheckSpec) -> CheckSpec:
        """A check that grades by metrics, with what is to be paid attention to in this scenario."""
        if spec.type != "metrics" or self.scenario.emphasis is None or spec.params.get("emphasis"):
            return spec
        return spec.changed(params={**spec.params, "emphasis": self.scenario.emphasis})

    @cached_property
    def _judge(self) -> AgentAdapter:
        scenario = self.scenario
        if scenario.ends_on_criteria:
            return criteria_judge_for(self.models, scenario)
        return judge_for(self.models, scenario.name, scenario.criteria, scenario.judge)

    @cached_property
    def _make_agent(self) -> MakeAgent:
        spec, given = self.agent, self.given
        if given is not None:
            return lambda case: self._as_given(case, given())
        if spec.target and spec.isolation == "processes":
            target, processes = expand(spec.target), self.processes
            assert processes is not None, "an execution whose suite isolates an agent has processes"
            return lambda _case: processes.agent(target, self.suite.folder, spec.name)
        if spec.target:
            from duologue.suites.runner.python_agents import load_agent

            make = load_agent(expand(spec.target), self.suite.folder, spec.name)
            return lambda case: self._as_spoken(case, make())
        if (runtime := self.runtime) is not None:
            return self._driven(runtime)
        if spec.http:
            return lambda case: self._http(case.persona)
        return self._native

    @cached_property
    def _native(self) -> MakeAgent:
        """Makes an agent that is a model with a prompt, in writing or spoken."""
        from duologue.agents.native.prompt_agent import PromptAgent

        spec = self.agent
        model = self.models.model(spec.model or "", scenario=self.scenario.name)
        if self.scenario.voice is not None:
            from duologue.suites.runner.voice_native import native_voice

            voice = native_voice(
                self.models.spec(spec.model or ""),
                model,
                self.blueprint,
                self._tools,
                self.models.access(spec.model or ""),
                mocked=self.models.is_mock(spec.model or ""),
            )
            return lambda case: self._spoken(case, voice, model=spec.model)
        return lambda case: PromptAgent(self.blueprint, model=model, tools=self._tools())

    def _driven(self, runtime: RuntimeSetup) -> MakeAgent:
        """Makes an agent that a runtime drives."""
        if not runtime.is_voice:
            return lambda case: runtime.agent(self.suite, self.scenario, case)
        voice = runtime.voice_agent(self.suite, self.scenario)
        return lambda case: self._spoken(case, voice, runtime=str(runtime.runtime.KIND))

    def _as_spoken(self, case: TestCase, made: AgentAdapter) -> AgentAdapter:
        """An agent in Python code, which may be one that is spoken with."""
        if not hasattr(made, "send_audio"):
            if self.scenario.voice is not None:
                who = f"the scenario '{self.scenario.name}' is spoken, and the agent '{self.agent.name}' is not"
                raise ConfigurationError(f"{who}: expected a VoiceAgentAdapter, a runtime for voice, or a model")
            return made
        from duologue.suites.runner.voice_agents import always

        return self._spoken(case, always(made), adapter=type(made).__name__)

    def _as_given(self, case: TestCase, made: AgentAdapter) -> AgentAdapter:
        """An agent of the program that runs the suite; one that is spoken with is spoken with as the scenario says."""
        return self._as_spoken(case, made) if hasattr(made, "send_audio") else made

    def _tools(self) -> ToolSession:
        """The tools of a native agent in one run."""
        if self.suite.defaults.tool_mode is None and not self.scenario.expected_tool_calls:
            return self.toolbox.session()
        from duologue.suites.runner.mocked_tools import tools_of_run

        return tools_of_run(self.suite, self.scenario, self.toolbox, self.blueprint.definition)

    def _http(self, persona: str | None) -> AgentAdapter:
        """The agent as this persona talks to it: with its headers, if it has any."""
        who = find_named(self.suite.personas, persona)
        held = self._http_agents.get(key := who.name if who and who.headers else None)
        if held is None:
            held = self._http_agents[key] = self._made_http(who.headers if who else {})
        return held

    def _made_http(self, headers: Mapping[str, str]) -> AgentAdapter:
        from duologue.agents.http.agent import HttpAgent

        http = self.agent.http
        assert http is not None
        return HttpAgent(
            expand_url(http.url),
            preset=http.preset,
            headers={key: expand(value, secret=True) for key, value in merged_headers(http.headers, headers).items()},
            model=http.model,
            name=self.agent.name,
            timeout=self.agent.timeout,
            thread_header=http.thread_header,
            send=http.send,
            stream=http.stream or self.scenario.streaming,
            body=http.body,
            extra_body=http.extra_body,
            answer=http.answer,
            thread_from=http.thread_from,
            retries=http.retries,
            pricing=http.pricing and (http.pricing.input_cost_per_1k, http.pricing.output_cost_per_1k),
            reports_tool_calls=http.reports_tool_calls,
        )

    @cached_property
    def blueprint(self) -> Blueprint:
        """The prepared agent, for one that is made of a model."""
        from duologue.agents.native.blueprint import Blueprint
        from duologue.checks.guardrails import guardrail_from_spec

        definition = AgentDefinition.from_suite(
            self.suite,
            self.agent,
            self.scenario,
            region=self.region,
            temperature=self.temperature,
            max_tokens=self.max_tokens,
        )
        return Blueprint(
            definition,
            guardrail=partial(guardrail_from_spec, resources=self.resources),
            embedder=self.resources.any_embedder,
            toolbox=self.toolbox,
        )

    def _script(self, case: TestCase, listeners: Sequence[TurnListener]) -> tuple[ScriptStep, ...]:
        stop = self.suite.defaults.stop_on_failed_check
        scenario = self.scenario
        opening, lines = self._lines(case)
        steps = opening_steps(opening, scenario)
        for index, turn in enumerate(scenario.turns):
            steps.append(
                TurnStep(
                    index=index,
                    turn=turn,
                    line=lines[index],
                    checks=self._of(index),
                    listeners=listeners,
                    stop=stop,
                    is_cut=index + 1 < len(lines) and bool(scenario.turns[index + 1].interrupts_after),
                )
            )
        if scenario.turns and scenario.judged:
            steps.append(final_judgement)
        return tuple(steps)

    def _lines(self, case: TestCase) -> tuple[list[Message], list[Message | None]]:
        """What a conversation begins with, and the user's line of each turn; None where the user is simulated.

        Trials of one test case, which mostly come one after the other, say the same: the last ones are kept, unless
        they have media, whose files are read for each run. Whoever puts lines into a conversation copies them.
        """
        held = self._last_lines.get(case.perturbation)
        if held is not None:
            return held
        scenario = self.scenario
        opening = [self._line(message, case) for message in scenario.messages]
        said = sum(len(text_of(message)) for message in opening)
        lines: list[Message | None] = []
        for index, turn in enumerate(scenario.turns):
            line = self._line(turn, case) if turn.role == "user" else None
            said += len(text_of(line)) if line else 0
            if said > MAX_SAID:
                raise ConfigurationError(
                    f"the lines of the scenario '{self.scenario.name}' have more than {MAX_SAID:,} characters together "
                    f"when their placeholders are filled in, at turns[{index}]; shorten the values, or use fewer turns"
                )
            lines.append(line)
        self._last_lines.clear()
        if not any(item.parts for item in (*scenario.messages, *scenario.turns)):
            self._last_lines[case.perturbation] = opening, lines
        return opening, lines

    def _of(self, index: int) -> tuple[Check, ...]:
        """The checks of a turn of the scenario."""
        held = self._turn_checks.get(index)
        if held is None:
            written = self.scenario.turns[index].checks
            held = self._turn_checks[index] = tuple(made_check(spec, Scope.TURN, self.resources) for spec in written)
        return held

    def _line(self, turn: Turn | SeedMessage, case: TestCase) -> Message:
        if isinstance(turn, SeedMessage):
            return seed_message(turn, self._content(turn, case))
        return {"role": "user", "content": self._content(turn, case)}

    def _content(self, turn: Turn | SeedMessage, case: TestCase) -> str | list[ContentPart]:
        if self.agent.is_native:
            return self.blueprint.content_of(turn, case.perturbation)
        from duologue.agents.native import content_of

        return content_of(turn, self._values, dict(case.perturbation), self.suite)

    @cached_property
    def _values(self) -> dict[str, str]:
        """What lines may name where the agent has instructions of its own: the scenario's variables and the region."""
        return {**background_of(self.scenario), "region": self.region, **self.scenario.variables}


Setup = CaseSetup | ReplaySetup
"""What the runs of a scenario, or of a replay, share."""


_SILENT_USER = SilentUser()
