"""Judges: they read the conversation and decide, criterion by criterion, what it was worth.

``agent`` is the participant, ``decide`` the rules that an answer has to keep, ``prompt`` and ``transcript`` what the
model reads. What the decisions are worth to the run is said in ``duologue.conversation.verdict``.
"""

from __future__ import annotations

from duologue.agents.judge.agent import JudgeAgent
from duologue.agents.judge.spans import SpanRecord, TraceSource

__all__ = ["JudgeAgent", "SpanRecord", "TraceSource"]
