"""How many faults of an agent a suite notices: it is run against copies of the agent that are broken on purpose.

An agent that is made of a prompt loses single lines of it, has values in it changed, or gets errors from a tool. Of any
other agent, the answers are changed: values, sentences, tool calls. A fault that changes no answer is not counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from random import Random
from typing import Any, ClassVar, Literal, cast

from duologue.context import derive_seed
from duologue.conversation.adapter import AgentAdapter, AgentInput, AgentReturnTypes, AttributedMessage
from duologue.frozen import changed, frozen
from duologue.specs.suite import Suite
from duologue.stats.proportion import Proportion, wilson
from duologue.suites.execution.engine import Engine
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.run import RunResult
from duologue.suites.runner.definition import RunOptions, prompts_of
from duologue.suites.runner.script import Participants
from duologue.vocabulary import AgentRole, Verdict

MutantKind = Literal["prompt line", "prompt value", "tool", "answer value", "answer sentence", "tool calls", "answer"]
Change = Callable[[str], str]


@frozen
class Mutant:
    """A fault that is put into an agent.

    Attributes:
        agent: its name.
        kind: what sort of fault.
        text: what is changed.
        suite: with the fault in the agent's prompt or tools; None for one that changes answers.
        change: of the text of each answer; None for another kind of fault.
        drops_tools: tool calls and their results are left out of answers.
    """

    agent: str
    kind: MutantKind
    text: str
    suite: Suite | None = None
    change: Change | None = None
    drops_tools: bool = False


@frozen
class MutantResult:
    """What a suite says of a fault.

    Attributes:
        mutant: the fault.
        killed_by: scenarios that passed without it and fail with it.
        applied: whether it has changed any answer; None where that cannot be seen.
    """

    mutant: Mutant
    killed_by: tuple[str, ...]
    applied: bool | None


@frozen
class KillRate:
    """How many faults a suite notices.

    Attributes:
        results: of each fault that was tried.
        killed: those that at least one scenario notices, of those that may have changed something.
        passing: scenarios that pass without any fault, by agent; only they can notice one.
    """

    results: tuple[MutantResult, ...]
    killed: Proportion
    passing: tuple[tuple[str, int], ...]

    @property
    def survivors(self) -> list[MutantResult]:
        """Faults that no scenario notices."""
        return [item for item in self.results if not item.killed_by and item.applied is not False]


async def kill_rate(
    engine: Engine, *, most: int = 20, seed: int = 0, names: Iterable[str] = (), options: RunOptions | None = None
) -> KillRate:
    """Run a suite against broken copies of its agents.

    Args:
        engine: of the suite.
        most: how many faults are tried for each agent; of more, a sample.
        seed: of the sample.
        names: of scenarios; none for all.
        options: how the runs are run.
    """
    wanted = set(names)
    cases = [
        case
        for case in engine.generate_plan(trials=1, seed=seed).cases
        if case.kind == "scenario" and (not wanted or case.scenario in wanted)
    ]
    results: list[MutantResult] = []
    passing: list[tuple[str, int]] = []
    for agent in dict.fromkeys(case.agent for case in cases if case.agent):
        own = [case for case in cases if case.agent == agent]
        runs = await _played(engine, own, options)
        good = [run.case for run in runs if run.verdict is Verdict.PASS]
        passing.append((agent, len(good)))
        if not good:
            continue
        every = mutants_of(engine.suite, agent, by_answers=engine.mocking, seed=seed)
        if len(every) > most:
            every = sorted(Random(derive_seed(seed, "mutants", agent)).sample(every, most), key=every.index)
        for mutant in every:
            results.append(await _tried(engine, mutant, good, options))  # noqa: PERF401 - one after the other
    counted = [item for item in results if item.applied is not False]
    killed = sum(bool(item.killed_by) for item in counted)
    return KillRate(results=tuple(results), killed=wilson(killed, len(counted)), passing=tuple(passing))


def mutants_of(suite: Suite, agent: str, *, by_answers: bool = False, seed: int = 0) -> list[Mutant]:
    """The faults that are put into an agent.

    Args:
        suite: that it belongs to.
        agent: its name.
        by_answers: change answers also of an agent that is made of a prompt: mock models do not read it.
        seed: of the changed values.
    """
    spec = suite.agent(agent)
    if spec.model and not by_answers:
        return [*_of_prompts(suite, agent, seed), *_of_tools(suite, agent)]
    random = Random(derive_seed(seed, "values", agent))
    digits = random.randrange(1, 9)
    return [
        Mutant(
            agent=agent, kind="answer value", text="numbers are changed", change=lambda text: _shifted(text, digits)
        ),
        Mutant(agent=agent, kind="answer value", text="days and yes and no are swapped", change=_swapped),
        Mutant(agent=agent, kind="answer sentence", text="the last sentence is left out", change=_without_last),
        Mutant(agent=agent, kind="answer sentence", text="the first sentence is left out", change=_without_first),
        Mutant(agent=agent, kind="tool calls", text="tool calls are left out", drops_tools=True),
        Mutant(agent=agent, kind="answer", text="it says that it cannot help", change=lambda _: _CANNOT),
    ]


_CANNOT = "I am sorry, I cannot help with that."
_WORDS_OF_LINE = 3


def _of_prompts(suite: Suite, agent: str, seed: int) -> Iterable[Mutant]:
    spec = suite.agent(agent)
    used = {prompt.name: prompt for scenario in suite.scenarios for prompt in prompts_of(suite, scenario, spec)}
    random = Random(derive_seed(seed, "prompt", agent))
    for name, prompt in used.items():
        lines = prompt.system_template.split("\n")
        for place, line in enumerate(lines):
            if len(line.split()) < _WORDS_OF_LINE:
                continue
            rest = [*lines[:place], *lines[place + 1 :]]
            text = line.strip()
            yield Mutant(
                agent=agent,
                kind="prompt line",
                text=f"left out: {text}",
                suite=_with_prompt(suite, name, "\n".join(rest)),
            )
            other = _shifted(line, random.randrange(1, 9))
            if other != line:
                told = "\n".join([*lines[:place], other, *lines[place + 1 :]])
                yield Mutant(
                    agent=agent,
                    kind="prompt value",
                    text=f"{text} → {other.strip()}",
                    suite=_with_prompt(suite, name, told),
                )


def _of_tools(suite: Suite, agent: str) -> Iterable[Mutant]:
    spec = suite.agent(agent)
    names = {
        name
        for scenario in suite.scenarios
        for prompt in prompts_of(suite, scenario, spec)
        for name in prompt.allowed_tools
    }
    for tool in suite.tools:
        if tool.name not in names:
            continue
        broken = tool.changed(
            mode="mock",
            mock_result={"error": "the service is not available"},
            mock_template=None,
            mock_template_file=None,
            mock_parts=(),
            http=None,
            exec=None,
        )
        tools = tuple(broken if item is tool else item for item in suite.tools)
        yield Mutant(
            agent=agent,
            kind="tool",
            text=f"{tool.name} answers with an error",
            suite=suite.changed(tools=tools).within(suite.folder),
        )


def _with_prompt(suite: Suite, name: str, template: str) -> Suite:
    prompts = tuple(item.changed(system_template=template) if item.name == name else item for item in suite.prompts)
    return suite.changed(prompts=prompts).within(suite.folder)


_NUMBER = re.compile(r"\d+")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*\s*")
_PAIRS = (
    ("yes", "no"),
    ("monday", "thursday"),
    ("tuesday", "friday"),
    ("wednesday", "saturday"),
    ("can", "cannot"),
    ("is", "is not"),
    ("open", "closed"),
    ("today", "next week"),
)
_OTHER = {one: other for pair in _PAIRS for one, other in (pair, pair[::-1])}
_ANY = re.compile(r"\b(?:" + "|".join(sorted(map(re.escape, _OTHER), key=len, reverse=True)) + r")\b", re.IGNORECASE)


def _shifted(text: str, by: int) -> str:
    """The text with other numbers of the same length."""

    def other(found: re.Match[str]) -> str:
        digits = found[0]
        return "".join(str((int(digit) + by) % 10 or 1) if place == 0 else digit for place, digit in enumerate(digits))

    return _NUMBER.sub(other, text)


def _swapped(text: str) -> str:
    def other(found: re.Match[str]) -> str:
        made = _OTHER[found[0].lower()]
        return made.capitalize() if found[0][0].isupper() else made

    return _ANY.sub(other, text)


def _sentences(text: str) -> list[str]:
    return _SENTENCE.findall(text)


def _without_last(text: str) -> str:
    return "".join(_sentences(text)[:-1]).rstrip()


def _without_first(text: str) -> str:
    parts = _sentences(text)
    return "".join(parts[1:]) if len(parts) > 1 else text


async def _tried(engine: Engine, mutant: Mutant, cases: Sequence[TestCase], options: RunOptions | None) -> MutantResult:
    if mutant.suite is not None:
        runs = await _played(await engine.with_suite(mutant.suite), cases, options)
        applied = None
    else:
        other = await engine.with_suite(engine.suite)
        seen: list[bool] = []

        def adapt(_case: TestCase, parts: Participants) -> Participants:
            agents = tuple(
                MutatedAgent(item, mutant, seen) if item.role is AgentRole.AGENT else item for item in parts.agents
            )
            return changed(parts, agents=agents)

        other.adapt = adapt
        runs = await _played(other, cases, options)
        applied = any(seen)
    killed = tuple(dict.fromkeys(run.case.scenario for run in runs if run.verdict is Verdict.FAIL))
    return MutantResult(mutant=mutant, killed_by=killed, applied=applied)


async def _played(engine: Engine, cases: Sequence[TestCase], options: RunOptions | None) -> tuple[RunResult, ...]:
    numbered = tuple(changed(case, index=number) for number, case in enumerate(cases))
    return (await engine.execute(Plan(suite=engine.suite.name, cases=numbered, seed=0), options)).runs


class MutatedAgent(AgentAdapter):
    """An agent whose answers are changed on the way.

    Args:
        agent: the agent.
        mutant: what is changed.
        seen: gets, for each answer, whether it was changed.
    """

    repeats: ClassVar[bool] = False

    def __init__(self, agent: AgentAdapter, mutant: Mutant, seen: list[bool]) -> None:
        self._agent = agent
        self._mutant = mutant
        self._seen = seen
        self.timeout = agent.timeout
        # That nothing shows them any more is the fault, and not a way of the agent.
        self.reports_tool_calls = True if mutant.drops_tools else agent.reports_tool_calls

    @property
    def name(self) -> str:
        """That of the agent."""
        return self._agent.name

    def describe(self) -> dict[str, Any]:
        """What the agent says of itself, and the fault."""
        return {**self._agent.describe(), "fault": self._mutant.text}

    async def call(self, input: AgentInput) -> AgentReturnTypes:
        """The answer of the agent, changed."""
        answer = await self._agent.call(input)
        made = self._changed(answer)
        self._seen.append(made != answer)
        return made

    def _changed(self, answer: AgentReturnTypes) -> AgentReturnTypes:
        if isinstance(answer, str):
            return self._text(answer)
        if isinstance(answer, dict):
            return cast("AgentReturnTypes", self._message(answer))
        if isinstance(answer, list):
            kept = [item for item in answer if not (self._mutant.drops_tools and _is_of_tool(item))]
            return cast("AgentReturnTypes", [self._message(item) for item in kept])
        return answer

    def _message(self, item: Any) -> Any:
        if isinstance(item, AttributedMessage):
            return changed(item, message=self._message(item.message))
        content = item.get("content")
        if item.get("role") != "assistant" or not isinstance(content, str) or not content:
            return item
        return {**item, "content": self._text(content)}

    def _text(self, text: str) -> str:
        return self._mutant.change(text) if self._mutant.change is not None else text


def _is_of_tool(item: Any) -> bool:
    message = item.message if isinstance(item, AttributedMessage) else item
    return bool(message.get("role") == "tool" or message.get("tool_calls"))
