"""How many model calls a scenario makes, and of how many tokens: a guess from what is written, before it is run.

What nobody can know beforehand is assumed: see the constants. A free conversation is counted with all its turns.
"""

from __future__ import annotations

from dataclasses import dataclass

from duologue.checks.judge_checks import Judged
from duologue.checks.registry import find
from duologue.errors import ConfigurationError
from duologue.models.tokens import estimate_tokens
from duologue.settings import DEFAULT_MAX_TURNS
from duologue.specs.checking import CheckSpec
from duologue.specs.participants import Agent
from duologue.specs.scenario import Scenario, Turn
from duologue.specs.suite import Replay, Suite

ANSWER_TOKENS = 150
"""Of an answer of the agent."""
LINE_TOKENS = 25
"""Of a line of a simulated user."""
JUDGE_TOKENS = 200
"""Of what a judge writes."""
RULES_TOKENS = 500
"""Of what a judge or a simulated user is told beside the conversation."""
TOOL_ROUNDS = 2
"""Calls for one answer of an agent that has tools."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Calls of one kind of participant, with the tokens of all of them together."""

    calls: int = 0
    read: int = 0
    written: int = 0

    def __add__(self, other: Load) -> Load:
        return Load(calls=self.calls + other.calls, read=self.read + other.read, written=self.written + other.written)


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What one test case asks of models: of the agent's, of simulated users, of judges."""

    agent: Load = Load()
    user: Load = Load()
    judge: Load = Load()
    turns: int = 0


def workload_of(suite: Suite, scenario: Scenario, agent: Agent) -> Workload:
    """What one run of a scenario with an agent asks of models."""
    lines = _lines(scenario)
    spoken = sum(tokens for tokens, _ in lines) + len(lines) * ANSWER_TOKENS
    return Workload(
        agent=_agent(suite, scenario, agent, [tokens for tokens, _ in lines]),
        user=_users(lines),
        judge=_judges(suite, scenario, len(lines), spoken),
        turns=len(lines),
    )


def workload_of_replay(suite: Suite, replay: Replay) -> Workload:
    """What judging a recording again asks of judges; its length is not known, five turns are assumed."""
    turns = 5
    calls = turns * _judged(replay.turn_checks) + _judged([*replay.checks, *suite.checks]) + bool(replay.criteria)
    read = RULES_TOKENS + turns * (LINE_TOKENS + ANSWER_TOKENS)
    return Workload(judge=Load(calls=calls, read=calls * read, written=calls * JUDGE_TOKENS), turns=turns)


def _lines(scenario: Scenario) -> list[tuple[int, bool]]:
    """For each line of the user its tokens, and whether it is simulated."""
    if not scenario.turns:
        return [(LINE_TOKENS, True)] * (scenario.max_turns or DEFAULT_MAX_TURNS)
    return [line for turn in scenario.turns for line in _of(turn)]


def _of(turn: Turn) -> list[tuple[int, bool]]:
    if turn.role == "simulated_user":
        return [(LINE_TOKENS, True)] * turn.most_exchanges
    text = turn.content or "".join(part.text or "" for part in turn.parts)
    return [(estimate_tokens(text), False)]


def _agent(suite: Suite, scenario: Scenario, agent: Agent, lines: list[int]) -> Load:
    """Each answer reads the instruction and the whole conversation so far. Other agents ask models of their own."""
    if not agent.model:
        return Load()
    prompt = suite.prompt_for(agent.prompt or scenario.prompt)
    told = estimate_tokens(prompt.system_template) if prompt else 0
    rounds = TOOL_ROUNDS if (prompt and prompt.allowed_tools) or suite.workflow else 1
    read = history = 0
    for line in lines:
        history += line
        read += rounds * (told + history)
        history += ANSWER_TOKENS
    return Load(calls=rounds * len(lines), read=read, written=rounds * len(lines) * ANSWER_TOKENS)


def _users(lines: list[tuple[int, bool]]) -> Load:
    total, history = Load(), 0
    for tokens, simulated in lines:
        if simulated:
            total += Load(calls=1, read=RULES_TOKENS + history, written=LINE_TOKENS)
        history += tokens + ANSWER_TOKENS
    return total


def _judges(suite: Suite, scenario: Scenario, turns: int, spoken: int) -> Load:
    per_turn = sum(
        _judged(turn.checks) * (turn.most_exchanges if turn.role != "user" else 1) for turn in scenario.turns
    )
    at_end = _judged([*scenario.checks, *suite.checks])
    criteria = (1 if scenario.turns else turns) if scenario.criteria else 0
    calls = per_turn + at_end + criteria
    return Load(calls=calls, read=calls * (RULES_TOKENS + spoken), written=calls * JUDGE_TOKENS)


def _judged(checks: list[CheckSpec] | tuple[CheckSpec, ...]) -> int:
    return sum(_asks_a_judge(check) for check in checks)


def _asks_a_judge(check: CheckSpec) -> bool:
    if check.type == "metrics":  # one request for all of them, unless nothing is asked of a model
        return bool(check.params.get("metrics", True) or check.params.get("expected_outcomes"))
    try:
        return issubclass(find(check.type)[0].parameters, Judged)
    except ConfigurationError:
        return False
