"""A recording of a suite's replay, cast like a scenario: nobody speaks, today's checks and judges decide."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.checking import Check
from duologue.conversation.executor import ScenarioExecutor
from duologue.specs.suite import Replay, Suite
from duologue.suites.manifests.checks_within import made_check, made_eval
from duologue.suites.plan.cases import TestCase
from duologue.suites.replay import RecordingShelf, prepare_replay
from duologue.suites.runner.circumstances import Circumstances
from duologue.suites.runner.judging import judge_for, resources_for
from duologue.suites.runner.shelf import ModelShelf
from duologue.vocabulary import Scope


@dataclass(frozen=True)
class ReplayCasting:
    """A replay of a suite: its checks, made once for all recordings."""

    suite: Suite
    replay: Replay
    shelf: ModelShelf
    recordings: RecordingShelf
    tolerated: frozenset[str] = frozenset()
    thresholds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def description(self) -> str:
        """What it is about."""
        return self.replay.description

    @property
    def labels(self) -> dict[str, str]:
        """For choosing and grouping."""
        return self.replay.labels

    def executor(self, case: TestCase, circumstances: Circumstances) -> ScenarioExecutor:
        """The run of one recording. Judges are asked anew, so that there is nothing to recall."""
        return prepare_replay(
            self.recordings.open(self.replay, case.recording or ""),
            checks=self._checks,
            turn_checks=self._turn_checks,
            judge=self._judge,
            name=self.replay.name,
            description=self.replay.description,
            set_id=self.suite.name,
            metadata={"case": case.as_data(), "labels": self.replay.labels},
            **circumstances.as_arguments(),
        )

    @cached_property
    def _checks(self) -> list[Check]:
        resources = resources_for(self.shelf, self.replay.name)
        written = [*self.replay.checks, *self.suite.checks]
        checks = [made_check(spec, Scope.CONVERSATION, resources) for spec in written]
        return [*checks, *(made_eval(spec, resources) for spec in self.suite.pack_evals)]

    @cached_property
    def _turn_checks(self) -> list[Check]:
        resources = resources_for(self.shelf, self.replay.name)
        return [made_check(spec, Scope.TURN, resources) for spec in self.replay.turn_checks]

    @cached_property
    def _judge(self) -> AgentAdapter | None:
        if not self.replay.criteria:
            return None
        return judge_for(self.shelf, self.replay.name, self.replay.criteria, self.replay.judge)
