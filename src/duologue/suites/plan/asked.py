"""Which models simulate users and judge in a test case, by the names that a suite uses."""

from __future__ import annotations

from collections.abc import Iterable

from duologue.specs.checking import CheckSpec
from duologue.specs.scenario import Scenario
from duologue.specs.suite import Replay, Suite
from duologue.suites.plan.cases import TestCase


def simulating_models(suite: Suite, scenario: Scenario) -> list[str | None]:
    """The models that play users, each once; None for the configured default."""
    first = suite.simulators[0].name if suite.simulators else None
    simulated = [turn.simulator or first for turn in scenario.turns if turn.role == "simulated_user"]
    return _models(suite, "simulators", simulated or [first])


def judging_models(suite: Suite, case: TestCase) -> list[str | None]:
    """The models that judge a scenario or a replay, each once; None for the configured default."""
    judged: Scenario | Replay = suite.named("replays" if case.kind == "replay" else "scenarios", case.scenario)
    asked = [judged.judge] if judged.criteria else []
    named = (check.params.get("judge") for check in _checks(suite, judged))
    asked += [name for name in named if isinstance(name, str)]
    defaults = suite.judge_defaults
    usual = (defaults.judge if defaults else None) or (suite.judges[0].name if suite.judges else None)
    return _models(suite, "judges", [name or usual for name in asked] or [usual])


def _checks(suite: Suite, judged: Scenario | Replay) -> Iterable[CheckSpec]:
    of_turns = (
        judged.turn_checks if isinstance(judged, Replay) else [item for turn in judged.turns for item in turn.checks]
    )
    return [*of_turns, *judged.checks, *suite.checks]


def _models(suite: Suite, section: str, names: Iterable[str | None]) -> list[str | None]:
    found = (suite.named(section, name) for name in names)
    return list(dict.fromkeys(item.model if item else None for item in found))
