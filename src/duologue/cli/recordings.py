"""The recording of a stored conversation in voice, as a file for people: ``duologue show RUN --audio call.mp3``."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePath

from duologue.cli.output import echo
from duologue.config.files import shown_path
from duologue.errors import ConfigurationError, MissingExtraError
from duologue.journal.artifacts import folders_beside, open_beside
from duologue.journal.jsonl import read_journal
from duologue.terminal_text import one_line
from duologue.voice.notes import RECORDINGS_PLACE, VoiceRun, voice_run


def export_recording(source: Path, target: Path) -> None:
    """Write the recording of a run into a file, or its segments with a manifest into a folder.

    Args:
        source: a journal, or a run of a results folder.
        target: ``.wav``, ``.mp3``, ``.flac`` or ``.ogg``; a name without an ending is a folder.

    Raises:
        ConfigurationError: the run has no recording, or the format is another.
        ArtifactError: the recording is missing or damaged.
    """
    journal = _journal_of(source)
    run = voice_run(read_journal(journal).view, partial(open_beside, journal))
    if run is None:
        raise ConfigurationError(
            f"{shown_path(source)} has no recording: its conversation is in text, or no call was made"
        )
    try:
        from duologue.voice.files import FORMATS
        from duologue.voice.recording import SegmentsWithSound, StoredSound, VoiceRecording
    except ImportError as error:
        raise MissingExtraError("a recording", "voice", "numpy") from error
    form = target.suffix.lstrip(".").lower()
    if form and form not in FORMATS:
        raise ConfigurationError(
            f"--audio {target}: found the ending '{target.suffix}'; expected "
            f"{', '.join(f'.{name}' for name in FORMATS)}, or a folder for single segments with a manifest"
        )
    sound = run.sound or StoredSound(partial(_unfinished(run, journal, source).open, "rb"))
    recording = VoiceRecording(segments=SegmentsWithSound(run.segments, sound), timeline=run.events, sound=sound)
    if form:
        recording.save(target, form)
    else:
        recording.save_segments(target)
    told = "" if run.kept else "; it ends where the run was cut off"
    echo(f"{one_line(target)}: {sound.duration:.1f} s, the user left and the agent right{told}")


def _journal_of(source: Path) -> Path:
    """The journal that holds the timeline."""
    if source.is_dir():
        inner = sorted([*source.glob("journals/*.jsonl"), *source.glob("*.jsonl")])
        if len(inner) == 1:
            return inner[0]
        raise ConfigurationError(
            f"--audio writes the recording of one run, and {shown_path(source)} is a folder of {len(inner)}; name one"
            + (f", such as {shown_path(inner[0])}" if inner else "")
        )
    if source.suffix != ".json":
        return source
    from duologue.runs.store.reader import read_run_file

    run = read_run_file(source)
    found = source.absolute().parent.parent / run.journal if run.journal else None
    if found is None or not found.is_file():
        raise ConfigurationError(
            f"the journal of {shown_path(source)}, which has the timeline, is missing: copy "
            f"{run.journal or 'it'} beside it"
        )
    return found


def _unfinished(run: VoiceRun, journal: Path, source: Path) -> Path:
    """The file that a run which was cut off was recording into."""
    places = [folder / run.file for folder in folders_beside(journal)] if run.file and _may_be_ours(run.file) else []
    found = next((path for path in places if path.is_file() and not path.is_symlink()), None)
    if found is None:
        raise ConfigurationError(
            f"{shown_path(source)} has no recording: the run ended before one was kept"
            + (f", and {one_line(run.file)} is missing" if run.file else "")
        )
    return found


def _may_be_ours(name: str) -> bool:
    """Whether a run records into a file like this. A journal may come from somebody else, and name any file."""
    path = PurePath(name)
    if path.suffix != ".wav" or ".." in path.parts or "\0" in name:
        return False
    return path.name == name or (path.is_absolute() and path.parts[-3:-1] == RECORDINGS_PLACE)
