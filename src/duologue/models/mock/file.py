"""Response files, read strictly, and the model that answers from one.

A file says what models are to say, by scenario and turn, by persona, and by judge::

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

Turns are calls of the model, counted from 1, so a round of tool calls takes a number of its own. The model keeps
nothing: where it is in a conversation, it sees in the request. Which call a request is, is counted as PromptKit counts
wherever users and agents take turns: one more than the assistant has answered, tool calls included. Tokens are a
quarter of the bytes. They cost nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from duologue.config.files import shown_path
from duologue.config.problems import Problems, checked, listed, unknown
from duologue.config.yaml_reader import read
from duologue.errors import ModelRejectedError, Position, Problem, SuiteError, UnknownModelError
from duologue.frozen import frozen, maker
from duologue.journal.events import Usage
from duologue.messages import Message, text_of
from duologue.models.base import Model, ModelAnswer, ModelRequest
from duologue.models.mock.shapes import (
    LENIENT,
    AnswerShape,
    FileShape,
    LinesShape,
    PersonaShape,
    Prepared,
    ScenarioShape,
    StateShape,
    VerdictShape,
    plain_text,
    prepared,
    written_out,
)
from duologue.models.mock.verdicts import UnknownFormError, judgement
from duologue.models.scope import estimate_tokens
from duologue.vocabulary import DoneReason

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
        shape = checked(FileShape, written_out(data, problems), problems, lenient=LENIENT)
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
        without_model: Mapping[str, str] | None = None,
    ) -> tuple[Problem, ...]:
        """Warnings about answers that nobody will ask for, each with the nearest name.

        Args:
            scenarios: names of the scenarios that are run.
            personas: names of the personas that simulated users have.
            judges: names of the judges that are asked.
            states: names of the states of the workflow.
            without_model: personas that no model plays, with the reason of each.
        """
        problems = Problems()
        for name, why in (without_model or {}).items():
            if name in self.shape.selfplay:
                place = self.shape.place("selfplay", name, of_key=True) or Position(self.path)
                problems.warning(place, f"{why}. These answers are never given")
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


_DEFAULT_INPUT_TOKENS = 10


class MockModel:
    """A model that says what is written for it. Cheap: one for each run.

    Args:
        file: what is written; None for nothing.
        model_name: what the provider calls the model; only for the answer where nothing is written.
        provider: the name of the suite's model.
        scenario: the name of the scenario that is played.
        persona: whom the model plays; '' for a simulated user without a persona, None for anything else.
        judge: which judge the model is.
    """

    answers_at_once: ClassVar[bool] = True

    def __init__(
        self,
        file: ResponseFile | None,
        *,
        model_name: str,
        provider: str,
        scenario: str,
        persona: str | None = None,
        judge: str | None = None,
    ) -> None:
        self._file = file
        self._model_name = model_name
        self._provider = provider
        self._scenario = scenario
        self._persona = persona
        self._judge = judge
        self._whole: Sequence[Message] | None = None
        self._step: str | None = None

    @property
    def name(self) -> str:
        """``mock/`` and the provider."""
        return f"mock/{self._provider}"

    def at(self, *, messages: Sequence[Message] | None = None, step: str | None = None) -> MockModel:
        """The same model where a request does not tell where it is.

        Args:
            messages: the whole conversation, where a request has only a part of it.
            step: the step of a composition, or the state of a workflow.
        """
        made = MockModel.__new__(MockModel)
        made.__dict__.update(self.__dict__)
        made._whole = messages if messages is not None else self._whole
        made._step = step if step is not None else self._step
        return made

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """What is written for this call.

        Raises:
            ModelError: a fault is written; or nothing is written for a judge.
        """
        found = self._verdict(request) if self._judge is not None else self._said(request.messages)
        if found.fault:
            raise found.error(self.name)
        read = _tokens_read(request.messages)
        return ModelAnswer(
            message=found.message(),
            usage=maker(Usage)(input_tokens=read, output_tokens=found.tokens),
            cost=0.0,
            model=self.name,
            finish_reason="tool_calls" if found.calls else "stop",
        )

    def cost_of(self, usage: Usage, now: float) -> float:
        """Nothing: nobody is paid for what a file says."""
        return 0.0

    def done(self, messages: Sequence[Message]) -> DoneReason | None:
        """Why the simulated user has nothing more to say after its next line; None if it goes on."""
        return self._said(messages).done

    def _said(self, messages: Sequence[Message]) -> Prepared:
        messages = self._whole if self._whole is not None else messages
        number = call_number(messages) if self._persona is None else user_turn_number(messages)
        file = self._file
        found = file.answer(self._scenario, number, persona=self._persona, step=self._step) if file else None
        return found or plain_text(f"Mock response for provider {self._provider} model {self._model_name}")

    def _verdict(self, request: ModelRequest) -> Prepared:
        judge, file = self._judge or "default", self._file
        entry = file.verdict(judge, self._scenario) if file else None
        if entry is not None:
            try:
                return plain_text(judgement(entry, request))
            except UnknownFormError as error:
                raise ModelRejectedError(f"{file.path if file else ''}: {error}", model=self.name) from error
        default = file.default if file else None
        if default is not None and (default.fault or "{" in default.text):
            return default
        raise ModelRejectedError(
            f"{self._where()} what the judge '{judge}' says in the scenario '{self._scenario}', and nobody passes for "
            f"lack of a judge. Write it into the file: 'judges: {{{judge}: pass}}', or fail, or 'judges: {{{judge}: "
            "{verdict: fail, reasoning: …}}'",
            model=self.name,
        )

    def _where(self) -> str:
        if self._file:
            return f"{self._file.path} does not say"
        return f"the mock model '{self._provider}' has no response file that says"


def call_number(messages: Sequence[Message]) -> int:
    """Which call of the agent's model it is that continues this conversation, from 1.

    One more than it has answered; where the user has spoken more often than that, as often as the user has spoken, and
    one more once a tool has answered.
    """
    said = answered = 0
    used_tools = False
    for message in messages:
        role = message["role"]
        if role == "user":
            said += 1
        elif role == "assistant":
            answered += 1
        elif role == "tool":
            used_tools = True
    return max(said + used_tools, answered + 1)


def user_turn_number(messages: Sequence[Message]) -> int:
    """Which line of the simulated user it is, from 1.

    A model that is told to play the user (a request with a system prompt) sees its own lines as the assistant's; one
    that is given the conversation as it is, as the user's.
    """
    own = "assistant" if messages and messages[0]["role"] == "system" else "user"
    return sum(message["role"] == own for message in messages) + 1


def model_from(path: str) -> Model:
    """The model that ``mock/PATH`` stands for: it answers from that file, as in the scenario of the file's only name.

    Raises:
        UnknownModelError: the file cannot be read, or is no response file.
    """
    try:
        file = ResponseFile.read(path)
    except SuiteError as error:
        raise UnknownModelError(f"the model 'mock/{path}' cannot be made: {error}") from error
    names = list(file.shape.scenarios)
    return MockModel(file, model_name="mock", provider=Path(path).name, scenario=names[0] if len(names) == 1 else "")


def _tokens_read(messages: Sequence[Message]) -> int:
    """An estimate, as PromptKit makes it: from the second turn on the system prompt counts, as part of the history."""
    roles = [message["role"] for message in messages]
    first_turn = "user" not in roles[roles.index("assistant") :] if "assistant" in roles else True
    total = 0
    for message in messages:
        if message["role"] != "system" or not first_turn:
            content = message.get("content")
            total += estimate_tokens(content if isinstance(content, str) else text_of(message))
    return total or _DEFAULT_INPUT_TOKENS
