"""What is found out about a run when it is over: how the user was played, who is to blame, and whether it counts."""

from __future__ import annotations

from duologue.frozen import changed
from duologue.specs.suite import find_named
from duologue.suites.plan.build import TestCase
from duologue.suites.results.blame import blame, charged_to
from duologue.suites.results.fidelity import UserBrief, fidelity_of
from duologue.suites.results.run import RunResult
from duologue.suites.runner.case_setup import CaseSetup, Setup
from duologue.vocabulary import RunStatus, Verdict


def assessed(run: RunResult, setup: Setup) -> RunResult:
    """The result with the fidelity of its simulated user and the blame for its failures."""
    simulated = run.self_play and _is_played_by_model(run.case, setup)
    fidelity = fidelity_of(run, _brief(run.case, setup)) if simulated else None
    if fidelity is not None:
        run = changed(run, fidelity=fidelity)
    return run if run.verdict is Verdict.PASS else changed(run, blame=blame(run))


def is_spoilt(run: RunResult) -> bool:
    """Whether a run that did not pass is charged to its simulated user."""
    return run.verdict is not Verdict.PASS and charged_to(run) == "simulator"


def played_again(first: RunResult, second: RunResult, case: TestCase) -> RunResult:
    """The result of a run that was played a second time, because its simulated user had spoilt the first."""
    why = first.blame[0].reason
    result = changed(second, case=case, repeated=f"It was played again: {why}.")
    if not is_spoilt(result) or result.status is not RunStatus.COMPLETED:
        return result
    reason = f"Not charged to the agent, because the simulated user has spoilt the run twice: {result.blame[0].reason}."
    return changed(result, verdict=Verdict.UNDECIDED, reasoning=reason)


def _is_played_by_model(case: TestCase, setup: Setup) -> bool:
    """Whether a model plays the user, and no lines, rules, attacker or response file."""
    if not isinstance(setup, CaseSetup) or setup.models.mocking:
        return False
    persona = find_named(setup.suite.personas, case.persona)
    mock = any(setup.models.is_mock(item.model) for item in setup.suite.simulators)
    others = [find_named(setup.suite.personas, turn.persona) for turn in setup.scenario.turns if turn.persona]
    return not mock and not any(item is not None and item.way for item in (persona, *others))


def _brief(case: TestCase, setup: Setup) -> UserBrief:
    if not isinstance(setup, CaseSetup):
        return UserBrief()
    scenario = setup.scenario
    persona = find_named(setup.suite.personas, case.persona)
    criteria = (*scenario.criteria, *filter(None, (scenario.success_criteria,)))
    return UserBrief(facts=persona.facts if persona else {}, criteria=criteria)
