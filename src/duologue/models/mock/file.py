"""Response files: what models are to say, by scenario and turn, by persona, and by judge. Read strictly.

    defaultResponse: I can help with bookings.
    scenarios:
      booking:
        turns:
          1: {tool_calls: [{name: find_tables, arguments: {people: 2}}]}
          2: There is a table at eight.
    selfplay:
      impatient:
        turns: {1: A table for two., 2: {content: "Eight is fine, bye.", done: goal_reached}}
    judges:
      default: pass

Turns are calls of the model, counted from 1, so a round of tool calls takes a number of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from duologue.config.files import shown_path
from duologue.config.problems import Problems, listed, unknown
from duologue.config.pydantic_errors import checked
from duologue.config.yaml_reader import read
from duologue.errors import Position, Problem
from duologue.frozen import frozen
from duologue.models.mock.prepared import Prepared, prepared
from duologue.models.mock.shapes import (
    AnswerShape,
    FileShape,
    LinesShape,
    PersonaShape,
    ScenarioShape,
    StateShape,
    VerdictShape,
    written_out,
)

ANY_PERSONA = "default"
"""Whose lines simulated users have that have none of their own."""


@frozen
class StateAnswers:
    """Answers in one state of a workflow."""

    turns: dict[int, Prepared]
    default: Prepared | None


@frozen
class Answers:
    """Answers in one scenario, or of one persona.

    Attributes:
        turns: by the number of the model's call.
        steps: by the step of a composition, whatever the number is.
        states: by the state of a workflow.
        scenarios: of a persona, by the scenario that it is in.
        default: where nothing else is said.
    """

    turns: dict[int, Prepared]
    default: Prepared | None
    steps: dict[str, Prepared] = field(default_factory=dict[str, Prepared])
    states: dict[str, StateAnswers] = field(default_factory=dict[str, StateAnswers])
    scenarios: dict[str, StateAnswers] = field(default_factory=dict[str, StateAnswers])

    def line(self, scenario: str, number: int) -> Prepared | None:
        """What a persona says: in this scenario, else in any."""
        own = self.scenarios.get(scenario)
        return (own and (own.turns.get(number) or own.default)) or self.find(number)

    def find(self, number: int, step: str | None = None) -> Prepared | None:
        """The answer to a call.

        Args:
            number: of the call.
            step: of a composition, or the state of a workflow; None for neither.
        """
        if step is None:
            return self.turns.get(number) or self.default
        state = self.states.get(step)
        return (
            self.steps.get(step)
            or (state and state.turns.get(number))
            or self.turns.get(number)
            or (state and state.default)
            or self.default
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class ResponseFile:
    """A response file that was found to be in order. Made by :meth:`read`.

    Attributes:
        path: as errors show it.
        shape: what is written.
        problems: warnings of reading it.
    """

    path: str
    shape: FileShape
    problems: tuple[Problem, ...] = ()

    @classmethod
    def read(cls, path: str | Path, *, shown_as: str | None = None, asked_by: Position | None = None) -> ResponseFile:
        """The response file at a path.

        Args:
            path: of a YAML or JSON file.
            shown_as: what errors call it; its path if None.
            asked_by: the field that names it; a file that is not there is that field's mistake.

        Raises:
            SuiteError: it cannot be read, or is no response file; all that is wrong, each with its place.
        """
        problems = Problems()
        found = cls.looked_at(path, problems, shown_as=shown_as, asked_by=asked_by)
        problems.raise_errors()
        assert found is not None
        return found

    @classmethod
    def looked_at(
        cls, path: str | Path, problems: Problems, *, shown_as: str | None = None, asked_by: Position | None = None
    ) -> ResponseFile | None:
        """As :meth:`read`, but ``problems`` takes what is wrong; None if there are errors."""
        file = shown_as or shown_path(Path(path))
        before = len(problems.errors)
        data = read(Path(path), problems, shown_as=file, asked_by=asked_by)
        if data is None:
            if len(problems.errors) == before:
                problems.error(Position(file, 1, 1), "the file is empty; expected defaultResponse or scenarios")
            return None
        shape = checked(FileShape, written_out(data, problems), problems)
        if shape is None or len(problems.errors) > before:
            return None
        return cls(path=file, shape=shape, problems=tuple(problem for problem in problems))

    @cached_property
    def default(self) -> Prepared | None:
        """What is said where nothing else is."""
        return _ready(self.shape.default)

    @cached_property
    def scenarios(self) -> dict[str, Answers]:
        """Answers by scenario."""
        return {name: _answers(item) for name, item in self.shape.scenarios.items()}

    @cached_property
    def personas(self) -> dict[str, Answers]:
        """Answers of simulated users by persona."""
        return {name: _lines(item) for name, item in self.shape.selfplay.items()}

    def answer(
        self, scenario: str, number: int, *, persona: str | None = None, step: str | None = None
    ) -> Prepared | None:
        """What is to be said: the persona's answer, else the scenario's, else the default; None for nothing.

        Args:
            scenario: its name.
            number: which call of the model it is, from 1.
            persona: whom the model plays; None for the agent.
            step: of a composition, or the state of a workflow.
        """
        if persona is not None:
            own = self.personas.get(persona) or self.personas.get(ANY_PERSONA)
            if own and (found := own.line(scenario, number)):
                return found
        answers = self.scenarios.get(scenario)
        return (answers.find(number, step) if answers else None) or self.default

    def verdict(self, judge: str, scenario: str) -> VerdictShape | None:
        """What a judge is to say in a scenario: its own entry, else that of ``default``; None for neither."""
        for name in (judge, "default"):
            entry = self.shape.judges.get(name)
            if entry and (found := entry.scenarios.get(scenario) or entry.default):
                return found
        return None

    def unused(
        self,
        *,
        scenarios: Sequence[str],
        personas: Sequence[str] = (),
        judges: Sequence[str] = (),
        states: Sequence[str] = (),
    ) -> tuple[Problem, ...]:
        """Warnings about answers that nobody will ask for, each with the nearest name.

        Args:
            scenarios: names of the scenarios that are run.
            personas: names of the personas that simulated users have.
            judges: names of the judges that are asked.
            states: names of the states of the workflow.
        """
        problems = Problems()
        known = {
            "scenarios": ("scenario", scenarios),
            "selfplay": ("persona", [ANY_PERSONA, *personas]),
            "judges": ("judge", ["default", *judges]),
        }
        for section, (what, names) in known.items():
            for name in getattr(self.shape, section):
                self._look(problems, what, name, names, section, name)
        for judge, entry in self.shape.judges.items():
            for name in entry.scenarios:
                self._look(problems, "scenario", name, scenarios, "judges", judge, "scenarios", name)
        for persona, entry in self.shape.selfplay.items():
            for name in entry.scenarios:
                self._look(problems, "scenario", name, scenarios, "selfplay", persona, "scenarios", name)
        for scenario, entry in self.shape.scenarios.items():
            for name in entry.states:
                self._look(problems, "state", name, states, "scenarios", scenario, "states", name)
        return problems.in_order()

    def _look(self, problems: Problems, what: str, name: str, known: Sequence[str], *path: str) -> None:
        if name not in known:
            place = self.shape.place(*path, of_key=True) or Position(self.path)
            problems.warning(place, f"{unknown(what, name, known)}. These answers are never given")

    def known_judges(self) -> str:
        """The judges that the file has an entry for, for errors."""
        return listed(self.shape.judges)


def _answers(shape: ScenarioShape) -> Answers:
    return Answers(
        turns=_numbered(shape.turns),
        default=_ready(shape.default),
        steps={name: prepared(item) for name, item in shape.steps.items()},
        states={name: _state(item) for name, item in shape.states.items()},
    )


def _lines(shape: PersonaShape) -> Answers:
    return Answers(
        turns=_numbered(shape.turns),
        default=_ready(shape.default),
        scenarios={name: _state(item) for name, item in shape.scenarios.items()},
    )


def _state(shape: StateShape | LinesShape) -> StateAnswers:
    return StateAnswers(turns=_numbered(shape.turns), default=_ready(shape.default))


def _numbered(turns: Mapping[str, AnswerShape]) -> dict[int, Prepared]:
    return {int(number): prepared(shape) for number, shape in turns.items()}


def _ready(shape: AnswerShape | None) -> Prepared | None:
    return prepared(shape) if shape else None
