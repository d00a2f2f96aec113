"""Which evals of prompt packs run beside a suite's own checks."""

from __future__ import annotations

from collections.abc import Sequence

from duologue.config.problems import hint, listed
from duologue.errors import ConfigurationError
from duologue.specs.suite import Suite


def with_evals(suite: Suite, types: Sequence[str] | None) -> Suite:
    """The suite with the evals of those types only.

    Args:
        suite: whose packs and prompts have evals.
        types: None for all, empty for none.

    Raises:
        ConfigurationError: no eval is of that type.
    """
    if types is None:
        return suite
    known = {spec.type for spec in (*suite.pack_evals, *(item for prompt in suite.prompts for item in prompt.evals))}
    for name in types:
        if name not in known:
            told = f"no eval of the suite '{suite.name}' is of the type '{name}'{hint(name, known)}"
            raise ConfigurationError(f"{told} There are {listed(sorted(known))}.")
    prompts = (
        prompt.changed(evals=tuple(item for item in prompt.evals if item.type in types)) for prompt in suite.prompts
    )
    chosen = tuple(item for item in suite.pack_evals if item.type in types)
    return suite.changed(pack_evals=chosen, prompts=tuple(prompts)).within(suite.folder)
