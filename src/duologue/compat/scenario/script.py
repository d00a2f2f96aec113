"""The steps of a script, at the module path of the Scenario library."""

from __future__ import annotations

from duologue.conversation.script import agent, fail, judge, message, proceed, succeed, user

__all__ = ["agent", "fail", "judge", "message", "proceed", "succeed", "user"]
