"""What a journal says of a conversation in voice, for readers that do not know the package of voice.

That package notes what was heard (see :mod:`duologue.voice.notes`), and stands above the engine, results and judges.
Any of its notes can read all of them, so nobody below has to import it: a run without voice loads nothing of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import BinaryIO, Protocol, runtime_checkable

from duologue.journal.artifacts import Artifact
from duologue.journal.events import Noted
from duologue.journal.notes import Note

OpenArtifact = Callable[[Artifact], BinaryIO]
"""Opens the bytes of an artifact for reading. Raises ArtifactError: it is missing."""


@runtime_checkable
class OpensArtifacts(Protocol):
    """A store whose artifacts can be opened without awaiting."""

    def open(self, artifact: Artifact) -> BinaryIO:
        """The bytes of an artifact, to be read in any part.

        Raises:
            ArtifactError: it is missing.
        """
        ...


class SpokenRun(Protocol):
    """What was heard in a run."""

    @property
    def recording(self) -> object:
        """A :class:`duologue.voice.VoiceRecording`, whose sound is loaded when it is asked for."""
        ...

    @property
    def events(self) -> Sequence[object]:
        """What happened, as :class:`duologue.voice.VoiceEvent`."""
        ...

    @property
    def latency(self) -> object:
        """How fast the agent answered: a :class:`duologue.voice.LatencyMetrics`."""
        ...

    def text(self) -> str:
        """Who spoke when, as lines for models and people; see :mod:`duologue.voice.timeline_text`."""
        ...


class SpokenNote(Note):
    """Base of the notes of a conversation in voice."""

    @classmethod
    def read(cls, notes: Sequence[SpokenNote], opened: OpenArtifact | None = None) -> SpokenRun:
        """All that these notes say.

        Args:
            notes: of one run, in order.
            opened: opens the recording; None where its sound is not asked for.
        """
        raise NotImplementedError


def spoken_run(notes: Iterable[Noted], opened: OpenArtifact | None = None) -> SpokenRun | None:
    """What was heard in a run; None if it was played in text.

    Args:
        notes: of the run, of all kinds.
        opened: opens the recording; None where its sound is not asked for.
    """
    found = [noted.note for noted in notes if isinstance(noted.note, SpokenNote)]
    return found[0].read(found, opened) if found else None
