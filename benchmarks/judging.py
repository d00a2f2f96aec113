"""What a judge and checks add to a conversation, when the model answers at once.

    python benchmarks/judging.py [--scenarios N]

Plays N scenarios of 5 turns: bare (stub user and agent), with ten checks, with a JudgeAgent that is asked in every turn
and answered by a scripted model, and with both. Prints CPU per turn and one JSON line; the difference to
the bare case is what judge and checks add.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time

import duologue
from duologue import checks
from duologue.models.base import ModelRequest
from duologue.testing import ScriptedAgent, ScriptedModel, ScriptedUserAgent
from duologue.vocabulary import Scope

TURNS = 5
CRITERIA = ["The agent is polite", "The agent answers the question"]


def written(*, forced: bool) -> str:
    """A judgement that cites the agent's first message."""
    decisions = [
        {"id": f"c{number}", "reason": "it does", "evidence": ["m2"], "decision": "true"}
        for number in range(1, len(CRITERIA) + 1)
    ]
    action = {} if forced else {"action": "continue"}
    return json.dumps({**action, "criteria": decisions, "verdict": "pass", "reasoning": "both are met"})


JUDGEMENTS = {forced: written(forced=forced) for forced in (True, False)}


def judgement(request: ModelRequest) -> str:
    """The conversation goes on until a decision has to be taken; written before, so that only the judge is measured."""
    return JUDGEMENTS["action" not in (request.response_schema or {}).get("properties", {})]


def ten_checks(scope: Scope) -> list[duologue.Check]:
    """Ten deterministic checks of the catalogue."""
    types = [
        ("contains", {"patterns": ["help"]}),
        ("content_excludes", {"patterns": ["refund", "sorry"]}),
        ("regex", {"pattern": r"(?i)how can"}),
        ("max_length", {"max": 500}),
        ("min_length", {"min": 3}),
        ("tools_not_called", {"tools": ["pay"]}),
        ("contains", {"patterns": ["how"]}),
        ("content_excludes", {"patterns": ["password"]}),
        ("max_length", {"max": 900}),
        ("regex", {"pattern": r"\w+"}),
    ]
    return [checks.create(kind, parameters, scope=scope) for kind, parameters in types]


async def play(scenarios: int, *, judged: bool, checked: Scope | None) -> float:
    """CPU seconds."""
    judge = [duologue.JudgeAgent(criteria=CRITERIA, model=ScriptedModel([judgement], repeat=True))] if judged else []
    asserted = ten_checks(checked) if checked else []

    async def one() -> None:
        cast = [
            ScriptedUserAgent(["hello there"], repeat=True),
            ScriptedAgent(["how can I help?"], repeat=True),
            *judge,
        ]
        result = await duologue.arun("bench", "a visitor", cast, TURNS, False, checks=asserted)
        assert result.turns == TURNS, result.turns
        assert result.success or not (judged or checked), result.reasoning

    await one()
    began = time.process_time()
    await asyncio.gather(*(one() for _ in range(scenarios)))
    return time.process_time() - began


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scenarios", type=int, default=1000)
    scenarios = parser.parse_args().scenarios
    cases: dict[str, tuple[bool, Scope | None]] = {
        "bare": (False, None),
        "ten checks of the conversation": (False, Scope.CONVERSATION),
        "ten checks of every turn": (False, Scope.TURN),
        "judge in every turn": (True, None),
        "judge, ten checks of the conversation": (True, Scope.CONVERSATION),
        "judge, ten checks of every turn": (True, Scope.TURN),
    }
    rows: dict[str, float] = {}
    print(f"{'case':<40} {'CPU us/turn':>12} {'added':>8}")
    for name, (judged, checked) in cases.items():
        seconds = asyncio.run(play(scenarios, judged=judged, checked=checked))
        rows[name] = 1e6 * seconds / scenarios / TURNS
        print(f"{name:<40} {rows[name]:>12.1f} {rows[name] - rows['bare']:>8.1f}")
    print(json.dumps({"benchmark": "judging", "scenarios": scenarios, "us_per_turn": rows}))


if __name__ == "__main__":
    main()
