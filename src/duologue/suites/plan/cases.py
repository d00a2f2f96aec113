"""One cell of the plan, and the plan: plain frozen data, the same whenever it is made of the same suite and seed."""

from __future__ import annotations

import hashlib
import re
from dataclasses import field
from typing import Any, Literal

from duologue.frozen import frozen

_LONGEST_SLUG = 80
_DIGITS = 16
"""Of the hash in the id of a run: enough for a million cases that are called alike."""


@frozen(slots=True)
class TestCase:
    """A scenario or a recording, with everything that varies around it.

    Attributes:
        index: its place in the plan, from 0.
        kind: whether a scenario is played or a recording is judged again.
        scenario: the name of the scenario, or of the replay.
        agent: who is rehearsed; None for a recording.
        persona: whom the simulated user plays throughout; None where the turns say so, or nobody is simulated.
        region: one of the suite's, or ``default``.
        perturbation: values for ``{name}`` in the lines, by name.
        recording: the path of the recording; None for a scenario.
        recorded_as: what the source calls the recording, such as ``task 3, trial 0``.
        trial: which repetition this is, from 1.
        trials: how many repetitions there are.
        seed: every random choice of the run derives from it.
    """

    __test__ = False  # not a test, whatever pytest thinks of the name

    index: int
    kind: Literal["scenario", "replay"] = "scenario"
    scenario: str
    agent: str | None = None
    persona: str | None = None
    region: str = "default"
    perturbation: tuple[tuple[str, str], ...] = ()
    recording: str | None = None
    recorded_as: str | None = field(default=None, compare=False)
    trial: int = 1
    trials: int = 1
    seed: int = 0

    @property
    def group(self) -> str:
        """What all trials of the case share: its identity without the number of the trial."""
        parts = [self.scenario, self.agent or "", self.persona or "", self.region, self.recording or ""]
        parts += [f"{key}={value}" for key, value in self.perturbation]
        return "\x1f".join(parts)

    @property
    def identity(self) -> str:
        """What tells the case from all others of the plan."""
        return f"{self.group}\x1f{self.trial}"

    @property
    def title(self) -> str:
        """For people: ``booking · gpt · impatient #2``."""
        names = [self.scenario, self.agent, self.persona, None if self.region == "default" else self.region]
        names += [f"{key}={value}" for key, value in self.perturbation]
        if self.recording:
            names.append(self.recording_title)
        text = " · ".join(name for name in names if name)
        return f"{text} #{self.trial}" if self.trials > 1 else text

    @property
    def recording_title(self) -> str:
        """The recording for people: ``calls.json#3 (task 3, trial 0)``; '' for a scenario."""
        name = (self.recording or "").rsplit("/", 1)[-1]
        return f"{name} ({self.recorded_as})" if self.recorded_as else name

    def run_id(self, execution_id: str) -> str:
        """A name for its run in this execution: readable, unique, and fit for a file."""
        digest = hashlib.sha256(f"{execution_id}\x1f{self.identity}".encode("utf-8", "surrogatepass")).hexdigest()[
            :_DIGITS
        ]
        words = [self.scenario, self.agent or "", self.persona or "", f"t{self.trial}" if self.trials > 1 else ""]
        slug = "-".join(re.sub(r"[^A-Za-z0-9]+", "-", word).strip("-").lower() for word in words if word)
        return f"{slug[:_LONGEST_SLUG].strip('-') or 'run'}-{digest}"

    def as_data(self) -> dict[str, Any]:
        """As plain JSON data, in the words of the command line."""
        data: dict[str, Any] = {
            "index": self.index,
            "kind": self.kind,
            "scenario": self.scenario,
            "agent": self.agent,
            "persona": self.persona,
            "region": self.region,
            "trial": self.trial,
            "trials": self.trials,
            "seed": self.seed,
        }
        if self.perturbation:
            data["perturbation"] = dict(self.perturbation)
        if self.recording:
            data["recording"] = self.recording
        if self.recorded_as:
            data["recorded_as"] = self.recorded_as
        return data


@frozen
class Plan:
    """Test cases in the order in which they are started and reported.

    Attributes:
        suite: the name of the suite.
        cases: scenarios first, in the order of the suite, then recordings.
        seed: that of the execution; those of the cases derive from it and their identity.
    """

    suite: str
    cases: tuple[TestCase, ...]
    seed: int

    def __len__(self) -> int:
        return len(self.cases)
