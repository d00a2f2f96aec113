"""What checks may use besides the conversation: judges, classifiers and embedders.

Packages provide classifiers and embedders through the entry point groups ``duologue.classifiers`` and
``duologue.embedders``. A classifier's entry is named after its task, or ``TASK.ID``. The object is the provider, or a
function without arguments that creates it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from duologue.config.entry_points import load_entry_point, other_entry_points
from duologue.frozen import frozen
from duologue.models.base import Model
from duologue.settings import ModelConfig


@frozen
class Media:
    """An image or audio clip: its bytes, and a MIME type such as ``image/png``."""

    data: bytes
    mime_type: str


@runtime_checkable
class Classifier(Protocol):
    """Assigns probabilities to labels, for a text, an image or an audio clip."""

    async def classify(self, item: str | Media) -> Mapping[str, float]:
        """The probability of each label, 0 to 1."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors; the smaller the angle between two, the closer the meanings."""

    @property
    def name(self) -> str:
        """Name of the model. Vectors of different models cannot be compared."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, all of the same length."""
        ...


@frozen
class Resources:
    """What the checks of a suite may use.

    Attributes:
        judges: models by name, for checks that set ``judge``.
        judge: model for checks that set none; None for the default model.
        prompts: judge instructions by name, for checks that set ``prompt``. ``{{criteria}}``, ``{{rubric}}``,
            ``{{conversation}}`` and ``{{response}}`` are filled in.
        prompt: name of the instruction for checks that set none; None for the built-in one.
        classifiers: classifiers by task, such as ``text_sentiment``, or by ``TASK.ID`` for checks that set a
            ``classifier_id``.
        embedder: for similarity checks; None for an installed one.
        run_tool: calls a tool with a name and arguments and returns its result, for ``tool_exec``; None if tools cannot
            be called.
        folder: folder that file names in checks are relative to; None for the current folder.
        environment: variables that ``${NAME}`` in headers of external checks stands for; None for the process's own.
    """

    judges: Mapping[str, str | ModelConfig | Model] = field(default_factory=dict[str, str | ModelConfig | Model])
    judge: str | ModelConfig | Model | None = None
    prompts: Mapping[str, str] = field(default_factory=dict[str, str])
    prompt: str | None = None
    classifiers: Mapping[str, Classifier] = field(default_factory=dict[str, Classifier])
    embedder: Embedder | None = None
    run_tool: Callable[[str, dict[str, Any]], Awaitable[str]] | None = None
    folder: Path | None = None
    environment: Mapping[str, str] | None = field(default=None, repr=False)

    def classifier(self, task: str, classifier_id: str | None = None) -> Classifier | None:
        """The classifier for a task, or the one of that id; None if there is none."""
        key = f"{task}.{classifier_id}" if classifier_id else task
        given = self.classifiers.get(key)
        return given if given is not None else cast("Classifier | None", _offered("duologue.classifiers", key))

    def any_embedder(self) -> Embedder | None:
        """The embedder: given, offered by a package, or the packaged one; None if there is none."""
        offered = self.embedder or cast("Embedder | None", _offered("duologue.embedders", None))
        if offered is not None:
            return offered
        from duologue.models.minilm import packaged_embedder

        return packaged_embedder()


@lru_cache(maxsize=64)
def _offered(group: str, name: str | None) -> Any:
    for point in other_entry_points(group):
        if name is None or point.name == name:
            loaded = load_entry_point(point)
            return loaded() if callable(loaded) else loaded
    return None
