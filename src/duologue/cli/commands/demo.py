"""``duologue demo``: rehearse a restaurant's assistant, on this machine, without a key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

DEFAULT_SEED = 7
"""A fixed seed, so that the demo tells the same story each time."""


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the journals; each launch gets its own subfolder.")] = Path(
        "duologue-runs"
    ),
    agenda: Annotated[bool, typer.Option("--agenda", help="Play the guests without a language model.")] = False,
    voice: Annotated[bool, typer.Option("--voice", help="Rehearse a voice agent instead, in two calls.")] = False,
    seed: Annotated[int, typer.Option(help="Seed for every random choice.")] = DEFAULT_SEED,
    as_json_: Annotated[bool, typer.Option("--json", help="Print the results as JSON and nothing else.")] = False,
) -> int:
    """Rehearse a small restaurant's assistant in five conversations. One of them brings out a real fault.

    The assistant is an ordinary program with an HTTP server, started for this demo and tested through its URL. Exit
    code 0: every conversation ended as expected, the fault included. 1: one did not. 3: an error occurred.
    """
    if voice:
        from duologue.cli.demo_voice import play_voice_demo

        return play_voice_demo(out=out, seed=seed, as_json_=as_json_)
    from duologue.cli.demo import play_demo

    return play_demo(out=out, agenda=agenda, seed=seed, as_json_=as_json_)
