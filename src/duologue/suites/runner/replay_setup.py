"""A replay of a suite: what its recordings share, prepared once."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from duologue.conversation.adapter import AgentAdapter
from duologue.conversation.setup import Check
from duologue.specs.suite import Replay, Suite
from duologue.suites.manifests.validate.checks import made_check, made_eval
from duologue.suites.plan.build import TestCase
from duologue.suites.runner.judges import judge_for
from duologue.suites.runner.models import SuiteModels, resources_for
from duologue.suites.runner.script import Participants
from duologue.vocabulary import Scope

if TYPE_CHECKING:
    from duologue.suites.replay import RecordingIndex


@dataclass(frozen=True)
class ReplaySetup:
    """A replay of a suite: its checks, created once for all recordings."""

    suite: Suite
    replay: Replay
    models: SuiteModels
    recordings: RecordingIndex
    max_turns: int | None = None
    agent_timeout: float | None = None
    tolerated: frozenset[str] = frozenset()
    thresholds: dict[str, float] = field(default_factory=dict[str, float])

    @property
    def description(self) -> str:
        """The situation."""
        return self.replay.description

    @property
    def labels(self) -> dict[str, str]:
        """For choosing and grouping."""
        return self.replay.labels

    def participants(self, case: TestCase) -> Participants:
        """Those of one recording, who have said what they said, and the judge of today."""
        from duologue.suites.replay import replay_parts

        recording = self.recordings.open(self.replay, case.recording or "")
        parts = replay_parts(
            recording,
            checks=self._checks,
            turn_checks=self._turn_checks,
            judge=self._judge,
            reports_tool_calls=self.replay.reports_tool_calls,
        )
        return Participants(
            name=self.replay.name,
            description=self.replay.description,
            agents=parts.agents,
            script=parts.script,
            checks=parts.checks,
            metadata={"case": case.as_data(), "labels": self.replay.labels, "recording": parts.facts},
        )

    @cached_property
    def _checks(self) -> list[Check]:
        resources = resources_for(self.models, self.replay.name)
        written = [*self.replay.checks, *self.suite.checks]
        checks = [made_check(spec, Scope.CONVERSATION, resources) for spec in written]
        return [*checks, *(made_eval(spec, resources) for spec in self.suite.pack_evals)]

    @cached_property
    def _turn_checks(self) -> list[Check]:
        resources = resources_for(self.models, self.replay.name)
        return [made_check(spec, Scope.TURN, resources) for spec in self.replay.turn_checks]

    @cached_property
    def _judge(self) -> AgentAdapter | None:
        if not self.replay.criteria:
            return None
        return judge_for(self.models, self.replay.name, self.replay.criteria, self.replay.judge)
