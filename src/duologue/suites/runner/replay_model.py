"""A model that repeats what an assistant said in a recording: for agents to be compared without being called."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.errors import ConfigurationError, ModelAnswerError
from duologue.journal.events import Usage
from duologue.messages import text_of
from duologue.models.base import ModelAnswer, ModelRequest
from duologue.specs.agents import Model
from duologue.specs.suite import Suite
from duologue.transcripts import read_recordings
from duologue.transcripts.recording import RecordedMessage

_MATCHES = ("turn", "content")


class ReplayModel:
    """Answers with the recorded messages of an assistant. It keeps nothing: the request says where it is.

    Args:
        name: of the suite's model.
        messages: of the recording; the tokens and costs that it knows are those of the answers.
        by_content: answer what was answered to the same words of the user, wherever they stand; otherwise the n-th
            answer is the n-th that was recorded.
    """

    def __init__(self, name: str, messages: Sequence[RecordedMessage], *, by_content: bool) -> None:
        self._name = name
        self._answers = [item for item in messages if item.message["role"] == "assistant"]
        self._by_words = _by_words(messages) if by_content else None

    @property
    def name(self) -> str:
        """``replay/`` and the name in the suite."""
        return f"replay/{self._name}"

    async def answer(self, request: ModelRequest) -> ModelAnswer:
        """What was said here.

        Raises:
            ModelAnswerError: the recording has nothing for this place.
        """
        found = self._by_place(request) if self._by_words is None else self._by_content(request, self._by_words)
        return ModelAnswer(message=found.message, usage=found.usage or Usage(), cost=found.cost or 0.0, model=self.name)

    def _by_place(self, request: ModelRequest) -> RecordedMessage:
        index = sum(message["role"] == "assistant" for message in request.messages)
        if index < len(self._answers):
            return self._answers[index]
        raise ModelAnswerError(
            f"{self.name}: the recording has {len(self._answers)} answers, and one more was asked for", model=self.name
        )

    def _by_content(self, request: ModelRequest, by_words: dict[str, list[RecordedMessage]]) -> RecordedMessage:
        places = [place for place, message in enumerate(request.messages) if message["role"] == "user"]
        words = text_of(request.messages[places[-1]]).strip() if places else ""
        answers = by_words.get(words, [])
        index = sum(message["role"] == "assistant" for message in request.messages[places[-1] :]) if places else 0
        if index < len(answers):
            return answers[index]
        raise ModelAnswerError(f"{self.name}: the recording has no answer to {words[:80]!r}", model=self.name)


def replay_model(spec: Model, suite: Suite) -> ReplayModel:
    """The model of a suite with ``provider: replay``.

    Raises:
        ConfigurationError: it names no recording, or cannot be matched as it says.
    """
    if not spec.recording_file:
        raise ConfigurationError(f"the model '{spec.name}' has 'provider: replay'; give it a recording_file")
    match = spec.options.get("match", "turn")
    if match not in _MATCHES:
        raise ConfigurationError(f"the model '{spec.name}': options.match: found {match!r}; expected turn or content")
    recordings = read_recordings(suite.path_or_here(spec.recording_file))
    return ReplayModel(spec.name, recordings[0].messages, by_content=match == "content")


def _by_words(messages: Sequence[RecordedMessage]) -> dict[str, list[RecordedMessage]]:
    """What was answered to each text of the user; for words that were said twice, the first answers."""
    found: dict[str, list[RecordedMessage]] = {}
    open_to: list[RecordedMessage] | None = None
    for item in messages:
        message = item.message
        if message["role"] == "user":
            words = text_of(message).strip()
            open_to = None if words in found else found.setdefault(words, [])
        elif message["role"] == "assistant" and open_to is not None:
            open_to.append(item)
    return found
