"""Executions with given outcomes: what comparisons and rates are tried on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

from duologue.errors import ConfigurationError
from duologue.journal.events import CheckEvaluated, ErrorInfo, Usage
from duologue.messages import assistant_message, user_message
from duologue.suites.plan.build import Plan, TestCase
from duologue.suites.results.execution import ExecutionResult
from duologue.suites.results.run import MessageResult, RunResult, Spent
from duologue.vocabulary import CheckStatus, RunStatus, Scope, Termination, Verdict

STARTED = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
_VERDICTS = {"p": Verdict.PASS, "f": Verdict.FAIL, "u": Verdict.UNDECIDED}


def execution(
    outcomes: Mapping[str, str],
    *,
    seed: int = 7,
    agent: str = "desk",
    trials: int | None = None,
    cost: float = 0.01,
    seconds: float = 2.0,
    definition: Mapping[str, str] | None = None,
    prompt: str = "Be kind.",
    model: str = "acme/desk-1",
    environment: Mapping[str, object] | None = None,
    name: str = "execution",
) -> ExecutionResult:
    """An execution.

    Args:
        outcomes: by scenario, a letter for each trial: pass, fail, undecided, error, or a dot for one that was not run.
    """
    cases: list[TestCase] = []
    runs: list[RunResult] = []
    for scenario, letters in outcomes.items():
        for trial, letter in enumerate(letters, 1):
            made = TestCase(
                index=len(cases),
                scenario=scenario,
                agent=agent,
                trial=trial,
                trials=trials or len(letters),
                seed=seed + trial,
            )
            cases.append(made)
            if letter == ".":
                continue
            run = _run(made, letter, cost, seconds, model, name)
            runs.append(replace(run, definition=dict(definition or {}), system_prompts=(prompt,)))
    return ExecutionResult(
        id=name,
        suite="shop",
        path="shop.yaml",
        plan=Plan(suite="shop", cases=tuple(cases), seed=seed),
        runs=tuple(runs),
        started_at=STARTED,
        seconds=12.0,
        environment=dict(environment or {}),
    )


def _run(case: TestCase, letter: str, cost: float, seconds: float, model: str, name: str) -> RunResult:
    if letter not in "pfue":
        raise ConfigurationError(letter)
    failed = letter == "f"
    status = CheckStatus.FAILED if failed else CheckStatus.PASSED
    check = CheckEvaluated(
        name="polite", kind="contains", scope=Scope.CONVERSATION, turn=0, status=status, explanation="No thanks.",
        message_ids=["m2"],
    )  # fmt: skip
    answer = "No." if failed else "Yes, gladly."
    messages = (
        MessageResult(id="m1", message=user_message("May I?"), turn=0, author="user"),
        MessageResult(id="m2", message=assistant_message(answer), turn=0, author="desk", model=model),
    )
    return RunResult(
        case=case,
        run_id=case.run_id(name),
        status=RunStatus.ERROR if letter == "e" else RunStatus.COMPLETED,
        verdict=_VERDICTS.get(letter),
        error=ErrorInfo(type="AgentError", message="gone", who="desk") if letter == "e" else None,
        termination=Termination.SCRIPT_END,
        reasoning="It was rude." if failed else None,
        checks=() if letter in "ue" else (check,),
        messages=messages,
        agent=Spent(calls=1, usage=Usage(input_tokens=90, output_tokens=10), cost=cost, seconds=seconds),
        seconds=seconds,
        agent_seconds=seconds,
        turns=1,
        started_at=STARTED,
    )


def drawn(rates: Sequence[float], trials: int, random: Random) -> dict[str, str]:
    """Outcomes of scenarios with these pass rates."""
    return {
        f"s{place}": "".join("p" if random.random() < rate else "f" for _ in range(trials))
        for place, rate in enumerate(rates)
    }
