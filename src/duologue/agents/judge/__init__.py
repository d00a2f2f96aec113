"""Judges: they read the conversation and decide, criterion by criterion, whether it met what was expected.

``_agent`` is the participant. ``_judgement`` has the rules that an answer must keep, ``_prompt`` what the model reads
and how it is asked, ``_evidence`` the record and the tools to search it, ``_panel`` the votes, ``local`` the way of
judging for small local models. How decisions determine the result of a run is in ``duologue.conversation.result``.

For graders and judges of other kinds: :class:`JudgeModel` asks a model as patiently as a judge does, and
:data:`RULES` tells it to take the transcript for data.
"""

from __future__ import annotations

from duologue.agents.judge._agent import JudgeAgent
from duologue.agents.judge._evidence import TraceSource, conversation_entries, span_entries
from duologue.agents.judge._prompt import RULES, JudgeModel
from duologue.tracing.collector import SpanRecord

__all__ = [
    "RULES",
    "JudgeAgent",
    "JudgeModel",
    "SpanRecord",
    "TraceSource",
    "conversation_entries",
    "span_entries",
]
