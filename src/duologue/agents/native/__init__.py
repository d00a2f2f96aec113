"""The agent that is made of a language model, a prompt and tools.

``values`` fills in templates, ``instruction`` assembles what the model is told, ``blueprint`` holds all that runs of
one scenario with one agent share, ``prompt_agent`` is the participant of one run and ``exchange`` its tool loop. What
is sent of a long conversation is decided in ``context``, states in ``workflow``, rules for messages in ``guarding``,
what lines of the script become in ``content``.
"""

from __future__ import annotations

from duologue.agents.native.blueprint import Blueprint
from duologue.agents.native.content import content_of
from duologue.agents.native.prompt_agent import PromptAgent

__all__ = ["Blueprint", "PromptAgent", "content_of"]
