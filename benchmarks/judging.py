"""What a judge and checks add to a conversation, when the model answers at once.

    python benchmarks/judging.py [--scenarios N]

Plays N scenarios of 5 turns: bare (stub user and agent), with ten checks on every turn, with a JudgeAgent that is asked
in every turn and answered by a scripted model, and with both. Prints CPU per turn and one JSON line; the difference to
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


def ten_checks() -> list[duologue.Check]:
    """Ten deterministic checks of the catalogue."""
    return [
        checks.create("contains", {"patterns": ["help"]}),
        checks.create("content_excludes", {"patterns": ["refund", "sorry"]}),
        checks.create("regex", {"pattern": r"(?i)how can"}),
        checks.create("max_length", {"max": 500}),
        checks.create("min_length", {"min": 3}),
        checks.create("tools_not_called", {"tools": ["pay"]}),
        checks.create("contains", {"patterns": ["how"]}, name="asks"),
        checks.create("content_excludes", {"patterns": ["password"]}, name="no password"),
        checks.create("max_length", {"max": 900}, name="short"),
        checks.create("regex", {"pattern": r"\w+"}, name="words"),
    ]


async def play(scenarios: int, *, judged: bool, checked: bool) -> float:
    """CPU seconds."""
    judge = [duologue.JudgeAgent(criteria=CRITERIA, model=ScriptedModel([judgement], repeat=True))] if judged else []
    asserted = ten_checks() if checked else []

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
    cases = {
        "bare": (False, False),
        "ten checks": (False, True),
        "judge": (True, False),
        "judge and checks": (True, True),
    }
    rows: dict[str, float] = {}
    print(f"{'case':<20} {'CPU us/turn':>12} {'added':>8}")
    for name, (judged, checked) in cases.items():
        seconds = asyncio.run(play(scenarios, judged=judged, checked=checked))
        rows[name] = 1e6 * seconds / scenarios / TURNS
        print(f"{name:<20} {rows[name]:>12.1f} {rows[name] - rows['bare']:>8.1f}")
    print(json.dumps({"benchmark": "judging", "scenarios": scenarios, "us_per_turn": rows}))


if __name__ == "__main__":
    main()
