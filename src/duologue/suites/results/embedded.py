"""What reports say of embedded models: that they played a part, and how far to trust them."""

from __future__ import annotations

import re
from collections.abc import Iterable

from duologue.suites.results.run import RunResult


def embedded_models(runs: Iterable[RunResult]) -> list[str]:
    """For each embedded model that played users or judged in these runs, what it did and how far to trust it."""
    users, judges = set[str](), set[str]()
    for run in runs:
        if run.recording is None:
            said_by = (item.model for item in run.messages if item.message["role"] == "user")
            users.update(model for model in said_by if model and _is_embedded(model))
        for judged in run.judgements:
            found = re.match(r"Decided by (local/[^\s,]+)", judged.reasoning or "")
            judges.update([found[1]] if found else ())
    told = [f"The simulated user was {name}, an embedded model. {_EMBEDDED_USER}" for name in sorted(users)]
    if judges:
        from duologue.agents.judge.local import described

        told += [described(name) for name in sorted(judges)]
    return told


def _is_embedded(model: str) -> bool:
    return model == "local" or model.startswith("local/")


_EMBEDDED_USER = (
    "A model this small sometimes strays from its part: read a conversation before you blame the agent, and use an "
    "agenda or a larger model where the result decides something."
)
