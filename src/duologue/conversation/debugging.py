"""Debug mode: before the simulated user speaks, a person may speak in its place."""

from __future__ import annotations

import asyncio
import sys

from duologue.conversation.state import ScenarioState

PROMPT = "[debug] Your message as the user (Enter lets the simulated user speak): "


async def ask_person(state: ScenarioState) -> str:
    """What the person at the terminal types; '' for Enter, at the end of input and in headless runs."""
    if state.config.headless:
        return ""
    return await asyncio.to_thread(_read_line)


def _read_line() -> str:
    sys.stdout.write(PROMPT)
    sys.stdout.flush()
    return sys.stdin.readline().strip()
