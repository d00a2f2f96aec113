"""How an execution is run: the one set of knobs that all share, and digests of what decides the result of a test case.

A result that was kept holds only while they stay the same. A definition has one digest for each part that somebody
may change, so that it can be said what has changed. Prices, labels, credentials and descriptions for readers decide
nothing and are left out. Files count with their content, and so do those of code: the module of an agent or check of
your own, and scripts of tools. What these import in turn is not looked at.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duologue.config.durations import parse_duration
from duologue.config.files import matching_files
from duologue.config.spec import Spec, written_paths
from duologue.errors import ConfigurationError
from duologue.frozen import frozen
from duologue.models.scope import Budget
from duologue.settings import ScenarioConfig, effective_config
from duologue.specs.scenario import Scenario
from duologue.specs.suite import find_named
from duologue.suites.plan.build import TestCase
from duologue.suites.results.run import RunResult
from duologue.suites.runner.code_files import check_types_in, files_of_check, module_file, program_files
from duologue.suites.runner.earlier import Earlier

if TYPE_CHECKING:
    from duologue.models.mock.file import ResponseFile
    from duologue.specs.agents import Agent, Judge
    from duologue.specs.prompts import ProcessBinding, Prompt
    from duologue.specs.suite import Defaults, McpServer, Replay, Spending, Suite
    from duologue.suites.results.run import RunResult


DEFAULT_CONCURRENCY = 8
"""Test cases at once, unless the suite or the command line says otherwise."""


@frozen
class RunOptions:
    """How an execution is run; None takes what the suite says, or the default.

    Attributes:
        concurrency: test cases at once.
        run_timeout: seconds for one run.
        max_turns: turns after which a free conversation ends, overriding the scenarios.
        budget: what the models of all runs may cost together.
        run_budget: what the models of one run may cost.
        temperature, max_tokens: of native agents, overriding everything in the suite but single turns.
        eval_types: which types of evals of prompt packs run; None for all, empty for none.
        fail_fast: start no further case after one that failed or ended in an error.
        allow_undecided, allow_errors: how many such cases are tolerated; ``all`` for any number.
        pass_rate: share of the test cases, 0 to 1, that must pass; if it is reached, the others may fail.
        pass_threshold: share of its trials that a case must pass whose trials end when they decide.
        execution_id: its name; None for a new one.
        resuming: an earlier launch of the same execution was cut off; its runs continue from their journals.
        known: results of that launch that still hold, and are not run again.
        anew: ids of runs that start from their beginning, whatever their journals hold.
        last: identities of cases that are run after all others, one at a time: the process has ended during them.
        earlier: what the sessions before this one took; None in the first.
    """

    concurrency: int | None = None
    run_timeout: float | None = None
    max_turns: int | None = None
    budget: Budget | None = None
    run_budget: Budget | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    eval_types: Sequence[str] | None = None
    fail_fast: bool = False
    allow_undecided: int | str | None = None
    allow_errors: int | str | None = None
    pass_rate: float | None = None
    pass_threshold: float | None = None
    execution_id: str | None = None
    resuming: bool = False
    known: Sequence[RunResult] = ()
    anew: frozenset[str] = frozenset()
    last: Sequence[str] = ()
    earlier: Earlier | None = None

    def over(self, defaults: Defaults) -> RunOptions:
        """These options, with what a suite says wherever nothing else was asked for.

        Raises:
            ConfigurationError: there is no such number of cases at once.
        """
        concurrency = self.concurrency or defaults.concurrency or DEFAULT_CONCURRENCY
        if concurrency < 1:
            raise ConfigurationError(f"concurrency is {concurrency}; expected at least 1")
        run_timeout = self.run_timeout
        if run_timeout is None and defaults.run_timeout:
            run_timeout = parse_duration(defaults.run_timeout)
        undecided, errors = self.allow_undecided, self.allow_errors
        rate = _share(defaults.pass_rate) if self.pass_rate is None else self.pass_rate
        return replace(
            self,
            concurrency=concurrency,
            run_timeout=run_timeout,
            budget=self.budget or _budget(defaults.budget),
            run_budget=self.run_budget or _budget(defaults.run_budget),
            allow_undecided=defaults.allow_undecided if undecided is None else undecided,
            allow_errors=defaults.allow_errors if errors is None else errors,
            pass_rate=rate,
            pass_threshold=self.pass_threshold or _share(defaults.pass_threshold) or rate or 1.0,
        )


def _share(written: float | str | None) -> float | None:
    """A share as a number from 0 to 1, which a suite may write as ``90%``."""
    return float(written.removesuffix("%")) / 100 if isinstance(written, str) else written


def _budget(limits: Spending | None) -> Budget | None:
    """The limits of a suite, for the engine."""
    return None if limits is None else Budget(money=limits.money, tokens=limits.tokens)


Settings = RunOptions
"""The earlier name."""


Definition = Mapping[str, str]
"""A digest for each part, such as ``{"agent": "9f86d081884c", "agent prompt": "60303ae22b99"}``."""

UNKNOWN = "its definition was not recorded"
"""Why a run is played again whose result does not say how it was defined."""
_DIGITS = 12
_RESOURCE = {"labels", "annotations", "description"}
_SCENARIO = {
    *_RESOURCE - {"description"},
    *("tags", "trials", "agents", "agent_group", "personas", "regions", "required_capabilities"),
    *("turns", "checks", "criteria", "judge", "max_turns", "max_messages"),
    *("success_criteria", "failure_criteria", "failure_criteria_mode", "oracle"),
}
_AGENT = {*_RESOURCE, "group", "capabilities", "timeout"}
_PERSONA = {"labels", "annotations", "headers"}
_MODEL = {*_RESOURCE, "credential", "pricing", "rate_limit", "request_timeout"}


class Definitions:
    """The definitions of a suite's test cases.

    Args:
        suite: what is run, without the evals that are left out.
        options: how it is run, the suite's defaults included.
        mocks: the response file of mock mode.
        mocking: mock mode, with or without a file.
    """

    def __init__(
        self, suite: Suite, options: RunOptions, *, mocks: ResponseFile | None = None, mocking: bool = False
    ) -> None:
        self._suite = suite
        self._options = options
        self._mocks = mocks
        self._mocking = mocking
        self._config = effective_config()
        self._known: dict[tuple[str, ...], Definition] = {}
        self._kinds: dict[str, list[str]] = {}

    def of(self, case: TestCase) -> Definition:
        """The definition of a case, the same for all its trials and perturbations; empty if it is not there.

        Recordings of one file share it, so that a file with hundreds of them is read once.
        """
        key = (case.kind, case.scenario, case.agent or "", case.persona or "", _file_of(case))
        held = self._known.get(key)
        if held is None:
            parts = self._replay(case) if case.kind == "replay" else self._scenario(case)
            held = self._known[key] = {name: _digest(value) for name, value in parts.items() if value}
        return held

    def _scenario(self, case: TestCase) -> dict[str, Any]:
        suite, options = self._suite, self._options
        scenario = find_named(suite.scenarios, case.scenario)
        agent = find_named(suite.agents, case.agent)
        if scenario is None or agent is None:
            return {}
        prompts = prompts_of(suite, scenario, agent)
        # Resources are written whole: writing what is within them would have its serializer built, which is slow.
        written = scenario.written()
        turns = [dict(turn) for turn in written.get("turns", ())]
        turn_checks = [turn.pop("checks", ()) for turn in turns]
        checks = [
            [written.get("checks"), turn_checks],
            [self._written(item) for item in (*suite.checks, *suite.pack_evals)],
            [prompt.written().get("evals") for prompt in prompts],
        ]
        return {
            "scenario": [
                {name: value for name, value in written.items() if name not in _SCENARIO},
                turns,
                self._files(scenario),
            ],
            "agent": self._agent(agent, case),
            "agent prompt": [
                [self._written(item, {*_RESOURCE, "evals"}) for item in prompts],
                suite.workflow,
                *self._code([prompt.written().get("guardrails") for prompt in prompts]),
            ]
            if prompts
            else None,
            "agent model": self._model(agent.model, sampled=True) if agent.model else None,
            "tool mode": suite.defaults.tool_mode,
            "tools": self._tools() if prompts else None,
            "checks": [*checks, *self._code(checks)],
            "judge": self._judges(scenario),
            "simulated user": self._user(scenario, case) if scenario.simulates_a_user or not scenario.turns else None,
            "settings": {
                "max_turns": options.max_turns or scenario.max_turns,
                **({"max_messages": scenario.message_limit} if scenario.message_limit else {}),
                "agent_timeout": agent.timeout,
                "stop_on_failed_check": suite.defaults.stop_on_failed_check,
                **self._settings(),
            },
        }

    def _agent(self, agent: Agent, case: TestCase) -> Any:
        """The agent, and the headers that the persona of the case sends it."""
        written = self._written(agent, _AGENT)
        persona = find_named(self._suite.personas, case.persona) if agent.http else None
        return [written, persona.headers] if persona and persona.headers else written

    def _replay(self, case: TestCase) -> dict[str, Any]:
        suite = self._suite
        replay = find_named(suite.replays, case.scenario)
        if replay is None:
            return {}
        name = _file_of(case)
        specs = [*replay.checks, *replay.turn_checks, *suite.checks, *suite.pack_evals]
        checks = [self._written(item) for item in specs]
        return {
            "recording": [name, replay.format, self._content(name)],
            "checks": [*checks, *self._code(checks)],
            "judge": self._judges(replay),
            "settings": self._settings(),
        }

    def _settings(self) -> dict[str, Any]:
        options, config = self._options, self._config
        return {
            "run_timeout": options.run_timeout,
            "run_budget": options.run_budget,
            "model_timeout": config.model_timeout,
            "default_model": _model_name(config),
        }

    def _judges(self, judged: Scenario | Replay) -> Any:
        """Criteria and everybody who may be asked about them or by a check."""
        suite = self._suite
        judges = [self._judge(judge) for judge in suite.judges]
        criteria: Any = judged.criteria
        if isinstance(judged, Scenario) and judged.ends_on_criteria:
            criteria = [judged.success_criteria, judged.failure_criteria, judged.failure_criteria_mode]
        return [criteria, judged.judge, suite.judge_defaults, judges, self._mocking] if judges else criteria

    def _judge(self, judge: Judge) -> Any:
        prompt = self._suite.prompt_for(judge.prompt) if judge.prompt else None
        instruction = prompt.system_template if prompt else None
        return [self._written(judge, _RESOURCE), instruction, self._model(judge.model)]

    def _user(self, scenario: Scenario, case: TestCase) -> Any:
        suite = self._suite
        named = {case.persona, *(turn.persona for turn in scenario.turns)}
        personas = [self._written(item, _PERSONA) for item in suite.personas if item.name in named]
        attacks = [item.attack for item in suite.personas if item.name in named and item.attack]
        models = [self._model(name) for attack in attacks for name in attack.models]
        simulators = [[item.name, self._model(item.model)] for item in suite.simulators]
        return [personas, simulators, *([models] if models else [])]

    def _tools(self) -> Any:
        suite = self._suite
        held = (*suite.tools, *suite.mcp_servers, *suite.a2a_agents)
        written = [self._written(item, {"labels", "annotations"}) for item in held]
        programs: list[tuple[ProcessBinding | McpServer, Path]] = [
            (tool.exec, suite.folder) for tool in suite.tools if tool.exec
        ]
        programs += [(server, suite.folder / (server.working_dir or "")) for server in suite.mcp_servers]
        digests = [
            self._digest_of(path)
            for program, folder in programs
            for path in program_files(program.command, program.args, folder)
        ]
        return [*written, {"programs": digests}] if digests else written

    def _model(self, name: str, *, sampled: bool = False) -> Any:
        """Who answers to a name, how it samples, and the answers themselves where it is a mock."""
        spec = find_named(self._suite.models, name)
        asked = [self._options.temperature, self._options.max_tokens] if sampled else []
        if self._mocking:
            return [
                name,
                "mock",
                self._mocks and self._mocks.shape.model_dump(mode="json", exclude_defaults=True),
                asked,
            ]
        return [name, self._written(spec, _MODEL) if spec else None, asked]

    def _written(self, spec: Spec, but: Iterable[str] = ()) -> Any:
        """The fields of a spec that decide something, and the content of the files that they name."""
        left_out = set(but)
        data = {name: value for name, value in spec.written().items() if name not in left_out}
        files = self._files(spec, left_out)
        return [data, files] if files else data

    def _files(self, spec: Spec, but: Iterable[str] = ()) -> dict[str, list[str]]:
        return {
            path: self._content(path)
            for _, name, path in written_paths(spec)
            if name not in but and not path.startswith("${")
        }

    def _code(self, written: Any) -> list[Any]:
        """Digests of the code of checks of your own, by type, in a list; an empty one if there is none.

        Names of files are left out: where something is installed decides nothing.
        """
        kinds = sorted(set(check_types_in(written)))
        found = {kind: self._code_of(kind) for kind in kinds}
        own = {kind: digests for kind, digests in found.items() if digests}
        return [{"code": own}] if own else []

    def _code_of(self, kind: str) -> list[str]:
        held = self._kinds.get(kind)
        if held is None:
            files = files_of_check(kind, self._suite.folder)
            held = self._kinds[kind] = [self._digest_of(path) for path in files]
        return held

    def _digest_of(self, path: Path) -> str:
        try:
            return _digest(path.read_bytes())
        except OSError:
            return ""

    def _content(self, path: str) -> list[str]:
        """Digests of the files that a path or pattern means; of the code of an agent, the file that it is in."""
        file = path.rpartition(":")[0] if ".py:" in path else path
        try:
            found = matching_files(self._suite.folder, file)
        except OSError:
            return []
        module = path.rpartition(":")[0]
        if not found and all(part.isidentifier() for part in module.split(".")):
            code = module_file(module, self._suite.folder)
            found = [code] if code else []
        return [self._digest_of(each) for each in found]


def _file_of(case: TestCase) -> str:
    """The file that the recording of a case is in; empty for other cases."""
    return (case.recording or "").partition("#")[0]


def prompts_of(suite: Suite, scenario: Scenario, agent: Agent) -> tuple[Prompt, ...]:
    """The instructions of a native agent, one for each state of a workflow, or of one with a runtime; else none."""
    task = agent.prompt or scenario.prompt
    if not agent.is_native:
        found = suite.prompt_for(task) if agent.runtime is not None else None
        return (found,) if found is not None else ()
    workflow = suite.workflow
    tasks = [state.prompt_task or task for state in workflow.states.values()] if workflow else [task]
    found = {task: suite.prompt_for(task) for task in tasks if task}
    return tuple(prompt for prompt in found.values() if prompt is not None)


@frozen
class Kept:
    """Which finished runs of an earlier launch still hold.

    Attributes:
        runs: those that do.
        changed: the parts that changed of each that does not, by run id.
        unfinished: how many cases have no result yet.
    """

    runs: tuple[RunResult, ...]
    changed: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, "tuple[str, ...]"])
    unfinished: int = 0

    def __str__(self) -> str:
        """For example ``kept 12, played again 3: agent prompt changed (2), checks changed (1)``."""
        text = f"kept {len(self.runs)}, played again {len(self.changed)}"
        if self.changed:
            reasons = Counter(map(_reason, self.changed.values()))
            text += f": {', '.join(f'{reason} ({count})' for reason, count in reasons.most_common())}"
        if self.unfinished:
            text += f"; {self.unfinished} {'was' if self.unfinished == 1 else 'were'} not finished"
        return text


def kept_runs_of(cases: Sequence[TestCase], finished: Iterable[RunResult], definitions: Definitions) -> Kept:
    """Which results still hold, given what decides them now.

    Args:
        cases: the whole plan.
        finished: the results of the earlier launch.
        definitions: of the suite as it is now.
    """
    runs: list[RunResult] = []
    changed: dict[str, tuple[str, ...]] = {}
    for run in finished:
        parts = differences(run.definition, definitions.of(run.case))
        if parts:
            changed[run.run_id] = parts
        else:
            runs.append(run)
    return Kept(runs=tuple(runs), changed=changed, unfinished=len(cases) - len(runs) - len(changed))


def differences(before: Definition, now: Definition) -> tuple[str, ...]:
    """The parts that are not the same, in the order of the present definition."""
    if not before:
        return (UNKNOWN,)
    return tuple(name for name in {**now, **before} if now.get(name) != before.get(name))


def _reason(parts: Sequence[str]) -> str:
    return parts[0] if parts == (UNKNOWN,) else f"{' and '.join(parts)} changed"


def _model_name(config: ScenarioConfig) -> str | None:
    model = config.default_model
    return model if isinstance(model, str) or model is None else model.model


def _digest(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value, sort_keys=True, default=_plain).encode()
    return sha256(data).hexdigest()[:_DIGITS]


def _plain(value: Any) -> Any:
    return value.written() if isinstance(value, Spec) else repr(value)
