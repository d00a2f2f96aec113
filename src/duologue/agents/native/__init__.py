"""Native agents: a model with a prompt and tools, built from one ``AgentDefinition``.

A ``blueprint`` is what all runs of an agent share: the instruction that the model is told, and lines of a script as
messages. ``prompt_agent`` is the participant of one run, with its tool loop; ``context`` decides what is sent of a
long conversation, ``workflow`` keeps the state, ``guardrails`` check single messages.
"""

from __future__ import annotations

from duologue.agents.native.blueprint import Blueprint, content_of
from duologue.agents.native.prompt_agent import PromptAgent

__all__ = ["Blueprint", "PromptAgent", "content_of"]
