"""What checks may ask beside the conversation: judges, classifiers, embedders. Whoever has one passes it in.

Packages offer classifiers and embedders through the entry points ``duologue.classifiers`` and ``duologue.embedders``:
the name of a classifier's entry point is its task, or ``TASK.ID``; the object is the provider or a function without
arguments that makes it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol, cast, runtime_checkable

from duologue.models.base import Model
from duologue.settings import ModelConfig


@dataclass(frozen=True, kw_only=True)
class Media:
    """A picture or a sound: its bytes, and a MIME type such as ``image/png``."""

    data: bytes
    mime_type: str


@runtime_checkable
class Classifier(Protocol):
    """Says how likely each label is for a text, a picture or a sound."""

    async def classify(self, item: str | Media) -> Mapping[str, float]:
        """The probability of each label, 0 to 1."""
        ...


@runtime_checkable
class Embedder(Protocol):
    """Turns texts into vectors whose angle says how near their meanings are."""

    @property
    def name(self) -> str:
        """Which model makes the vectors; those of different models cannot be compared."""
        ...

    async def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """One vector for each text, all of the same length."""
        ...


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What the checks of a suite may use.

    Attributes:
        judges: models by the name that a check gives in ``judge``.
        judge: the model for checks that name none; None for the default model.
        prompts: instructions for judges by the name that a check gives in ``prompt``; ``{{criteria}}``, ``{{rubric}}``,
            ``{{conversation}}`` and ``{{response}}`` are filled in.
        prompt: the name of the instruction for checks that name none; None for the built-in one.
        classifiers: by task (``text_sentiment``, …), or by ``TASK.ID`` where a check gives a ``classifier_id``.
        embedder: for checks of similarity; None for the packaged one, if it is installed.
        run_tool: calls a tool by name and arguments and gives its answer, for checks that call one; None for none.
        folder: what files that a check names are relative to; None for the current folder.
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
    for point in entry_points(group=group):
        if name is None or point.name == name:
            loaded = point.load()
            return loaded() if callable(loaded) else loaded
    return None
