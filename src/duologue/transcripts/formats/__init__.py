"""The formats of recordings: how each is recognised and read. One module for each family of formats.

The order is that of looking: formats that can be told for sure come first, the loosest comes last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from duologue.transcripts.documents import Document
from duologue.transcripts.formats import journal, openai, promptkit, results, retell, tau_bench, vapi
from duologue.transcripts.recording import Recording


@dataclass(frozen=True, kw_only=True)
class Format:
    """A format of recordings.

    Attributes:
        name: what it is called.
        about: for people.
        matches: whether a document is in it.
        read: the recordings that a document holds.
    """

    name: str
    about: str
    matches: Callable[[Document], bool]
    read: Callable[[Document], list[Recording]]


FORMATS: tuple[Format, ...] = (
    Format(
        name=journal.FORMAT,
        about="the journal of a run of Duologue (.jsonl)",
        matches=journal.is_journal,
        read=journal.read_own_journal,
    ),
    Format(
        name=results.FORMAT,
        about="the result of a run of Duologue (runs/….json)",
        matches=results.is_result,
        read=results.read_result_file,
    ),
    Format(
        name=promptkit.SESSION,
        about="a session of PromptKit: {metadata, events} or lines of {seq, event}",
        matches=promptkit.is_session,
        read=promptkit.read_session,
    ),
    Format(
        name=promptkit.ARENA,
        about="a result of a PromptKit arena: {Messages} or {turns}",
        matches=promptkit.is_arena,
        read=promptkit.read_arena,
    ),
    Format(
        name=retell.FORMAT,
        about="calls of Retell: {call_id, transcript_object}",
        matches=retell.is_retell,
        read=retell.read_retell,
    ),
    Format(
        name=vapi.FORMAT,
        about="calls of Vapi: {artifact: {messages}}",
        matches=vapi.is_vapi,
        read=vapi.read_vapi,
    ),
    Format(
        name=tau_bench.FORMAT,
        about="results of tau-bench ({traj, reward}) or tau2-bench ({simulations})",
        matches=tau_bench.is_tau,
        read=tau_bench.read_tau,
    ),
    Format(
        name=promptkit.TRANSCRIPT,
        about="a transcript in YAML: {metadata, messages}",
        matches=promptkit.is_transcript,
        read=promptkit.read_transcript,
    ),
    Format(
        name=openai.FORMAT,
        about="chat messages in the format of the OpenAI API, alone, in requests and responses, or in lines of these",
        matches=openai.is_openai,
        read=openai.read_openai,
    ),
)

HINTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("session", "recording", "session_recording"), (promptkit.SESSION, journal.FORMAT)),
    **dict.fromkeys(("arena", "arena_output", "scenario_output"), (promptkit.ARENA,)),
    "yaml": (promptkit.TRANSCRIPT, openai.FORMAT),
    "transcript": (promptkit.TRANSCRIPT, openai.FORMAT),
    "journal": (journal.FORMAT, results.FORMAT),
    "result": (results.FORMAT,),
    "openai": (openai.FORMAT,),
    "tau_bench": (tau_bench.FORMAT,),
    "retell": (retell.FORMAT,),
    "vapi": (vapi.FORMAT,),
    "generic": tuple(item.name for item in FORMATS),
    "auto": tuple(item.name for item in FORMATS),
}
"""Names that a suite may use, and the formats that each of them allows."""
